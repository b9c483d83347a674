package clientca

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsWrongLeavesTheLastGoodOneInForce(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	good := one.list(5, now.AddDate(0, 0, -2), 7)
	yesterday := now.AddDate(0, 0, -1)
	leaf := newAuthority(t, "leaf", func(c *x509.Certificate) { c.IsCA = false })
	torn := one.list(6, yesterday, 7, 8)
	forged := two
	forged.cert = one.cert
	delta := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: one.crl(&x509.RevocationList{Number: big.NewInt(6), ThisUpdate: yesterday, NextUpdate: now,
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 5}}}})})
	put := func(file string, parts ...[]byte) func(host) { return func(h host) { h.write(file, parts...) } }
	instead := func(file string, make func(path string) error) func(host) {
		return func(h host) {
			if err := errors.Join(os.Remove(h.path(file)), make(h.path(file))); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name     string
		breakIt  func(host)
		warnings string
	}{
		{"an authority that is gone", instead(CAFile, func(string) error { return nil }), "ca.cert.pem: it is not there any more"},
		{"an empty authority", put(CAFile), "ca.cert.pem: it is empty"},
		{"an authority without a certificate", put(CAFile, torn), "ca.cert.pem: there is no certificate in it"},
		{"garbage for an authority", put(CAFile, []byte("hello")), "ca.cert.pem: it is neither PEM nor whole DER"},
		{"a torn authority", put(CAFile, one.pem()[:200]), "ca.cert.pem: it is torn"},
		{"a torn one before a whole one", put(CAFile, one.pem()[:200], one.pem()), "ca.cert.pem: it is torn"},
		{"a certificate that is none of an authority", put(CAFile, leaf.pem()), "ca.cert.pem: certificate 1 in it is no authority"},
		{"more authorities than anybody has", put(CAFile, bytes.Repeat(one.pem(), 33)), "ca.cert.pem: it holds 33, more than 32"},
		{"another authority than the list's", put(CAFile, two.pem()), "crl.pem: list 1 in it is of an authority that is not in /data/ecs-ca/ca.cert.pem"},
		{"an empty list", put(CRLFile), "crl.pem: it is empty"},
		{"a torn list", put(CRLFile, torn[:len(torn)-30]), "crl.pem: it is torn"},
		{"a list cut to its first line", put(CRLFile, torn[:25]), "crl.pem: it is torn"},
		{"a list in DER that is torn", put(CRLFile, one.der(6, yesterday)[:60]), "crl.pem: it is neither PEM nor whole DER"},
		{"garbage in a whole block", put(CRLFile, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")})), "crl.pem: list 1 in it cannot be read"},
		{"no list in it", put(CRLFile, one.pem()), "crl.pem: there is no list in it"},
		{"a foreign list", put(CRLFile, two.list(6, yesterday)), "crl.pem: list 1 in it is of an authority that is not in"},
		{"a good list and a foreign one", put(CRLFile, good, two.list(6, yesterday)), "crl.pem: list 2 in it is of an authority that is not in"},
		{"a forged list", put(CRLFile, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: forgedList(t, one, two)})), "crl.pem: list 1 in it is not signed as a list of its authority"},
		{"a list from the future", put(CRLFile, one.list(6, now.AddDate(0, 0, 2))), "crl.pem: list 1 in it is from the future"},
		{"a list of what has changed only", put(CRLFile, delta), "crl.pem: list 1 in it is no whole list: it has the extension 2.5.29.27"},
		{"a list of 10 GB", instead(CRLFile, func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 10<<30))
		}), "crl.pem: it is larger than 4096 kB"},
		{"a link that leads out", instead(CRLFile, func(path string) error { return os.Symlink("/etc/passwd", path) }), "crl.pem: it is a link"},
		{"a link that leads nowhere", instead(CRLFile, func(path string) error { return os.Symlink("nowhere", path) }), "crl.pem: it is a link"},
		{"a directory", instead(CRLFile, func(path string) error { return os.Mkdir(path, 0o755) }), "crl.pem: it is no regular file"},
		{"a pipe", instead(CRLFile, func(path string) error { return syscall.Mkfifo(path, 0o644) }), "crl.pem: it is no regular file"},
		{"a pipe for an authority", instead(CAFile, func(path string) error { return syscall.Mkfifo(path, 0o644) }), "ca.cert.pem: it is no regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, nil)
			h.write(CAFile, one.pem())
			h.write(CRLFile, good)
			want, warnings := h.load()
			if warnings != "" {
				t.Fatalf("before: %s", warnings)
			}
			test.breakIt(h)
			for _, when := range []string{"at once", "after a restart"} {
				got, warnings := h.load()
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", when, diff)
				}
				if !strings.Contains(warnings, test.warnings) || !strings.HasSuffix(warnings, "the last good one stays in force") {
					t.Errorf("%s the warnings are: %s", when, warnings)
				}
			}
			if err := os.Remove(h.path(GoodFile)); err != nil {
				t.Fatal(err)
			}
			gone := !h.System.Exists(CAFile)
			if got, warnings := h.load(); !got.Placeholder || !gone && !strings.Contains(warnings, "nobody's certificate is good") {
				t.Errorf("without a last good one: placeholder is %v, and the warnings are: %s", got.Placeholder, warnings)
			}
		})
	}
}

func forgedList(t *testing.T, named, signing authority) []byte {
	t.Helper()
	impostor := newAuthority(t, named.cert.Subject.CommonName)
	impostor.key = signing.key
	cert := *signing.cert
	cert.RawSubject = named.cert.RawSubject
	impostor.cert = &cert
	return impostor.der(6, now.AddDate(0, 0, -1))
}
