package create_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/create"
)

// program answers a command of the Debian package, or skips the test where it is not installed; with
// APPLIANCE_TOOLS=require the test fails instead.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("APPLIANCE_TOOLS") == "require":
		t.Fatalf("%s is missing: install the package %s", name, pkg)
	default:
		t.Skipf("%s is missing: install the package %s", name, pkg)
	}
	return ""
}

// judge runs a program on the given input and answers what it printed; it has to be content.
func judge(t *testing.T, environ []string, stdin, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(path), strings.Join(args, " "), err, out.String(), messages.String())
	}
	return out.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyrings answers the environment of a gpg with no keys.
func keyrings(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // the path of the agent's socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return []string{"GNUPGHOME=" + dir, "LC_ALL=C"}
}

func TestGnuPGUsesTheKeys(t *testing.T) {
	made := values(t, environment(t).Data)
	for _, tool := range []struct{ name, pkg string }{{"gpg", "gnupg"}, {"gpg1", "gnupg1"}} {
		for name, armored := range map[string]string{
			"ecs_backup": made["APPLIANCE_BACKUP_ENCRYPT"], "ecs_mediaserver": made["ECS_VAULT_ENCRYPT"], "ecs_authority": made["ECS_VAULT_SIGN"],
		} {
			t.Run(tool.name+" "+name, func(t *testing.T) {
				t.Parallel()
				useKey(t, program(t, tool.name, tool.pkg), name, armored)
			})
		}
	}
}

func useKey(t *testing.T, path, name, armored string) {
	t.Helper()
	environ := keyrings(t)
	gpg := func(stdin string, args ...string) string {
		t.Helper()
		return judge(t, environ, stdin, path, append([]string{"--batch", "--quiet", "--no-tty"}, args...)...)
	}
	if filepath.Base(path) == "gpg" {
		conf := program(t, "gpgconf", "gpgconf")
		t.Cleanup(func() {
			_ = exec.Command(conf, "--homedir", strings.TrimPrefix(environ[0], "GNUPGHOME="), "--kill", "all").Run()
		})
	}
	gpg(armored, "--import")

	var listed []string
	for line := range strings.Lines(gpg("", "--with-colons", "--fixed-list-mode", "--list-keys")) {
		if f := strings.Split(line, ":"); f[0] == "pub" || f[0] == "sub" {
			listed = append(listed, fmt.Sprintf("%s %s bits, algorithm %s, from %s until %q, can %s", f[0], f[2], f[3], f[5], f[6], f[11]))
		} else if f[0] == "uid" {
			listed = append(listed, f[0]+" "+f[9])
		}
	}
	want := []string{ // algorithm 1 is RSA; 1740830400 is 2025-03-01 12:00 UTC
		`pub 2048 bits, algorithm 1, from 1740830400 until "", can scESC`, "uid " + name,
		`sub 2048 bits, algorithm 1, from 1740830400 until "", can e`,
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Error(diff)
	}
	packets := gpg(armored, "--list-packets")
	for _, want := range []string{"version 4", "pref-sym-algos: 9 7", "pref-hash-algos: 8", "pref-zip-algos: 2 1 0"} { // AES, SHA256, ZLIB
		if !strings.Contains(packets, want) {
			t.Errorf("no %s in\n%s", want, packets)
		}
	}
	if strings.Contains(packets, "aead") {
		t.Errorf("old programs know no AEAD:\n%s", packets)
	}

	const text = "write-once, read-never: write-once, read-never: write-once, read-never"
	sealed := gpg(text, "--armor", "--trust-model", "always", "--recipient", name, "--encrypt")
	if opened := gpg(sealed, "--decrypt"); opened != text {
		t.Errorf("decrypted: %q", opened)
	}
	if packets := gpg(sealed, "--list-packets"); !strings.Contains(packets, ":compressed packet: algo=2") {
		t.Errorf("what is encrypted is not compressed:\n%s", packets)
	}
	signed := gpg(text, "--armor", "--local-user", name, "--sign")
	if verified := gpg(signed, "--status-fd", "1", "--verify"); !strings.Contains(verified, "[GNUPG:] GOODSIG ") || !strings.Contains(verified, " "+name+"\n") {
		t.Errorf("verified: %s", verified)
	}
}

