package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

// newNginxBox is a box with Debian's nginx, set up by the example of the package.
func newNginxBox(t *testing.T) *box {
	spec := rig.Trixie()
	spec.Packages = []string{"nginx-light", "openssl"}
	b := newBox(t, spec)
	b.Run("systemctl", "stop", "appliance", "nginx")
	b.Run("rm", "/etc/nginx/sites-enabled/default")
	b.Run("cp", "/usr/share/doc/appliance/examples/nginx-site.conf", "/etc/nginx/sites-enabled/appliance")
	return b
}

const selfSigned = "    letsencrypt: {enabled: false}\n"

// nginx makes nginx the front, with these lines below ssl.
func (b *box) nginx(ssl string) {
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {data: true, volatile: true}}\n  front: external\n  ssl:\n"+ssl), 0o600)
}

// ask asks nginx for a page, and trusts no certificate but those that trust leads to.
func (b *box) ask(trust, path string, options ...string) (int, string) {
	return b.HTTP("https://box.example.org"+path, append([]string{"--resolve", "box.example.org:443:127.0.0.1", "--cacert", trust}, options...)...)
}

const ownCertificate = "/data/etc/server.cert.pem"

func (b *box) awaitVisit(want int, trust, path string, options ...string) (body string) {
	b.t.Helper()
	status := 0
	defer func() {
		if b.t.Failed() {
			b.t.Logf("%s: %d %s", path, status, body)
		}
	}()
	b.Eventually(time.Minute, "nginx to answer as it should", func() bool {
		status, body = b.ask(trust, path, options...)
		return status == want
	})
	return body
}

func TestNginx(t *testing.T) {
	t.Parallel()
	b := newNginxBox(t)
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"nginx shows the site with our certificate", nginxServes},
		{"the page while the appliance is stopped", nginxShowsThePage},
		{"certificates of visitors, made as the predecessor's application does", nginxKnowsVisitors},
		{"a certificate by ACME, answered for by nginx", nginxAnswersChallenges},
		{"a template that nginx does not take leaves it as it is", nginxKeepsTheOld},
		{"back by itself after a reboot", nginxComesBack},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

func nginxServes(b *box) {
	b.nginx(selfSigned)
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	b.awaitVisit(200, ownCertificate, "/healthz")
	if status, body := b.HTTP("http://127.0.0.1/x?y=1"); status != 308 {
		b.t.Errorf("without TLS: %d %s", status, body)
	}
	began := b.Run("systemctl", "show", "--property", "ExecReloadStartTimestampMonotonic,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic", "nginx")
	b.Run("systemctl", "restart", "appliance")
	b.awaitHealthy()
	if now := b.Run("systemctl", "show", "--property", "ExecReloadStartTimestampMonotonic,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic", "nginx"); now != began {
		b.t.Errorf("nginx was disturbed for nothing:\n%s\nbefore:\n%s", now, began)
	}
}

func nginxShowsThePage(b *box) {
	b.Run("systemctl", "stop", "appliance")
	body := b.awaitVisit(503, ownCertificate, "/some/page", "--include")
	if !strings.Contains(body, "<html") || !strings.Contains(strings.ToLower(body), "\nretry-after: ") {
		b.t.Errorf("the page is %s", body)
	}
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	b.awaitVisit(200, ownCertificate, "/healthz")
}

// authorityScript does what the predecessor's application does in its container: an authority without an extension of its
// own, client certificates without one, and a list whose number counts.
const authorityScript = `set -e
cd /var/tmp/ca
cat >ca.cnf <<END
[ca]
default_ca = own
[own]
private_key = ca.key
certificate = /data/ecs-ca/ca.cert.pem
database = index.txt
serial = serial
crlnumber = number
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
END
: >index.txt
echo 07 >serial
echo 01 >number
openssl genrsa -out ca.key 2048
openssl req -batch -new -x509 -key ca.key -days 3650 -subj /CN=box.example.org -out /data/ecs-ca/ca.cert.pem
for name in doctor nurse; do
	openssl genrsa -out $name.key 2048
	openssl req -batch -new -key $name.key -subj /CN=$name -out $name.csr
	openssl ca -batch -config ca.cnf -days 7 -in $name.csr -out $name.pem
done
openssl ca -batch -config ca.cnf -gencrl -crldays 3650 -out /data/ecs-ca/crl.pem
`

