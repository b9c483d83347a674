package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appliance/internal/remedy"
)

var (
	today    = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	lastYear = today.AddDate(-1, 0, 0)
	nextYear = today.AddDate(1, 0, 0)
)

// openssl runs it, and skips the test where it is missing, unless APPLIANCE_TOOLS=require.
func openssl(t testing.TB, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("APPLIANCE_TOOLS") == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	return key
}

func TestKeysOfAllKindsAndForms(t *testing.T) {
	ca := newCA(t)
	rsaPrivate := rsaKey(t, 2048)
	ecPrivate := newKey(t).(*ecdsa.PrivateKey)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecPrivate)
	must(t, err)
	encode := func(label string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	for _, test := range []struct {
		name string
		key  crypto.Signer
		text []byte
		want string
	}{
		{"RSA, PKCS #8", rsaPrivate, keyPEM(t, rsaPrivate), "PRIVATE KEY"},
		{"RSA, PKCS #1", rsaPrivate, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPrivate)), "RSA PRIVATE KEY"},
		{"RSA, PKCS #1 by the wrong name", rsaPrivate, encode("PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPrivate)), "RSA PRIVATE KEY"},
		{"P-256, PKCS #8", ecPrivate, keyPEM(t, ecPrivate), "PRIVATE KEY"},
		{"P-256, SEC 1 after its parameters", ecPrivate, append(encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), encode("EC PRIVATE KEY", sec1)...), "EC PRIVATE KEY"},
		{"P-384", p384, keyPEM(t, p384), "PRIVATE KEY"},
		{"Ed25519", edPrivate, keyPEM(t, edPrivate), "PRIVATE KEY"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaf := ca.leaf(test.key, lastYear, nextYear, "a.example")
			c, err := Parse(test.text, pemOf(leaf, ca.middle), []string{"a.example"}, today)
			must(t, err)
			if b, _ := pem.Decode(c.Key); b.Type != test.want {
				t.Errorf("the key is labelled %q", b.Type)
			}
			if _, err := tls.X509KeyPair(c.Chain, c.Key); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTextsAreMended(t *testing.T) {
	ca := newCA(t)
	signer := newKey(t)
	leaf := ca.leaf(signer, lastYear, nextYear, "a.example", "192.0.2.1")
	older := ca.leaf(signer, lastYear, today.AddDate(0, 0, 1), "a.example")
	foreign := newCA(t)
	other := ca.leaf(newKey(t), lastYear, nextYear, "b.example")
	key, chain := string(keyPEM(t, signer)), string(pemOf(leaf, ca.middle))
	fold := func(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") }
	plain := pemOf(leaf, ca.middle)
	for _, test := range []struct {
		name, key, chain string
		want             []byte
	}{
		{"as it should be", key, chain, plain},
		{"lines end as on Windows", strings.ReplaceAll(key, "\n", "\r\n"), strings.ReplaceAll(chain, "\n", "\r\n"), plain},
		{"blanks at both ends of lines", strings.ReplaceAll(key, "\n", " \t\n  "), "  " + strings.ReplaceAll(chain, "\n", "\t \n\n    "), plain},
		{"folded into one line", fold(key), fold(chain), plain},
		{`\n for line ends`, strings.ReplaceAll(key, "\n", `\n`), strings.ReplaceAll(chain, "\n", `\n`), plain},
		{"text between the blocks", "Bag Attributes: <No Attributes>\nfriendlyName: x\n" + key, "subject=CN = a\n\ufeff" + chain + "the end", plain},
		{"all in the key", key + chain, "", plain},
		{"all in the chain", "", chain + key, plain},
		{"all in both", key + chain, chain + key, plain},
		{"a line of headers", strings.Replace(key, "KEY-----\n", "KEY-----\nComment: x\n\n", 1), chain, plain},
		{"the chain backwards", key, string(pemOf(ca.root, ca.middle, leaf)), pemOf(leaf, ca.middle, ca.root)},
		{"the leaf alone", key, string(pemOf(leaf)), pemOf(leaf)},
		{"certificates twice", key, chain + chain, plain},
		{"with certificates of others", key, string(pemOf(other, ca.middle, leaf)), plain},
		{"with authorities that are not in line", key, string(pemOf(foreign.root, leaf, ca.middle)), pemOf(leaf, ca.middle, foreign.root)},
		{"with an older one of the same key", key, string(pemOf(older, leaf, ca.middle)), plain},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse([]byte(test.key), []byte(test.chain), []string{"a.example", "192.0.2.1"}, today)
			must(t, err)
			if !bytes.Equal(c.Key, []byte(key)) || !bytes.Equal(c.Chain, test.want) {
				t.Errorf("it comes out as\n%s", c.Chain)
			}
			if fmt.Sprint(c.Names) != "[a.example 192.0.2.1]" || !c.NotAfter.Equal(nextYear) || len(c.SHA256) != 64 || c.Issuer != "CN=Test Intermediate" {
				t.Errorf("it is described as %+v", c.Names)
			}
		})
	}
}

func TestAPairWithAFaultIsRefused(t *testing.T) {
	ca := newCA(t)
	good, otherKey := newKey(t), newKey(t)
	key := string(keyPEM(t, good))
	chainOf := func(key crypto.Signer, from, to time.Time, names ...string) string {
		return string(pemOf(ca.leaf(key, from, to, names...), ca.middle))
	}
	chain := chainOf(good, lastYear, nextYear, "a.example", "*.b.example", "192.0.2.1")
	small := rsaKey(t, 1024)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	authority := authorityTemplate("a.example")
	authority.DNSNames = []string{"a.example"}
	nameless := sign(t, &x509.Certificate{SerialNumber: authority.SerialNumber, Subject: authority.Subject, NotBefore: lastYear, NotAfter: nextYear}, nil, good, good)
	var many []*x509.Certificate
	for range maxCertificates + 1 {
		many = append(many, ca.leaf(good, lastYear, nextYear, "a.example"))
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, good)
	must(t, err)
	for _, test := range []struct {
		name, key, chain string
		names            []string
		want             string
	}{
		{"nothing", "", "", nil, "there is no private key in it, nor any other PEM text"},
		{"no key", "", chain, nil, "there is no private key in it, only CERTIFICATE"},
		{"no certificate", key, "", nil, "there is no certificate in it, only PRIVATE KEY"},
		{"a request", key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})), nil, "there is no certificate in it, only PRIVATE KEY, CERTIFICATE REQUEST"},
		{"the name of a key file", "/etc/ssl/private/a.key", chain, nil, "it is the name of a file"},
		{"the name of a certificate file", key, "certs/a.crt\n", nil, "it is the name of a file"},
		{"a key of something else", string(keyPEM(t, otherKey)), chain, nil, "the key does not belong to it"},
		{"two keys", key + string(keyPEM(t, otherKey)), chain, nil, "there is more than one private key in it"},
		{"encrypted, PKCS #8", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", chain, nil, "its key is encrypted, and nobody is there to type the passphrase"},
		{"encrypted, of old", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", chain, nil, "its key is encrypted, and nobody is there to type the passphrase"},
		{"encrypted and folded", "-----BEGIN RSA PRIVATE KEY----- Proc-Type: 4,ENCRYPTED DEK-Info: AES-256-CBC,00 AAAA -----END RSA PRIVATE KEY-----", chain, nil, "its key is encrypted, and nobody is there to type the passphrase"},
		{"a damaged key", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", chain, nil, "its key is damaged or of a kind that TLS does not know"},
		{"a key for SSH", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n", chain, nil, "its key is damaged or of a kind that TLS does not know"},
		{"a cut key", key[:len(key)/2], chain, nil, "its PRIVATE KEY is cut off or damaged"},
		{"a cut certificate before a whole one", key, chain[:200] + chain, nil, "its CERTIFICATE is cut off or damaged"},
		{"a key without line ends in its label", "-----BEGIN PRIVATE KEY " + key[30:], chain, nil, "a block is cut off or damaged"},
		{"a certificate that is not base64", key, strings.Replace(chain, "MII", "M!I", 1), nil, "its CERTIFICATE is cut off or damaged"},
		{"a certificate that is none", key, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", nil, "its certificate 1 cannot be read: x509: malformed certificate"},
		{"expired", key, chainOf(good, lastYear, today, "a.example"), nil, "it has expired on 2026-05-06 07:08 UTC"},
		{"not valid yet", key, chainOf(good, nextYear, nextYear.AddDate(1, 0, 0), "a.example"), nil, "it is not valid before 2027-05-06 07:08 UTC, and here it is 2026-05-06 07:08 UTC"},
		{"another name", key, chain, []string{"c.example"}, "it is not for c.example, but for a.example, *.b.example, 192.0.2.1"},
		{"some other names", key, chain, []string{"a.example", "c.example", "x.b.example", "y.x.b.example", "b.example"}, "it is not for c.example, y.x.b.example, b.example, but for a.example, *.b.example, 192.0.2.1"},
		{"an address", key, chain, []string{"192.0.2.2", "192.0.2.1", "localhost"}, "it is not for 192.0.2.2, localhost, but for a.example, *.b.example, 192.0.2.1"},
		{"a wildcard", key, chain, []string{"*.a.example", "*.B.example"}, "it is not for *.a.example, but for a.example, *.b.example, 192.0.2.1"},
		{"a common name only", key, string(pemOf(nameless)), nil, "it is not for a.example: it names no host, only a common name, which browsers do not look at"},
		{"no names are known", key, chain, []string{}, "it is not known which names it is for"},
		{"of an authority", key, string(pemOf(sign(t, authority, nil, good, good))), nil, "it is the certificate of an authority, not of a site"},
		{"a short RSA key", string(keyPEM(t, small)), chainOf(small, lastYear, nextYear, "a.example"), nil, "its RSA key has 1024 bits, which browsers refuse below 2048"},
		{"a curve of old", string(keyPEM(t, p224)), chainOf(p224, lastYear, nextYear, "a.example"), nil, "its key is on the curve P-224, which browsers refuse"},
		{"too many certificates", key, string(pemOf(many...)), nil, "there are 33 certificates in it"},
		{"a huge text", key, chain + strings.Repeat("x", maxText), nil, fmt.Sprintf("it has %d bytes", maxText+len(chain))},
		{"a huge key", strings.Repeat("\n", maxText+1), chain, nil, fmt.Sprintf("it has %d bytes", maxText+1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.names == nil {
				test.names = []string{"a.example"}
			}
			_, err := Parse([]byte(test.key), []byte(test.chain), test.names, today)
			if err == nil || err.Error() != "cannot use this certificate: "+test.want {
				t.Fatalf("Parse says %v", err)
			}
			if remedy.Of(err) == "" && !strings.Contains(test.want, "cannot be read") {
				t.Error("there is no remedy")
			}
			if strings.Contains(err.Error(), key[40:60]) {
				t.Error("the error tells the key")
			}
			if err := Check(Wish{Names: test.names, Key: test.key, Chain: test.chain}, today); (err == nil) != (test.key+test.chain == "") {
				t.Errorf("Check says %v", err)
			}
		})
	}
}

func TestWhatOpensslMakes(t *testing.T) {
	dir := t.TempDir()
	key, crt := filepath.Join(dir, "key"), filepath.Join(dir, "crt")
	read := func() ([]byte, []byte) {
		k, err := os.ReadFile(key)
		must(t, err)
		c, err := os.ReadFile(crt)
		must(t, err)
		return k, c
	}
	for _, test := range []struct{ name, args, want string }{
		{"good", "-newkey rsa:2048 -nodes -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:a.example", ""},
		{"elliptic", "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:a.example", ""},
		{"as by default", "-newkey rsa:2048 -nodes -addext subjectAltName=DNS:a.example", "it is the certificate of an authority, not of a site"},
		{"with a passphrase", "-newkey rsa:2048 -passout pass:secret -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:a.example", "its key is encrypted, and nobody is there to type the passphrase"},
		{"by SHA-1", "-sha1 -newkey rsa:2048 -nodes -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:a.example", "it is signed by SHA1-RSA, which browsers refuse"},
		{"a short key", "-newkey rsa:1024 -nodes -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:a.example", "its RSA key has 1024 bits, which browsers refuse below 2048"},
	} {
		t.Run(test.name, func(t *testing.T) {
			openssl(t, append([]string{"req", "-x509", "-days", "30", "-subj", "/CN=a.example", "-keyout", key, "-out", crt}, strings.Fields(test.args)...)...)
			k, c := read()
			_, err := Parse(k, c, []string{"a.example"}, time.Now())
			if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != "cannot use this certificate: "+test.want {
				t.Errorf("Parse says %v", err)
			}
		})
	}
	openssl(t, "rsa", "-in", key, "-traditional", "-aes256", "-passout", "pass:secret", "-out", key)
	k, c := read()
	if _, err := Parse(k, c, []string{"a.example"}, time.Now()); err == nil || !strings.Contains(err.Error(), "encrypted") || !bytes.Contains(k, []byte("Proc-Type")) {
		t.Errorf("of a key that is encrypted in the old way Parse says %v", err)
	}
}

func TestACertificateDoesNotShowItsKey(t *testing.T) {
	ca := newCA(t)
	key, chain := ca.pair(lastYear, nextYear, "a.example")
	c, err := Parse(key, chain, []string{"a.example"}, today)
	must(t, err)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%v", Status{Certificate: c}), c.LogValue().String()} {
		if strings.Contains(text, "45 45") || strings.Contains(text, "PRIVATE") || !strings.Contains(text, "a.example") {
			t.Errorf("it is shown as %s", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	ca := newCA(f)
	key, chain := ca.pair(lastYear, nextYear, "a.example")
	f.Add(key, chain)
	f.Add([]byte("-----BEGIN PRIVATE KEY----- x: y -----END PRIVATE KEY-----"), []byte("/etc/x.pem"))
	f.Fuzz(func(t *testing.T, key, chain []byte) {
		c, err := Parse(key, chain, []string{"a.example"}, today)
		if err != nil {
			return
		}
		again, err := Parse(c.Key, c.Chain, []string{"a.example"}, today)
		if err != nil || !bytes.Equal(again.Key, c.Key) || !bytes.Equal(again.Chain, c.Chain) {
			t.Errorf("what has been taken is not taken again: %v", err)
		}
	})
}
