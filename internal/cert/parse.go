package cert

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/remedy"
)

// Parse reads a private key and a chain, both PEM, and says whether they will do for a site of these names. It mends what
// can be mended: the order of the chain, a key and a chain in one text, folded or indented lines. The result is the same
// pair in its plainest form. The key may be RSA, ECDSA or Ed25519, in PKCS #8, PKCS #1 or SEC 1.
func Parse(key, chain []byte, names []string, now time.Time) (Certificate, error) {
	p, err := decode(key, chain)
	if err == nil {
		err = refuse(p, names, now)
	}
	if err == nil && now.Before(p.NotBefore) {
		err = remedy.With(fmt.Errorf("it is not valid before %s, and here it is %s", day(p.NotBefore), day(now)),
			"check the clock of the host, or give a certificate that is valid now")
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("cannot use this certificate: %w", err)
	}
	return p.Certificate, nil
}

// decode reads a key and the certificates that go with it, whatever names they are for and however long they last.
func decode(key, chain []byte) (pair, error) {
	all, err := bothTexts(string(key), string(chain))
	if err != nil {
		return pair{}, err
	}
	signer, keyBlock, err := onlyKey(all)
	if err != nil {
		return pair{}, err
	}
	certificates, err := allCertificates(all)
	if err != nil {
		return pair{}, err
	}
	leaf := leafOf(signer, certificates)
	if leaf == nil {
		return pair{}, remedy.With(errors.New("the key does not belong to it"), "give the key that the certificate was asked for with")
	}
	var text bytes.Buffer
	for _, c := range inOrder(leaf, certificates) {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return newPair(pem.EncodeToMemory(&keyBlock), text.Bytes(), leaf), nil
}

func newPair(key, chain []byte, leaf *x509.Certificate) pair {
	sum := sha256.Sum256(leaf.Raw)
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return pair{leaf: leaf, Certificate: Certificate{
		Key: key, Chain: chain, Names: names, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Issuer: leaf.Issuer.String(), Serial: leaf.SerialNumber.Text(16), SHA256: hex.EncodeToString(sum[:]),
	}}
}

// bothTexts answers the blocks of the two texts: whoever has one file with everything may give it as either.
func bothTexts(key, chain string) ([]block, error) {
	for _, text := range []string{key, chain} {
		if looksLikePath(text) {
			return nil, remedy.With(errors.New("it is the name of a file"), "give the text of the file, from BEGIN to END")
		}
	}
	keys, err := blocks(key)
	if err != nil {
		return nil, err
	}
	others, err := blocks(chain)
	return append(keys, others...), err
}

// onlyKey answers the one private key among all blocks; the same one twice is one.
func onlyKey(all []block) (crypto.Signer, pem.Block, error) {
	var only *block
	for i, b := range all {
		switch {
		case !strings.HasSuffix(b.label, "PRIVATE KEY"):
		case only == nil:
			only = &all[i]
		case !bytes.Equal(only.der, b.der):
			return nil, pem.Block{}, remedy.With(errors.New("there is more than one private key in it"), "give only the key of this certificate")
		}
	}
	if only == nil {
		return nil, pem.Block{}, remedy.With(fmt.Errorf("there is no private key in it%s", instead(all)), "give the key as PEM text too")
	}
	signer, label, err := readKey(only.der)
	return signer, pem.Block{Type: label, Bytes: only.der}, err
}

// readKey tries all forms, as crypto/tls does: labels are wrong often enough. It answers the right one.
func readKey(der []byte) (crypto.Signer, string, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, "PRIVATE KEY", nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, "RSA PRIVATE KEY", nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, "EC PRIVATE KEY", nil
	}
	return nil, "", remedy.With(errors.New("its key is damaged or of a kind that TLS does not know"), "give an ECDSA, RSA or Ed25519 key")
}

func allCertificates(all []block) (found []*x509.Certificate, err error) {
	for _, b := range all {
		if b.label != "CERTIFICATE" && b.label != "X509 CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.der)
		if err != nil {
			return nil, fmt.Errorf("its certificate %d cannot be read: %w", len(found)+1, err)
		}
		if !slices.ContainsFunc(found, c.Equal) {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		return nil, remedy.With(fmt.Errorf("there is no certificate in it%s", instead(all)), "give the certificate with its chain as PEM text")
	case len(found) > maxCertificates:
		return nil, remedy.With(fmt.Errorf("there are %d certificates in it", len(found)), "give the certificate of the site and those between it and the root")
	}
	return found, nil
}

// instead tells what is there in place of what was looked for.
func instead(all []block) string {
	var labels []string
	for _, b := range all {
		if !slices.Contains(labels, b.label) && len(labels) < 4 {
			labels = append(labels, b.label)
		}
	}
	if len(labels) == 0 {
		return ", nor any other PEM text"
	}
	return ", only " + strings.Join(labels, ", ")
}

// leafOf answers the certificate of the key; of several, which were made for it one after the other, the one that lasts longest.
func leafOf(key crypto.Signer, certificates []*x509.Certificate) (leaf *x509.Certificate) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range certificates {
		if public.Equal(c.PublicKey) && (leaf == nil || c.NotAfter.After(leaf.NotAfter)) {
			leaf = c
		}
	}
	return leaf
}

// inOrder puts the chain as RFC 8446 section 4.4.2 recommends, each certificate before the one it was signed by. Authorities that
// are not in line stay at the end, because a chain may lead to several roots; whatever else there is has no place here.
func inOrder(leaf *x509.Certificate, certificates []*x509.Certificate) []*x509.Certificate {
	rest := slices.DeleteFunc(slices.Clone(certificates), func(c *x509.Certificate) bool { return c.Equal(leaf) || !c.IsCA })
	chain := []*x509.Certificate{leaf}
	for last := leaf; ; last = chain[len(chain)-1] {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			return append(chain, rest...)
		}
		chain = append(chain, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
}