func nginxKnowsVisitors(b *box) {
	application := func(script string) {
		b.Run("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c", script)
	}
	with := func(name string) []string {
		return []string{"--cert", "/var/tmp/ca/" + name + ".pem", "--key", "/var/tmp/ca/" + name + ".key"}
	}
	b.Run("install", "-d", "-o", "1000", "-g", "1000", "/var/tmp/ca")
	application(authorityScript)
	b.awaitVisit(200, ownCertificate, "/healthz", with("doctor")...)
	b.awaitVisit(200, ownCertificate, "/healthz", with("nurse")...)

	application("cd /var/tmp/ca && openssl ca -config ca.cnf -revoke nurse.pem && openssl ca -config ca.cnf -gencrl -crldays 3650 -out /data/ecs-ca/crl.pem")
	b.awaitVisit(400, ownCertificate, "/healthz", with("nurse")...)
	b.awaitVisit(200, ownCertificate, "/healthz", with("doctor")...)

	application("echo torn >/data/ecs-ca/crl.pem")
	b.Eventually(time.Minute, "a warning of the torn list", func() bool {
		return strings.Contains(b.Run("journalctl", "--unit", "appliance", "--output", "cat", "--no-pager"), "cannot use /data/ecs-ca/crl.pem: ")
	})
	b.Run("nginx", "-t")
	b.Run("systemctl", "restart", "nginx")
	b.awaitVisit(400, ownCertificate, "/healthz", with("nurse")...)

	b.nginx(selfSigned + "    client_certs: required\n")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	b.awaitVisit(400, ownCertificate, "/healthz")
	b.awaitVisit(200, ownCertificate, "/healthz", with("doctor")...)
}

func nginxAnswersChallenges(b *box) {
	program := filepath.Join(b.t.TempDir(), "authority")
	build := exec.CommandContext(b.t.Context(), "go", "build", "-trimpath", "-o", program, "./testdata/authority")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.Copy(program, "/root/authority")
	b.Run("mkdir", "/var/tmp/acme")
	b.Run("systemd-run", "--unit=authority", "/root/authority", "127.0.0.1:14000", "/var/tmp/acme")
	b.Eventually(time.Minute, "an authority", func() bool {
		_, _, code := b.Try(b.t.Context(), "sh", "-c", "cd /var/tmp/acme && test -s directory && test -s bundle.pem && test -s root.pem")
		return code == 0
	})
	bundle := strings.ReplaceAll(strings.TrimSpace(string(b.ReadFile("/var/tmp/acme/bundle.pem"))), "\n", "\n        ")
	b.nginx("    acme:\n      directory: " + strings.TrimSpace(string(b.ReadFile("/var/tmp/acme/directory"))) + "\n      ca_bundle: |\n        " + bundle + "\n")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	begun := time.Now()
	b.awaitVisit(200, "/var/tmp/acme/root.pem", "/healthz")
	b.t.Logf("nginx shows the authority's certificate after %s", time.Since(begun).Round(time.Millisecond))
	b.Eventually(30*time.Second, "the answers to be taken away", func() bool {
		return strings.TrimSpace(b.Run("ls", "/data/etc/dehydrated/acme-challenge")) == ""
	})
}

func nginxKeepsTheOld(b *box) {
	before := b.ReadFile("/data/etc/server.identity")
	b.WriteFile("/data/etc/template.identity", []byte("server_name ##ALLOWED_HOSTS##;\nproxy_passs nowhere;\n"), 0o644)
	out, stderr, code := b.Try(b.t.Context(), "appliance", "reload")
	if code == 0 {
		b.t.Errorf("the reload went well: %s%s", out, stderr)
	}
	b.Eventually(time.Minute, "nginx's complaint in the status", func() bool {
		out, _, _ := b.Try(b.t.Context(), "appliance", "status")
		return strings.Contains(out, `unknown directive "proxy_passs"`)
	})
	if after := b.ReadFile("/data/etc/server.identity"); string(after) != string(before) {
		b.t.Errorf("the identity is now:\n%s", after)
	}
	b.Run("nginx", "-t")
	b.awaitVisit(200, "/var/tmp/acme/root.pem", "/healthz") // the application runs on, and nginx leads to it
	b.Run("rm", "/data/etc/template.identity")
	b.Run("appliance", "clear")
	b.awaitHealthy()
	b.awaitVisit(200, "/var/tmp/acme/root.pem", "/healthz")
}

func nginxComesBack(b *box) {
	b.Reboot()
	b.awaitHealthy()
	b.awaitVisit(200, "/var/tmp/acme/root.pem", "/healthz")
}
