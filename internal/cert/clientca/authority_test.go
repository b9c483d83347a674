package clientca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/internal/crl"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// authority is one that an application has.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T, name string, change ...func(*x509.Certificate)) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{t, cert, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) der(number int64, at time.Time, serials ...int64) []byte {
	return a.crl(&x509.RevocationList{Number: big.NewInt(number), ThisUpdate: at, NextUpdate: at.AddDate(1, 0, 0)}, serials...)
}

func (a authority) crl(list *x509.RevocationList, serials ...int64) []byte {
	a.t.Helper()
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: list.ThisUpdate})
	}
	signer := *a.cert
	signer.KeyUsage, signer.SubjectKeyId = x509.KeyUsageCRLSign, []byte{1} // CreateRevocationList insists
	der, err := x509.CreateRevocationList(rand.Reader, list, &signer, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a authority) list(number int64, at time.Time, serials ...int64) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: a.der(number, at, serials...)})
}

// host is a directory with the application's directory in it, at the time now.
type host struct {
	Files
	t    *testing.T
	root string
}

func newHost(t *testing.T, observe system.Observer) host {
	t.Helper()
	h := host{t: t, root: t.TempDir()}
	h.System = system.New(system.Config{Root: h.root, Observe: observe, Now: func() time.Time { return now }})
	for _, dir := range []string{Dir, "/data/etc"} {
		if err := os.MkdirAll(h.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h host) path(name string) string { return filepath.Join(h.root, name) }

func (h host) write(name string, parts ...[]byte) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), bytes.Join(parts, nil), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// load loads, keeps, and answers who would be let in.
func (h host) load() (Bundle, string) {
	h.t.Helper()
	b, warnings := h.Load()
	if err := h.Keep(b); err != nil {
		h.t.Fatal(err)
	}
	var texts []string
	for _, w := range warnings {
		if remedy.Of(w) == "" {
			h.t.Errorf("a warning without a remedy: %v", w)
		}
		texts = append(texts, w.Error())
	}
	return b, strings.Join(texts, "\n")
}

// revoked are the serial numbers in all lists of b.
func revoked(t *testing.T, b Bundle) (serials []int64) {
	t.Helper()
	for rest := b.CRLs; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			slices.Sort(serials)
			return slices.Compact(serials)
		}
		list, err := crl.Parse(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range list.RevokedCertificateEntries {
			serials = append(serials, entry.SerialNumber.Int64())
		}
	}
}
