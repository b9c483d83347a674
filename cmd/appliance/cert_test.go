package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// certBackend is a supervisor that only knows of a certificate.
type certBackend struct {
	api.Backend
	bus *api.Bus

	mu         sync.Mutex
	now        api.Certificate
	refuse     error
	key, chain string // that were imported
}

func (b *certBackend) Events() *api.Bus { return b.bus }
func (b *certBackend) Status() api.Status {
	return api.Status{Version: api.Version, State: "run", Healthy: true, Supervisor: &api.Supervisor{}}
}
func (b *certBackend) Storage(context.Context) (api.Storage, error) { return api.Storage{}, nil }
func (b *certBackend) Certificate() api.Certificate {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *certBackend) RenewCertificate(context.Context) (api.Certificate, error) {
	return b.Certificate(), b.refuse
}

func (b *certBackend) ImportCertificate(_ context.Context, key, chain []byte) (api.Certificate, error) {
	b.key, b.chain = string(key), string(chain)
	return b.Certificate(), b.refuse
}

// serveAPI has a backend answer below a new root.
func serveAPI(t *testing.T, backend api.Backend) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "cli") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := api.Listen(system.New(system.Config{Root: root}))
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewServer(api.Config{Backend: backend, Log: slog.New(slog.DiscardHandler)})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Close)
	return root
}

// appliance runs the command line in this process.
func appliance(t *testing.T, root, input string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), append([]string{"appliance", "--root", root}, args...), stdio{strings.NewReader(input), &out, &err}, nil)
	return out.String(), err.String(), status
}

