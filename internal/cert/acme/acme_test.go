package acme

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/system"
)

// hookURL makes the test binary a program that writes records: it hands its arguments to that address.
const hookURL = "APPLIANCE_TEST_DNS_HOOK"

// askedByProxy makes the test binary ask this directory, through the proxy of its environment.
const askedByProxy = "APPLIANCE_TEST_ACME_DIRECTORY"

func TestMain(m *testing.M) {
	if directory := os.Getenv(askedByProxy); directory != "" {
		c := New(Config{Settings: Settings{Directory: directory}, System: system.New(system.Config{Root: os.TempDir()}).Reader(), Dir: "/none"})
		_, err := c.Window(context.Background(), &x509.Certificate{SerialNumber: big.NewInt(77), AuthorityKeyId: []byte{1}})
		fmt.Print(err)
		os.Exit(0)
	}
	if url := os.Getenv(hookURL); url != "" && len(os.Args) == 4 {
		body := fmt.Sprintf(`{"fqdn": %q, "value": %q}`, os.Args[2], os.Args[3])
		resp, err := http.Post(url+"/"+os.Args[1], "application/json", strings.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusOK {
			fmt.Fprintln(os.Stderr, "first line\nthe hook failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// site is the front as the authority sees it: it answers what it was told to show.
type site struct {
	httpPort, tlsPort int

	mu   sync.Mutex
	http map[string]string
	alpn map[string]tls.Certificate
	seen []string // what was asked for
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{http: map[string]string{}, alpn: map[string]tls.Certificate{}}
	plain := httptest.NewServer(s)
	t.Cleanup(plain.Close)
	s.httpPort = plain.Listener.Addr().(*net.TCPAddr).Port
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.TLS = &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: s.certificate}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	s.tlsPort = secure.Listener.Addr().(*net.TCPAddr).Port
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, "http")
	answer, ok := s.http[strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, answer)
}

func (s *site) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, "alpn")
	certificate, ok := s.alpn[hello.ServerName]
	if !ok {
		return nil, errors.New("not shown")
	}
	return &certificate, nil
}

func (s *site) ShowHTTP(_ context.Context, token, keyAuthorization string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.http[token] = keyAuthorization
	return nil
}

func (s *site) HideHTTP(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.http, token)
}

func (s *site) ShowALPN(_ context.Context, name string, key, certificate []byte) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alpn[name] = pair
	return nil
}

func (s *site) HideALPN(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.alpn, name)
}

// looked says what the authority came for, and checks that nothing is shown any more.
func (s *site) looked(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.http)+len(s.alpn) > 0 {
		t.Errorf("still shown: %d by HTTP, %d by TLS", len(s.http), len(s.alpn))
	}
	return strings.Join(s.seen, " ")
}

// host is what a Client works on.
type host struct {
	*Client
	root string
	log  *bytes.Buffer
}

// newHost is a client of ca on an empty host. settings has what differs from the usual.
func newHost(t *testing.T, ca *acmetest.CA, settings Settings, responder Responder) *host {
	t.Helper()
	settings.Directory = cmp.Or(settings.Directory, ca.DirectoryURL)
	settings.CABundle = cmp.Or(settings.CABundle, ca.CABundle)
	h := &host{root: t.TempDir(), log: &bytes.Buffer{}}
	h.Client = New(Config{
		Settings: settings, System: system.New(system.Config{Root: h.root}), Dir: "/data/etc/cert/acme", Responder: responder,
		Resolvers: []string{ca.DNS.Address}, Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	_, h.dnsPort, _ = net.SplitHostPort(ca.DNS.Address)
	return h
}

// again is the same host after a restart.
func (h *host) again(change func(*Config)) *host {
	config := h.Config
	if change != nil {
		change(&config)
	}
	next := &host{Client: New(config), root: h.root, log: h.log}
	next.dnsPort = h.dnsPort
	return next
}

// obtain gets a certificate for names and answers its leaf.
func (h *host) obtain(t *testing.T, replaces *x509.Certificate, names ...string) *x509.Certificate {
	t.Helper()
	issued, err := h.Obtain(t.Context(), names, replaces)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Certificate) != 2 {
		t.Errorf("the chain has %d certificates, not leaf and intermediate", len(pair.Certificate))
	}
	for _, name := range names {
		if !covers(pair.Leaf, name) {
			t.Errorf("the certificate is for %v, not for %s", pair.Leaf.DNSNames, name)
		}
	}
	return pair.Leaf
}

// refused gets no certificate, and answers why.
func (h *host) refused(t *testing.T, names ...string) *Refusal {
	t.Helper()
	issued, err := h.Obtain(t.Context(), names, nil)
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("Obtain = %d bytes, %v; want a refusal", len(issued.Chain), err)
	}
	if len(issued.Key) > 0 || len(issued.Chain) > 0 {
		t.Error("there is a certificate beside the refusal")
	}
	text := err.Error()
	if !strings.HasPrefix(text, "cannot get a certificate") || strings.ContainsAny(text, "\n\r\t") || len(text) > 4*longestText {
		t.Errorf("the text is %q", text)
	}
	return refusal
}

// before puts handler in front of Pebble; it answers whether it has dealt with the request.
func before(handler func(w http.ResponseWriter, r *http.Request) bool) func(http.Handler) http.Handler {
	return func(pebble http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !handler(w, r) {
				pebble.ServeHTTP(w, r)
			}
		})
	}
}

// nothingStays waits until no goroutine of a call is left. Tests that call it are not parallel.
func nothingStays(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		buffer := make([]byte, 4<<20)
		left = slices.DeleteFunc(strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n"), func(stack string) bool {
			return !slices.ContainsFunc([]string{"cert/acme.ask", "persistConn", "dnsByProgram", "clientConnReadLoop"}, func(part string) bool {
				return strings.Contains(stack, part)
			})
		})
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("goroutines stay behind:\n%s", strings.Join(left, "\n\n"))
}
