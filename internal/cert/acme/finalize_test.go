package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"appliance/internal/cert/acme/acmetest"
)

func TestCertificateThatIsNotOurs(t *testing.T) {
	issued, err := newHost(t, acmetest.New(t, acmetest.Options{AlwaysValid: true}), Settings{}, newSite(t)).Obtain(t.Context(), []string{"ecs.example.org"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"for another key":   string(issued.Chain),
		"with a key in it":  string(issued.Chain) + string(issued.Key),
		"nothing":           "",
		"no PEM":            "hello",
		"no certificate":    "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
		"without end":       strings.Repeat(string(issued.Chain), 20),
		"of more than 1 MB": strings.Repeat(string(issued.Chain), 2000),
	} {
		t.Run(name, func(t *testing.T) {
			ca := answering(t, "/certZ/", says(200, "application/pem-certificate-chain", body))
			if refusal := newHost(t, ca, Settings{}, newSite(t)).refused(t, "ecs.example.org"); refusal.Passing {
				t.Errorf("refused, but passing: %v", refusal)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	issue := func(change func(*x509.Certificate)) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: now.Add(time.Hour), DNSNames: []string{"ecs.example.org", "*.example.net"}}
		change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"X": "y"}, Bytes: der})
	}
	good := issue(func(*x509.Certificate) {})
	for _, test := range []struct {
		name  string
		data  []byte
		names []string
		ok    bool
	}{
		{"as asked", good, []string{"ecs.example.org", "*.example.net"}, true},
		{"with words around it", append(append([]byte("hello\n"), good...), "bye"...), []string{"ecs.example.org"}, true},
		{"for another name", good, []string{"ecs.example.com"}, false},
		{"the asterisk stands for one label", good, []string{"*.a.example.net"}, false},
		{"a wildcard does not answer for another", good, []string{"*.ecs.example.org"}, false},
		{"expired", issue(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), []string{"ecs.example.org"}, false},
		{"of an authority", issue(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), []string{"ecs.example.org"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			chain, err := inspect(test.data, key.Public(), test.names, now)
			if (err == nil) != test.ok {
				t.Fatalf("inspect = %v", err)
			}
			if test.ok && (bytes.Contains(chain, []byte("X: y")) || !bytes.HasPrefix(chain, []byte("-----BEGIN"))) {
				t.Errorf("the chain holds more than certificates:\n%s", chain)
			}
		})
	}
}
