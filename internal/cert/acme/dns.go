package acme

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"appliance/internal/remedy"
)

// record is the TXT record that answers dns-01.
type record struct {
	fqdn  string // with the trailing dot, where a CNAME leads
	value string
}

// dnsWriter writes and removes one value of a TXT record, beside others of the same name: a name and its wildcard share it.
type dnsWriter interface {
	write(ctx context.Context, r record) error
	remove(ctx context.Context, r record) error
}

type byDNS struct {
	writer   dnsWriter
	resolver *resolver
	patience time.Duration
}

func (c *Client) byDNS() (solver, error) {
	resolver, err := c.newResolver()
	if err != nil {
		return nil, err
	}
	s := byDNS{resolver: resolver, patience: c.DNS.Propagation}
	switch c.DNS.Provider {
	case "exec":
		s.writer = dnsByProgram{c.System, c.DNS.Program, c.DNS.Propagation + cleanWithin}
	case "httpreq":
		s.writer, err = newDNSByHTTP(c.DNS)
	case "rfc2136":
		s.writer, err = c.newDNSByUpdate()
	default:
		err = remedy.With(fmt.Errorf("the DNS provider %q is not known", c.DNS.Provider), "set appliance.ssl.acme.dns.provider to exec, httpreq or rfc2136")
	}
	return s, err
}

func (s byDNS) show(ctx context.Context, p *proof) error {
	sum := sha256.Sum256([]byte(p.keyAuthorization))
	fqdn := s.resolver.follow(ctx, dns.Fqdn("_acme-challenge."+strings.TrimPrefix(p.name, "*.")))
	p.record = record{fqdn, base64.RawURLEncoding.EncodeToString(sum[:])}
	return s.writer.write(ctx, p.record)
}

// settle waits until the name servers show the records: an authority that looks too soon counts a failure.
func (s byDNS) settle(ctx context.Context, proofs []*proof) error {
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for _, p := range proofs {
		if err := s.resolver.until(limited, p.record); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return remedy.With(remedy.Passing(fmt.Errorf("%s: %w after %v", p.name, err, s.patience)),
				"see that the record "+strings.TrimSuffix(p.record.fqdn, ".")+" can be written, or set appliance.ssl.acme.dns.propagation to a longer time")
		}
	}
	return nil
}

func (s byDNS) hide(ctx context.Context, p *proof) error {
	if p.record.fqdn == "" {
		return nil
	}
	return s.writer.remove(ctx, p.record)
}
