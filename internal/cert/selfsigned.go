package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"appliance/internal/remedy"
)

const (
	selfSignedLife  = 397 * 24 * time.Hour // longer ones are refused by some browsers even where somebody trusts them
	selfSignedEarly = 30 * 24 * time.Hour  // before its end another one is made
	selfSignedSlack = time.Hour            // for visitors whose clock is behind
	maxCommonName   = 64                   // characters (RFC 5280, ub-common-name)
)

// selfSigned makes a certificate that nobody vouches for. Names that are addresses are put in as such.
func selfSigned(names []string, now time.Time) (pair, error) {
	if len(names) == 0 {
		return pair{}, remedy.With(errors.New("cannot make a certificate: the site has no name"), "set appliance.domain")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomSerial()),
		NotBefore:    now.Add(-selfSignedSlack),
		NotAfter:     now.Add(-selfSignedSlack + selfSignedLife - time.Second), // both ends belong to it

		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
	}
	if len(names[0]) <= maxCommonName {
		template.Subject = pkix.Name{CommonName: names[0]}
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair{}, fmt.Errorf("cannot make a certificate for %q: %w", names, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("cannot encode a key: %w", err)
	}
	p, err := decode(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	p.Source = SelfSigned
	return p, err
}

// randomSerial answers 127 random bits that are a positive number of 16 bytes.
func randomSerial() []byte {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] = serial[0]&0x7f | 0x40
	return serial
}
