package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// siteName is what certificates are for; the authority finds it on loopback.
const siteName = "box.example.org"

// acmeClient is a program that gets a certificate.
type acmeClient struct {
	who        string
	factor     float64                    // of its time that ours may take
	command    func(dir string) *exec.Cmd // makes an account and leaves a pair below dir
	key, chain string                     // where the pair is then
	webroot    string                     // what somebody else must serve, below dir; "": it answers the authority itself
}

// clients are ours and the peers that are installed.
func (a *authority) clients(lego, legoVersion string) []acmeClient {
	all := []acmeClient{a.own(), a.lego(lego, legoVersion)}
	for _, peer := range []struct {
		name   string
		client func() acmeClient
	}{{"certbot", a.certbot}, {"dehydrated", a.dehydrated}} {
		if _, err := exec.LookPath(peer.name); err != nil {
			a.report.note("%s is not installed (Debian's package of that name): not measured", peer.name)
			continue
		}
		all = append(all, peer.client())
	}
	return all
}

func (a *authority) own() acmeClient {
	program := filepath.Join(a.tb.TempDir(), "obtain")
	goBuild(a.tb, repository(a.tb), program, "./bench/internal/obtain")
	return acmeClient{who: "appliance", key: "key.pem", chain: "chain.pem", command: func(dir string) *exec.Cmd {
		return exec.CommandContext(a.ctx, program, a.url, a.bundle, a.address, dir, siteName)
	}}
}

func (a *authority) lego(program, version string) acmeClient {
	c := acmeClient{who: "lego " + version, factor: 1.2, key: "certificates/" + siteName + ".key", chain: "certificates/" + siteName + ".crt"}
	c.command = func(dir string) *exec.Cmd {
		cmd := exec.CommandContext(a.ctx, program, "--server", a.url, "--accept-tos", "--email", "bench@example.org", "--key-type", "ec256",
			"--http", "--http.port", a.address, "--path", dir, "--domains", siteName, "run")
		cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+a.bundle)
		return cmd
	}
	return c
}

func (a *authority) certbot() acmeClient {
	c := acmeClient{who: "Debian's certbot", factor: 0.1, key: "etc/live/" + siteName + "/privkey.pem", chain: "etc/live/" + siteName + "/fullchain.pem"}
	c.command = func(dir string) *exec.Cmd {
		host, port, _ := strings.Cut(a.address, ":")
		cmd := exec.CommandContext(a.ctx, "certbot", "certonly", "--non-interactive", "--standalone", "--http-01-address", host, "--http-01-port", port,
			"--server", a.url, "--agree-tos", "--email", "bench@example.org", "--no-eff-email", "--key-type", "ecdsa", "--elliptic-curve", "secp256r1",
			"--config-dir", dir+"/etc", "--work-dir", dir+"/work", "--logs-dir", dir+"/log", "--domain", siteName)
		cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+a.bundle)
		return cmd
	}
	return c
}

// dehydrated registers in a run of its own, with an RSA key: 0.7.0 has no other.
func (a *authority) dehydrated() acmeClient {
	c := acmeClient{who: "Debian's dehydrated", factor: 0.1, webroot: "webroot",
		key: "certs/" + siteName + "/privkey.pem", chain: "certs/" + siteName + "/fullchain.pem"}
	c.command = func(dir string) *exec.Cmd {
		config := fmt.Sprintf("BASEDIR=%[1]s\nWELLKNOWN=%[1]s/webroot\nCA=%s\nCURL_OPTS='--cacert %s'\nCONTACT_EMAIL=bench@example.org\nKEY_ALGO=prime256v1\n",
			dir, a.url, a.bundle)
		if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
			a.tb.Fatal(err)
		}
		const both = `dehydrated --config "$1" --register --accept-terms && exec dehydrated --config "$1" --cron --domain "$2"`
		return exec.CommandContext(a.ctx, "sh", "-c", both, "sh", filepath.Join(dir, "config"), siteName)
	}
	return c
}

// buildPeer builds a program of the very module that is linked in, outside of ours, and keeps it by version and toolchain.
func buildPeer(tb testing.TB, dir, name, module, pkg string) (binary, version string) {
	tb.Helper()
	version, source, _ := strings.Cut(golang(tb, repository(tb), "list", "-m", "-f", "{{.Version}} {{.Dir}}", module), " ")
	binary = filepath.Join(dir, fmt.Sprintf("%s-%s-%s", name, version, runtime.Version()))
	if _, err := os.Stat(binary); err == nil {
		return binary, version
	} else if !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	tb.Logf("building %s %s, once: this takes minutes", name, version)
	work := filepath.Join(dir, name+"-"+version)
	if err := errors.Join(os.RemoveAll(work), os.CopyFS(work, os.DirFS(source))); err != nil {
		tb.Fatal(err)
	}
	makeWritable(tb, work) // the module cache is not
	goBuild(tb, work, binary+".new", pkg)
	if err := os.Rename(binary+".new", binary); err != nil { // only a whole build is kept
		tb.Fatal(err)
	}
	return binary, version
}
