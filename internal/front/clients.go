package front

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"appliance/internal/crl"
)

// clients says which client certificates are good: it is Clients made ready for use.
type clients struct {
	wish          Clients
	pool          *x509.CertPool // every CA: what browsers are told to choose by
	roots, others *x509.CertPool
	revoked       map[revocation]struct{}
	tls           *tls.Config // asks for certificates
	now           func() time.Time
}

// revocation names a certificate for good: serial numbers are unique only to the key that signs.
type revocation struct{ issuerKey, serial string }

func revocationOf(issuer *x509.Certificate, serial []byte) revocation {
	return revocation{string(issuer.RawSubjectPublicKeyInfo), string(serial)}
}

func newClients(wish Clients, now func() time.Time) (*clients, error) {
	c := &clients{
		wish: wish, now: now, revoked: map[revocation]struct{}{},
		pool: x509.NewCertPool(), roots: x509.NewCertPool(), others: x509.NewCertPool(),
	}
	switch wish.Mode {
	case ClientsNone:
		return c, nil
	case ClientsOptional, ClientsRequired:
	default:
		return nil, fmt.Errorf("%q is none of %q and %q", wish.Mode, ClientsOptional, ClientsRequired)
	}
	cas, err := certificates(wish.CAs)
	if err != nil {
		return nil, err
	}
	for _, ca := range cas {
		c.pool.AddCert(ca)
		if top(ca, cas) {
			c.roots.AddCert(ca)
		} else {
			c.others.AddCert(ca)
		}
	}
	return c, c.revoke(wish.CRLs, cas)
}

func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CA certificate: %w", err)
		}
		all = append(all, ca)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no CA certificate")
	}
	return all, nil
}

// top says whether no other of cas has signed ca, which makes it a place where trust may end.
func top(ca *x509.Certificate, cas []*x509.Certificate) bool {
	for _, other := range cas {
		if !bytes.Equal(other.RawSubjectPublicKeyInfo, ca.RawSubjectPublicKeyInfo) && ca.CheckSignatureFrom(other) == nil {
			return false
		}
	}
	return true
}

// revoke reads the lists. One that cannot be understood to its end would let revoked certificates in: it is an error.
func (c *clients) revoke(text []byte, cas []*x509.Certificate) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := crl.Parse(block.Bytes)
		if err != nil {
			return fmt.Errorf("revocation list: %w", err)
		}
		for _, extension := range list.Extensions {
			if extension.Critical {
				return fmt.Errorf("revocation list: it is partial or indirect (critical extension %v)", extension.Id)
			}
		}
		signed := false
		for _, ca := range cas {
			if list.CheckSignatureFrom(ca) != nil {
				continue
			}
			signed = true
			for _, entry := range list.RevokedCertificateEntries {
				c.revoked[revocationOf(ca, entry.SerialNumber.Bytes())] = struct{}{}
			}
		}
		if !signed {
			return errors.New("revocation list: none of the CAs has signed it")
		}
	}
	return nil
}

func (c *clients) asks() bool { return c.wish.Mode != ClientsNone }

func (c *clients) config() *tls.Config { return c.tls }

func (c *clients) of(wish Clients) bool {
	return c.wish.Mode == wish.Mode && bytes.Equal(c.wish.CAs, wish.CAs) && bytes.Equal(c.wish.CRLs, wish.CRLs)
}

// verdict is what became of a client's certificate.
type verdict struct {
	by      *clients
	until   time.Time // when it has to be looked at again
	refused string    // "" or why, in a word
	serial  string
	header  [5][]string // what the application is told, in the order of clientFields
}

var clientFields = [5]string{
	"X-Ssl-Client-Verify", "X-Ssl-Client-Serial", "X-Ssl-Client-S-Dn", "X-Ssl-Client-I-Dn", "X-Ssl-Client-Fingerprint",
}

// check answers for a connection, from what was found out earlier as long as that holds. Resumed handshakes and
// connections that are open since before a revocation are thereby judged as everybody else.
func (c *clients) check(on *conn) *verdict {
	now := c.now()
	if v := on.verdict.Load(); v != nil && v.by == c && now.Before(v.until) {
		return v
	}
	v := c.judge(on.shown(), now)
	on.verdict.Store(v)
	return v
}

// forever stands for verdicts that time does not change.
const forever = 24 * time.Hour

// shown is the chain that the client has shown, also when it resumed an earlier handshake.
func (c *conn) shown() []*x509.Certificate {
	if c.tls == nil {
		return nil
	}
	return c.tls.ConnectionState().PeerCertificates
}

func (c *clients) judge(shown []*x509.Certificate, now time.Time) *verdict {
	v := &verdict{by: c, until: now.Add(forever)}
	v.header[0] = []string{"NONE"}
	if len(shown) == 0 {
		if c.wish.Mode == ClientsRequired {
			v.refused = "missing"
		}
		return v
	}
	leaf := shown[0]
	v.serial = strings.ToUpper(hex.EncodeToString(leaf.SerialNumber.Bytes()))
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: c.intermediates(shown[1:]), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		v.refused = "untrusted"
		if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			v.refused, v.until = "expired", now // or not valid yet: a clock may move
		}
		return v
	}
	for _, chain := range chains {
		if v.refused = c.refusal(chain); v.refused == "" {
			v.until = firstEnd(chain, v.until)
			v.describe(leaf)
			return v
		}
	}
	return v
}

// intermediates are the CAs that are not at the top, and what the client brought along.
func (c *clients) intermediates(brought []*x509.Certificate) *x509.CertPool {
	if len(brought) == 0 {
		return c.others
	}
	pool := c.others.Clone()
	for _, ca := range brought {
		pool.AddCert(ca)
	}
	return pool
}

func (c *clients) refusal(chain []*x509.Certificate) string {
	for i, cert := range chain[:len(chain)-1] {
		if _, bad := c.revoked[revocationOf(chain[i+1], cert.SerialNumber.Bytes())]; bad {
			return "revoked"
		}
	}
	return ""
}

func firstEnd(chain []*x509.Certificate, end time.Time) time.Time {
	for _, cert := range chain {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

func (v *verdict) describe(leaf *x509.Certificate) {
	print := sha256.Sum256(leaf.Raw)
	v.header = [5][]string{
		{"SUCCESS"}, {v.serial}, {distinguishedName(leaf.RawSubject)}, {distinguishedName(leaf.RawIssuer)},
		{hex.EncodeToString(print[:])},
	}
}