func TestCertStatus(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := api.Certificate{Version: api.Version, Source: "acme", Names: []string{"box.example.org", "www.box.example.org"}, Issuer: "CN=R11",
		NotBefore: now.Add(-10 * 24 * time.Hour), NotAfter: now.Add(80*24*time.Hour + time.Minute)}
	over := good
	over.NotAfter, over.LastError, over.Tries, over.Warnings = now.Add(-time.Minute), "cannot ask the authority", 7, []string{"The certificate has expired"}
	early := good
	early.NotBefore = now.Add(time.Hour)
	for _, test := range []struct {
		name        string
		certificate api.Certificate
		args        []string
		status      int
		stdout      []string
		stderr      string
	}{
		{"good", good, nil, 0, []string{"box.example.org, www.box.example.org", "(80 days left)", "CN=R11"}, ""},
		{"enough days", good, []string{"--check", "80"}, 0, []string{"80 days left"}, ""},
		{"too few days", good, []string{"--check", "81"}, 1, []string{"80 days left"}, "appliance: cannot rely on the certificate for 81 days: 80 are left\nTo do: "},
		{"expired", over, nil, 3, []string{"(expired)", "cannot ask the authority (tried 7 times)", "warning      The certificate has expired"}, ""},
		{"expired, for a monitor", over, []string{"--check", "0"}, 1, nil, "appliance: cannot rely on the certificate: it expired on "},
		{"yet to begin", early, nil, 3, []string{"(not yet valid)"}, ""},
		{"yet to begin, for a monitor", early, []string{"--check", "3"}, 1, nil, "To do: check the clock of the host"},
		{"none", api.Certificate{}, nil, 3, []string{"There is no certificate yet."}, ""},
		{"none, for a monitor", api.Certificate{}, []string{"--check", "3"}, 1, nil, "cannot rely on the certificate: there is none"},
		{"for programs", over, []string{"--json"}, 3, []string{`"source": "acme"`, `"tries": 7`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := serveAPI(t, &certBackend{now: test.certificate})
			out, stderr, status := appliance(t, root, "", append([]string{"cert", "status"}, test.args...)...)
			if status != test.status || !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("status %d, want %d; stderr %q", status, test.status, stderr)
			}
			for _, want := range test.stdout {
				if !strings.Contains(out, want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
		})
	}
}

func TestCertRenew(t *testing.T) {
	t.Parallel()
	b := &certBackend{bus: api.NewBus(), now: api.Certificate{Source: "acme", Names: []string{"box.example.org"}, NotAfter: time.Now().Add(90*24*time.Hour + time.Minute)}}
	root := serveAPI(t, b)
	if out, stderr, status := appliance(t, root, "", "cert", "renew"); status != 0 || !strings.Contains(out, "90 days left") || stderr != "" {
		t.Errorf("%d\n%s%s", status, out, stderr)
	}
	b.refuse = remedy.With(errors.New("cannot renew the certificate: the authority refuses box.example.org"), "make port 80 reachable")
	want := "appliance: cannot renew the certificate: the authority refuses box.example.org\nTo do: make port 80 reachable.\n"
	if out, stderr, status := appliance(t, root, "", "cert", "renew"); status != 1 || out != "" || stderr != want {
		t.Errorf("%d\n%s%s", status, out, stderr)
	}
}

// pair makes a key and a certificate, as PEM.
func pair(t *testing.T) (key, chain string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x5eed), Subject: pkix.Name{CommonName: "box"}, DNSNames: []string{"box.example.org"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30*24*time.Hour + time.Minute)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertImport(t *testing.T) {
	t.Parallel()
	key, chain := pair(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	keyFile, chainFile, both := write("key.pem", "my key\n"+key), write("chain.pem", chain+chain), write("both.pem", chain+key+chain)
	b := &certBackend{}
	root := serveAPI(t, b)
	for _, test := range []struct {
		name, input string
		args        []string
		chain       string
	}{
		{"two files", "", []string{"--key", keyFile, "--cert", chainFile}, chain + chain},
		{"one file", "", []string{"--cert", both}, chain + chain},
		{"one file twice", "", []string{"--cert", both, "--key", both}, chain + chain},
		{"a key beside a file with both", "", []string{"--cert", both, "--key", keyFile}, chain + chain},
		{"standard input", key + chain, []string{"--cert", "-"}, chain},
		{"standard input twice", key + chain, []string{"--cert", "-", "--key", "-"}, chain},
		{"the key by standard input", key, []string{"--cert", chainFile, "--key", "-"}, chain + chain},
		{"line ends of another system", strings.ReplaceAll(key+chain, "\n", "\r\n"), []string{"--cert", "-"}, chain},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.key, b.chain = "", ""
			if out, stderr, status := appliance(t, root, test.input, append([]string{"cert", "import"}, test.args...)...); status != 0 || stderr != "" {
				t.Fatalf("%d\n%s%s", status, out, stderr)
			}
			if diff := cmp.Diff([]string{key, test.chain}, []string{b.key, b.chain}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	out, stderr, status := appliance(t, root, strings.Repeat(key, maxPEM/len(key)+1), "cert", "import", "--cert", "-")
	if status != 1 || !strings.Contains(stderr, "more than 1048576 bytes") {
		t.Errorf("a huge file: %d\n%s%s", status, out, stderr)
	}
	if err := os.Chmod(both, 0o640); err != nil {
		t.Fatal(err)
	}
	b.refuse = errors.New("cannot use the certificate: it is for another site")
	_, stderr, status = appliance(t, root, "", "cert", "import", "--cert", both)
	if status != 1 || !strings.Contains(stderr, "others can read the key") || !strings.Contains(stderr, "for another site") || strings.Contains(stderr, "BEGIN") {
		t.Errorf("a refusal: %d\n%s", status, stderr)
	}
}

func TestCertStatusFromTheFiles(t *testing.T) {
	t.Parallel()
	_, chain := pair(t)
	root := t.TempDir()
	for _, args := range [][]string{{"cert", "status"}, {"cert", "status", "--check", "1"}} {
		if out, stderr, status := appliance(t, root, "", args...); status != 1 || !strings.Contains(stderr, "To do: start it") {
			t.Errorf("%v, where there is nothing to tell of: %d\n%s%s", args, status, out, stderr)
		}
	}
	dir := filepath.Join(root, "data/etc/cert")
	generation := filepath.Join(dir, "7-0f3a5c77")
	err := errors.Join(os.MkdirAll(generation, 0o755), os.WriteFile(filepath.Join(generation, "chain.pem"), []byte(chain), 0o644),
		os.WriteFile(filepath.Join(generation, "made.json"), []byte(`{"source":"imported"}`), 0o644), os.Symlink("7-0f3a5c77", filepath.Join(dir, "current")))
	if err != nil {
		t.Fatal(err)
	}
	out, stderr, status := appliance(t, root, "", "cert", "status", "--json")
	var got api.Certificate
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 {
		t.Fatalf("%d %v\n%s%s", status, err, out, stderr)
	}
	want := api.Certificate{Version: api.Version, Source: "imported", Names: []string{"box.example.org", "192.0.2.1"}, Issuer: "CN=box", Serial: "5eed",
		SHA256: got.SHA256, NotBefore: got.NotBefore, NotAfter: got.NotAfter, Warnings: []string{"No supervisor is running: nobody renews it."}}
	if diff := cmp.Diff(want, got); diff != "" || len(got.SHA256) != 64 || daysLeft(got, time.Now()) != 30 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out, _, status := appliance(t, root, "", "cert", "status"); status != 0 || !strings.Contains(out, "30 days left") || !strings.Contains(out, "nobody renews it") {
		t.Errorf("%d\n%s", status, out)
	}
}
