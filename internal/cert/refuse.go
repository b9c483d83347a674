package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"appliance/internal/remedy"
)

// refuse says why a pair is not good for a site of these names, or nil. That its time has not come yet is no reason: a pair
// that somebody has had in hand is from the past, so that the clock must be wrong.
func refuse(p pair, names []string, now time.Time) error {
	if p.leaf.IsCA {
		return remedy.With(errors.New("it is the certificate of an authority, not of a site"),
			"give one without CA:TRUE, for example by openssl req -x509 -addext basicConstraints=critical,CA:FALSE")
	}
	if err := weak(p.leaf); err != nil {
		return err
	}
	if !p.NotAfter.After(now) {
		return remedy.With(fmt.Errorf("it has expired on %s", day(p.NotAfter)), "give one that is valid, or none, so that another is taken")
	}
	if len(names) == 0 {
		return remedy.With(errors.New("it is not known which names it is for"), "set appliance.domain")
	}
	if missing := uncovered(p.leaf, names); len(missing) > 0 {
		return remedy.With(fmt.Errorf("it is not for %s%s", strings.Join(missing, ", "), namesOf(p)),
			"give a certificate for all names of the site, or take the others out of the environment")
	}
	return nil
}

// weak refuses what browsers and OpenSSL refuse: RSA below 2048 bits (CA/Browser Forum Baseline Requirements, 6.1.5), signatures by
// SHA-1 and MD5, curves that TLS 1.3 does not have.
func weak(leaf *x509.Certificate) error {
	const newKey = "make a new key, for example by openssl ecparam -name prime256v1 -genkey, and a certificate for it"
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			return remedy.With(fmt.Errorf("its RSA key has %d bits, which browsers refuse below 2048", bits), newKey)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return remedy.With(errors.New("its key is on the curve P-224, which browsers refuse"), newKey)
		}
	case ed25519.PublicKey:
	default:
		return remedy.With(errors.New("its key is of a kind that TLS does not know"), newKey)
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return remedy.With(fmt.Errorf("it is signed by %s, which browsers refuse", leaf.SignatureAlgorithm), "let it be signed with SHA-256")
	}
	return nil
}

// uncovered lists those of the names that the certificate is not for, by the rules that browsers have for wildcards.
func uncovered(leaf *x509.Certificate, names []string) (missing []string) {
	for _, name := range names {
		if !isFor(leaf, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// isFor says whether leaf is for name. A wildcard that is asked for must stand in it as such.
func isFor(leaf *x509.Certificate, name string) bool {
	if !strings.HasPrefix(name, "*.") {
		return leaf.VerifyHostname(name) == nil
	}
	for _, own := range leaf.DNSNames {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// namesOf tells what the certificate is for instead, as far as a line has room for it.
func namesOf(p pair) string {
	switch {
	case len(p.Names) == 0:
		return ": it names no host, only a common name, which browsers do not look at"
	case len(p.Names) > 5:
		return fmt.Sprintf(", but for %s and %d more", strings.Join(p.Names[:5], ", "), len(p.Names)-5)
	}
	return ", but for " + strings.Join(p.Names, ", ")
}

// signedByItself says whether nobody else vouches for the certificate.
func signedByItself(leaf *x509.Certificate) bool {
	return bytes.Equal(leaf.RawSubject, leaf.RawIssuer) &&
		leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}