func TestOpenSSLReadsTheDKIMKey(t *testing.T) {
	key := values(t, environment(t).Data)["APPLIANCE_DKIM_KEY"] + "\n"
	openssl := program(t, "openssl", "openssl")
	if got := judge(t, nil, key, openssl, "rsa", "-check", "-noout"); !strings.Contains(got, "RSA key ok") {
		t.Errorf("openssl says %s", got)
	}
	public := judge(t, nil, key, openssl, "rsa", "-pubout")
	lines := strings.Split(strings.TrimSpace(public), "\n")
	want := "v=DKIM1; k=rsa; s=email; p=" + strings.Join(lines[1:len(lines)-1], "")
	for _, r := range environment(t).DNS {
		if strings.HasPrefix(r.Name, create.Selector+"._domainkey.") && r.Value != want {
			t.Errorf("the record is %s\nopenssl has  %s", r.Value, want)
		}
	}
}

// opendkim asks its own resolver, which takes our lines for the zone file of the domain.
func TestOpenDKIMFindsTheKeyInOurZone(t *testing.T) {
	testkey := program(t, "opendkim-testkey", "opendkim-tools")
	e := environment(t)
	lines := "$TTL 60\n" + domain + ". IN SOA ns. root. 1 60 60 60 60\n" + domain + ". IN NS ns.\n"
	for _, r := range e.DNS {
		if strings.HasSuffix(r.Name, domain+".") {
			lines += r.String() + "\n"
		}
	}
	zone := write(t, "zone", lines)
	resolver := write(t, "resolver.conf", "server:\n  chroot: \"\"\nauth-zone:\n  name: \""+domain+"\"\n  zonefile: \""+zone+"\"\n  fallback-enabled: no\n")
	conf := write(t, "opendkim.conf", "ResolverConfiguration "+resolver+"\nTrustAnchorFile /dev/null\n")
	key := write(t, "dkim.key", values(t, e.Data)["APPLIANCE_DKIM_KEY"]+"\n")
	judge(t, nil, "", testkey, "-d", domain, "-s", create.Selector, "-k", key, "-x", conf)
}

func TestCloudInitTakesTheFile(t *testing.T) {
	cloudInit := program(t, "cloud-init", "cloud-init")
	extra := []byte("ssh_authorized_keys:\n  - ssh-ed25519 AAAA ada@example.org\n")
	withKeys, err := create.New(t.Context(), create.Options{Domain: domain, Now: born(), Extra: extra, ExtraName: "extra.yml"})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*create.Environment{"plain": environment(t), "with ssh keys": withKeys} {
		t.Run(name, func(t *testing.T) {
			if got := judge(t, nil, "", cloudInit, "schema", "--config-file", write(t, "env.yml", string(e.Data))); !strings.Contains(got, "Valid") {
				t.Errorf("cloud-init says %s", got)
			}
		})
	}
}

func TestPythonRunsTheSettings(t *testing.T) {
	const script = `
import sys
found = {"SMTPD_CONFIG": {}}
exec(compile(sys.stdin.read(), "settings", "exec"), found)
for name in ("DOMAIN", "ABSOLUTE_URL_PREFIX", "ALLOWED_HOSTS", "PDFAS_SERVICE", "SMTPD_CONFIG", "SENTRY_DSN", "DEBUG"):
    print(name, found[name])
for name in ("SECRET_KEY", "REGISTRATION_SECRET", "PASSWORD_RESET_SECRET", "ETHICS_COMMISSION_UUID", "EMAIL_BACKEND"):
    print(name, len(found[name]))
`
	python := program(t, "python3", "python3")
	const dsn = `https://a'"\b@sentry.example.org/ö`
	extra := []byte("appliance: {sentry: {dsn: '" + strings.ReplaceAll(dsn, "'", "''") + "'}}\n")
	e, err := create.New(t.Context(), create.Options{Domain: domain, Now: born(), Extra: extra, ExtraName: "extra.yml"})
	if err != nil {
		t.Fatal(err)
	}
	got := judge(t, []string{"PYTHONIOENCODING=utf-8"}, values(t, e.Data)["ECS_SETTINGS"], python, "-c", script)
	want := `DOMAIN ecs.example.org
ABSOLUTE_URL_PREFIX https://ecs.example.org
ALLOWED_HOSTS ['ecs.example.org']
PDFAS_SERVICE https://ecs.example.org/pdf-as-web/
SMTPD_CONFIG {'listen_addr': ('0.0.0.0', 8025), 'domain': 'ecs.example.org'}
SENTRY_DSN ` + dsn + `
DEBUG False
SECRET_KEY 52
REGISTRATION_SECRET 52
PASSWORD_RESET_SECRET 52
ETHICS_COMMISSION_UUID 32
EMAIL_BACKEND 46
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
