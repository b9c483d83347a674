package cert

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"appliance/internal/cert/acme"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// testCA signs what tests need: by a root, an intermediate, and with whatever is wrong about it.
type testCA struct {
	t         testing.TB
	root      *x509.Certificate
	middle    *x509.Certificate
	middleKey crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomSerial()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func newCA(t testing.TB) *testCA {
	t.Helper()
	rootKey, middleKey := newKey(t), newKey(t)
	root := sign(t, authorityTemplate("Test Root"), nil, rootKey, rootKey)
	return &testCA{t: t, root: root, middle: sign(t, authorityTemplate("Test Intermediate"), root, middleKey, rootKey), middleKey: middleKey}
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

// leaf answers a certificate for names from one moment to another.
func (ca *testCA) leaf(key crypto.Signer, from, to time.Time, names ...string) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(randomSerial()), NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(ca.t, template, ca.middle, key, ca.middleKey)
}

// pair answers a key and its chain as PEM.
func (ca *testCA) pair(from, to time.Time, names ...string) (key, chain []byte) {
	signer := newKey(ca.t)
	return keyPEM(ca.t, signer), pemOf(ca.leaf(signer, from, to, names...), ca.middle)
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func pemOf(chain ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// fakeAuthority issues by a testCA, or fails as it is told. The keeper's clock is its clock.
type fakeAuthority struct {
	ca   *testCA
	now  func() time.Time
	life time.Duration

	mu       sync.Mutex
	asked    []time.Time
	replaced []bool
	fail     func(try int) error
	issue    func(names []string) acme.Issued // nil: as it should be
	window   func(leaf *x509.Certificate) (acme.Window, error)
	windows  int
	hang     bool // Obtain answers only when its context ends
}

func (f *fakeAuthority) Obtain(ctx context.Context, names []string, replaces *x509.Certificate) (acme.Issued, error) {
	f.mu.Lock()
	f.asked = append(f.asked, f.now())
	f.replaced = append(f.replaced, replaces != nil)
	hang := f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return acme.Issued{}, &acme.Refusal{Err: ctx.Err(), Passing: true} // as a transport puts it
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(len(f.asked)); err != nil {
			return acme.Issued{}, err
		}
	}
	if f.issue != nil {
		return f.issue(names), nil
	}
	key, chain := f.ca.pair(f.now().Add(-time.Hour), f.now().Add(f.life-time.Hour), names...)
	return acme.Issued{Key: key, Chain: chain}, nil
}

func (f *fakeAuthority) Window(_ context.Context, leaf *x509.Certificate) (acme.Window, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.windows++
	if f.window == nil {
		return acme.Window{}, acme.ErrNoARI
	}
	return f.window(leaf)
}

// does changes how it behaves.
func (f *fakeAuthority) does(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// questions counts how often it was asked for a window.
func (f *fakeAuthority) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.windows
}

func (f *fakeAuthority) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.asked...)
}

var errDown = &acme.Refusal{Err: errors.New("cannot reach the authority"), Passing: true}
