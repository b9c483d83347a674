package acme

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"appliance/internal/remedy"
)

// dnsByUpdate writes the record itself, by dynamic update (RFC 2136) signed with TSIG (RFC 8945). lego's provider is not
// used: it takes the values of others away, and brings Kerberos along.
type dnsByUpdate struct {
	server    string // host:port
	key       string // canonical; "" is none
	secret    string
	algorithm string
	now       func() time.Time
}

const (
	recordTTL = 60 // seconds
	tsigFudge = 300
)

func (c *Client) newDNSByUpdate() (dnsWriter, error) {
	d := dnsByUpdate{server: hostPort(c.DNS.Nameserver, c.dnsPort), secret: c.DNS.TSIGSecret, now: c.System.Now}
	wrong := func(what string) error {
		return remedy.With(errors.New(what), "check appliance.ssl.acme.dns.rfc2136")
	}
	if c.DNS.Nameserver == "" {
		return nil, wrong("the name server to update is not given")
	}
	if c.DNS.TSIGKey == "" {
		return d, nil
	}
	d.key = dns.CanonicalName(c.DNS.TSIGKey)
	d.algorithm = dns.CanonicalName(c.DNS.TSIGAlg)
	switch d.algorithm {
	case ".":
		d.algorithm = dns.HmacSHA256
	case dns.HmacSHA1, dns.HmacSHA224, dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512:
	default:
		return nil, wrong(fmt.Sprintf("the TSIG algorithm %q is not known", c.DNS.TSIGAlg))
	}
	if secret, err := base64.StdEncoding.DecodeString(d.secret); err != nil || len(secret) == 0 {
		return nil, wrong("the TSIG secret is not base64")
	}
	return d, nil
}

func (d dnsByUpdate) write(ctx context.Context, r record) error {
	return d.update(ctx, r, func(m *dns.Msg, rr []dns.RR) { m.Insert(rr) })
}

func (d dnsByUpdate) remove(ctx context.Context, r record) error {
	return d.update(ctx, r, func(m *dns.Msg, rr []dns.RR) { m.Remove(rr) })
}

func (d dnsByUpdate) update(ctx context.Context, r record, change func(*dns.Msg, []dns.RR)) error {
	zone, err := zoneOf(ctx, d.server, r.fqdn)
	if err != nil {
		return fmt.Errorf("cannot update %s: %w", r.fqdn, err)
	}
	m := new(dns.Msg).SetUpdate(zone)
	change(m, []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: r.fqdn, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL},
		Txt: []string{r.value},
	}})
	client := &dns.Client{Timeout: queryWithin}
	if d.key != "" {
		client.TsigSecret = map[string]string{d.key: d.secret}
		m.SetTsig(d.key, d.algorithm, tsigFudge, d.now().Unix())
	}
	reply, err := exchange(ctx, client, m, d.server)
	if err == nil && reply.Rcode == dns.RcodeSuccess {
		return nil
	}
	if err != nil && (reply == nil || errors.As(err, new(net.Error))) {
		return remedy.Passing(fmt.Errorf("cannot update %s at %s: %w", r.fqdn, d.server, err))
	}
	why := strings.TrimSpace(dns.RcodeToString[reply.Rcode])
	if err != nil {
		why += ": " + err.Error()
	}
	return remedy.With(fmt.Errorf("cannot update %s at %s: it answered %s", r.fqdn, d.server, why), "check appliance.ssl.acme.dns.rfc2136")
}

func hostPort(server, port string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), port)
}
