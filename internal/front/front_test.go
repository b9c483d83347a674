package front

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a CA made for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial atomic.Int64

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil)
	return a
}

// sign completes the template and has it signed by a, or by itself.
func sign(t testing.TB, template *x509.Certificate, a *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(0x1000 + serial.Add(1))
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// pair is a server's certificate for names.
func (a *authority) pair(t testing.TB, names ...string) *KeyPair {
	t.Helper()
	cert, key := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a)
	return keyPair(t, cert, key)
}

func keyPair(t testing.TB, cert *x509.Certificate, key *ecdsa.PrivateKey) *KeyPair {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &KeyPair{
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
	}
}

// site is a server with its sockets, its CA and what it was told.
type site struct {
	*Server
	ca           *authority
	state        State
	plain, tls   string // addresses
	access, logs *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start makes a site for example.test, open, with what change makes of its state.
func start(t testing.TB, limits Limits, change func(*State)) *site {
	t.Helper()
	s := &site{ca: newAuthority(t, "site CA"), access: &lines{}, logs: &lines{}}
	s.state = State{Names: []string{"example.test", "www.example.test"}, Certificate: s.ca.pair(t, "example.test"), Open: true, TLSPort: 443}
	if change != nil {
		change(&s.state)
	}
	s.Server = NewServer(Config{Log: slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Access: s.access, Limits: limits})
	s.apply(t)
	plain, secure := listen(t), listen(t)
	s.plain, s.tls = plain.Addr().String(), secure.Addr().String()
	serve(t, func() error { return s.ServePlain(plain) })
	serve(t, func() error { return s.ServeTLS(secure) })
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Drain(ctx)
	})
	return s
}

func serve(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	t.Cleanup(func() { // runs after the server was drained, if the caller asks for that later than for this
		go func() { <-done }()
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *site) apply(t testing.TB) {
	t.Helper()
	if err := s.Apply(s.state); err != nil {
		t.Fatal(err)
	}
}

// to is a route to the upstream for everything.
func to(upstreams ...*httptest.Server) []Route {
	r := Route{Path: "/", Service: "web"}
	for _, u := range upstreams {
		r.Backends = append(r.Backends, u.Listener.Addr().String())
	}
	return []Route{r}
}

func upstream(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	u := httptest.NewServer(h)
	t.Cleanup(u.Close)
	return u
}

// client speaks to the site by TLS, whatever name is asked for.
func (s *site) client(t testing.TB, change func(*http.Transport)) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.tls)
		},
		TLSClientConfig: &tls.Config{RootCAs: s.ca.pool(), ServerName: "example.test"},
	}
	if change != nil {
		change(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func byHTTP2(t *http.Transport) { t.ForceAttemptHTTP2 = true }

// get fetches a path and answers the status and the body.
func get(t testing.TB, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	return do(t, c, http.MethodGet, path, nil, nil)
}

func do(t testing.TB, c *http.Client, method, path string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://example.test"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// dial opens a TLS connection to the site for HTTP/1.1.
func (s *site) dial(t testing.TB) *tls.Conn {
	t.Helper()
	return s.dialFor(t, "http/1.1")
}

func (s *site) dialFor(t testing.TB, protocol string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.tls, &tls.Config{RootCAs: s.ca.pool(), ServerName: "example.test", NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends bytes on a TLS connection and answers all that comes back until it is closed.
func (s *site) raw(t testing.TB, text string) string {
	t.Helper()
	c := s.dial(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil && len(answer) == 0 {
		return "(" + err.Error() + ")"
	}
	return string(answer)
}

// wait waits for a condition.
func wait(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\r\n")
	return line
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }
