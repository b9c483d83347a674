package nginx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"appliance/internal/cert/clientca"
	"appliance/internal/system"
)

// program answers where a program of Debian is. Without it the test is skipped, unless APPLIANCE_TOOLS=require.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("APPLIANCE_TOOLS") == "require" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed: nobody but us has read the files", name)
	return ""
}

// signer makes certificates.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(t *testing.T, name string) signer {
	ca := signer{t: t}
	pair := ca.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SerialNumber: big.NewInt(1)})
	return signer{t, pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)}
}

// sign makes a certificate; without an authority it signs itself.
func (ca signer) sign(template *x509.Certificate) tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	if ca.key == nil {
		ca.cert, ca.key = template, key
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (ca signer) client(serial int64) *tls.Certificate {
	pair := ca.sign(&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("visitor ", serial)}, SerialNumber: big.NewInt(serial)})
	return &pair
}

func (ca signer) revoke(number int64, serials ...int64) []byte {
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// site is a real nginx with the site of the package, on a directory and ports of its own.
type site struct {
	*Server
	t          *testing.T
	root       string
	plain, tls string // addresses
	server     signer
	clients    signer
	http2      bool // visitors offer it
}

func newSite(t *testing.T) *site {
	nginx, openssl := program(t, "nginx"), program(t, "openssl")
	s := &site{t: t, root: t.TempDir(), plain: freeAddress(t), tls: freeAddress(t), server: newSigner(t, "server CA"), clients: newSigner(t, "client CA")}
	s.makeReadable()
	sys := system.New(system.Config{Root: s.root})
	here := strings.NewReplacer("/app/etc", s.root+"/data/etc", "/var/www", s.root+"/var/www",
		"listen [::]", "#", "listen 80", "listen "+s.plain, "listen 443", "listen "+s.tls, "include /app/etc/", "include "+s.root+"/seen/")
	conf := s.put("nginx.conf", fmt.Sprintf("daemon off; pid %[1]s/pid; error_log %[1]s/error.log; events {}\nhttp { access_log off;\n"+
		"client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;\ninclude %[1]s/site.conf; }\n", s.root))
	text, err := os.ReadFile("../../packaging/nginx-site.conf")
	if err != nil {
		t.Fatal(err)
	}
	s.put("site.conf", here.Replace(string(text)))
	// nginx sees the identity with the names of this directory.
	seen := s.put("see", fmt.Sprintf("#!/bin/sh\nmkdir -p %[1]s/seen && sed 's#/app/etc#%[1]s/data/etc#; s#/var/www#%[1]s/var/www#' %[1]s%[2]s >%[1]s/seen/server.identity && exec \"$@\"\n", s.root, IdentityFile))
	s.Server = New(Config{System: sys,
		Test:   []string{seen, nginx, "-T", "-q", "-e", "/dev/stdout", "-c", conf},
		Reload: []string{seen, "sh", "-c", "test ! -s " + s.root + "/pid || kill -HUP $(cat " + s.root + "/pid)"},
		Active: []string{"true"},
	})
	s.certify("ecs.example.org", 11)
	dh, err := exec.CommandContext(t.Context(), openssl, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.put("data/etc/dhparam.pem", string(dh))
	return s
}

// makeReadable lets nginx's workers, who are nobody, in.
func (s *site) makeReadable() {
	for dir := s.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *site) put(name, text string) string {
	s.t.Helper()
	name = filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return name
}

func (s *site) certify(name string, serial int64) {
	s.t.Helper()
	pair := s.server.sign(&x509.Certificate{DNSNames: []string{name}, SerialNumber: big.NewInt(serial)})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.put("data/etc/server.key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	s.put("data/etc/server.cert.pem", string(pemOf(pair.Leaf)))
}

// authorize is what the appliance does when the application has written its files.
func (s *site) authorize(list []byte) bool {
	s.t.Helper()
	s.put(clientca.CAFile, string(pemOf(s.clients.cert)))
	s.put(clientca.CRLFile, string(list))
	files := clientca.Files{System: s.System}
	bundle, warnings := files.Load()
	if err := files.Keep(bundle); err != nil || len(warnings) > 0 {
		s.t.Fatal(err, warnings)
	}
	return len(bundle.CRLs) > 0
}

func (s *site) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(program(t, "nginx"), "-e", s.root+"/error.log", "-c", s.root+"/nginx.conf")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // nginx's fast end, with its workers
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(s.root + "/error.log")
			t.Logf("nginx's log:\n%s", log)
		}
	})
	s.eventually("nginx to listen", func() bool {
		conn, err := net.Dial("tcp", s.tls)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *site) eventually(what string, cond func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// converge applies the wish and waits until nginx answers by it.
func (s *site) converge(w Wish, done func() bool) {
	s.t.Helper()
	if why, err := s.Missing(s.t.Context(), w); why == "" || err != nil {
		s.t.Errorf("nothing is to be done: %v", err)
	}
	if err := s.Apply(s.t.Context(), w); err != nil {
		s.t.Fatal(err)
	}
	if why, err := s.Missing(s.t.Context(), w); why != "" || err != nil {
		s.t.Errorf("still to be done: %s, %v", why, err)
	}
	if done != nil {
		s.eventually("nginx to take the new configuration", done)
	}
}

func (s *site) visitor(cert *tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.server.cert)
	conf := &tls.Config{RootCAs: roots, ServerName: "ecs.example.org"}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true, ForceAttemptHTTP2: s.http2}, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask answers the status and the body. An alert instead of an answer is status 0.
func (s *site) ask(cert *tls.Certificate, url string, header http.Header) (int, string, *http.Response) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := s.visitor(cert).Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp
}

// upstream is an application that tells what it was asked.
func upstream(t *testing.T, name string) netip.AddrPort {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/echo" && r.Header.Get("Upgrade") == "websocket" {
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			kind, text, err := conn.Read(r.Context())
			if err == nil {
				_ = conn.Write(r.Context(), kind, text)
			}
			conn.Close(websocket.StatusNormalClosure, "")
			return
		}
		fmt.Fprintf(w, "%s %s\nhost: %s\n", name, r.URL, r.Host)
		for key, values := range r.Header {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(key), strings.Join(values, "|"))
		}
	}))
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}
