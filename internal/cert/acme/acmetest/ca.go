// Package acmetest runs an ACME authority for tests and benches: Pebble in our own process, with a name server that leads every
// name to loopback.
package acmetest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options say how the authority behaves.
type Options struct {
	AlwaysValid bool                                   // believes every answer without looking
	NonceReject int                                    // per cent of good nonces that are refused
	EAB         map[string]string                      // keys (URL-safe base64) by identifier; not empty: no account without one
	HTTPPort    int                                    // where http-01 is looked for; 0: a free port
	TLSPort     int                                    // where tls-alpn-01 is looked for; 0: a free port
	Blocked     []string                               // names that are refused, with those below them
	Validity    time.Duration                          // of a certificate; 0: five years
	RetryAfter  int                                    // seconds that authorizations and orders name; 0: they name none
	Address     string                                 // to listen on; "": 127.0.0.1:0
	Handler     func(pebble http.Handler) http.Handler // put before Pebble; nil: none
	Log         io.Writer                              // of Pebble; nil: nowhere
}

// CA is a running authority.
type CA struct {
	DirectoryURL string
	CABundle     string // PEM that its https is checked with
	RootCA       string // PEM that its certificates lead to
	HTTPPort     int    // where it looks for http-01 ...
	TLSPort      int    // ... and for tls-alpn-01, of whatever name, on 127.0.0.1
	DNS          *DNS   // that it asks

	server *http.Server
	store  *db.MemoryStore
	done   chan struct{}
}

// New runs an authority until the test ends.
func New(t testing.TB, o Options) *CA {
	t.Helper()
	c, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Start runs an authority until Close. Pebble itself has no end: one goroutine of it stays.
func Start(o Options) (_ *CA, err error) {
	c := &CA{HTTPPort: o.HTTPPort, TLSPort: o.TLSPort, done: make(chan struct{})}
	for _, port := range []*int{&c.HTTPPort, &c.TLSPort} {
		if *port == 0 {
			if *port, err = freePort(); err != nil {
				return nil, err
			}
		}
	}
	if c.DNS, err = StartDNS(); err != nil {
		return nil, err
	}
	handler, err := c.pebble(o)
	if err != nil {
		return nil, errors.Join(err, c.DNS.Close())
	}
	if o.Handler != nil {
		handler = o.Handler(handler)
	}
	if err := c.serve(cmp.Or(o.Address, "127.0.0.1:0"), handler); err != nil {
		return nil, errors.Join(err, c.DNS.Close())
	}
	return c, nil
}

// Close ends the authority and its name server.
func (c *CA) Close() error {
	err := errors.Join(c.server.Close(), c.DNS.Close())
	<-c.done
	return err
}

// Replaced says whether the authority takes leaf for replaced (RFC 9773 section 5): Pebble does so a moment after it has issued
// the next one.
func (c *CA) Replaced(leaf *x509.Certificate) bool {
	order, err := c.store.GetOrderByIssuedSerial(hex.EncodeToString(leaf.SerialNumber.Bytes()))
	if err != nil {
		return false
	}
	order.RLock()
	defer order.RUnlock()
	return order.IsReplaced
}

// environment guards the variables of the process that Pebble takes its settings from.
var environment sync.Mutex

// pebble makes the authority, with its settings put where it reads them while it is made.
func (c *CA) pebble(o Options) (http.Handler, error) {
	environment.Lock()
	defer environment.Unlock()
	for name, value := range map[string]string{
		"PEBBLE_VA_NOSLEEP":      "1",
		"PEBBLE_VA_ALWAYS_VALID": map[bool]string{true: "1"}[o.AlwaysValid],
		"PEBBLE_WFE_NONCEREJECT": strconv.Itoa(o.NonceReject),
		"PEBBLE_AUTHZREUSE":      "0",
	} {
		before, was := os.LookupEnv(name)
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("cannot set up Pebble: %w", err)
		}
		defer func() {
			if was {
				_ = os.Setenv(name, before) // it was there a moment ago
			} else {
				_ = os.Unsetenv(name)
			}
		}()
	}
	logger := log.New(io.Discard, "", 0)
	if o.Log != nil {
		logger = log.New(o.Log, "pebble: ", log.LstdFlags)
	}
	profiles := map[string]ca.Profile{"default": {Description: "usual", ValidityPeriod: uint64(o.Validity / time.Second)}}
	c.store = db.NewMemoryStore()
	for id, key := range o.EAB {
		if err := c.store.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, fmt.Errorf("cannot set up Pebble: %w", err)
		}
	}
	for _, name := range o.Blocked {
		if err := c.store.AddBlockedDomain(name); err != nil {
			return nil, fmt.Errorf("cannot set up Pebble: %w", err)
		}
	}
	issuer := ca.New(logger, c.store, "", "ecdsa", 0, 1, profiles)
	validator := va.New(logger, c.HTTPPort, c.TLSPort, false, c.DNS.Address, c.store)
	c.RootCA = string(issuer.GetRootCert(0).PEM())
	front := wfe.New(logger, c.store, validator, issuer, []string{"ca.example.org"}, false, len(o.EAB) > 0, o.RetryAfter, o.RetryAfter)
	return front.Handler(), nil
}

func (c *CA) serve(address string, handler http.Handler) error {
	certificate, bundle, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen for ACME: %w", err)
	}
	c.CABundle = bundle
	c.DirectoryURL = fmt.Sprintf("https://%s/dir", listener.Addr())
	c.server = &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go func() {
		defer close(c.done)
		_ = c.server.ServeTLS(listener, "", "") // it ends by Close
	}()
	return nil
}

// selfSigned makes the certificate of the authority's own https, for loopback.
func selfSigned() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "acmetest"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:     []string{"localhost"},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("cannot make a certificate: %w", err)
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(bundle), nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cannot find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
