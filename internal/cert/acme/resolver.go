package acme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"appliance/internal/remedy"
)

const (
	queryWithin   = 3 * time.Second
	longestCNAMEs = 8
	mostServers   = 16
	ednsSize      = 1232 // what DNS flag day 2020 agreed on
	firstLook     = 250 * time.Millisecond
	longestLook   = 10 * time.Second
)

var (
	errNoServer = errors.New("no name server is configured in /etc/resolv.conf")
	errNotSeen  = errors.New("the record is not seen")
)

// resolver looks for records, first where the zone says that they are.
type resolver struct {
	servers []string // host:port, recursive
	port    string   // of authoritative servers
}

func (c *Client) newResolver() (*resolver, error) {
	r := &resolver{servers: c.Resolvers, port: c.dnsPort}
	if len(r.servers) > 0 {
		return r, nil
	}
	data, err := c.System.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("cannot read the name servers: %w", err)
	}
	config, err := dns.ClientConfigFromReader(bytes.NewReader(data))
	if err != nil || len(config.Servers) == 0 {
		return nil, remedy.With(errNoServer, "name one there")
	}
	for _, server := range config.Servers {
		r.servers = append(r.servers, net.JoinHostPort(server, config.Port))
	}
	return r, nil
}

// exchange asks one server. It ends with ctx, which the library's own does not.
func exchange(ctx context.Context, client *dns.Client, m *dns.Msg, server string) (*dns.Msg, error) {
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // that ends a read
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	reply, _, err := client.ExchangeWithConn(m, conn)
	return reply, err
}

func query(ctx context.Context, server, name string, kind uint16, recursive bool) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name, kind)
	m.RecursionDesired = recursive
	m.SetEdns0(ednsSize, false)
	reply, err := exchange(ctx, &dns.Client{Timeout: queryWithin}, m, server)
	if reply != nil && reply.Truncated {
		reply, err = exchange(ctx, &dns.Client{Net: "tcp", Timeout: queryWithin}, m, server)
	}
	return reply, err
}

// look asks the recursive servers in turn.
func (r *resolver) look(ctx context.Context, name string, kind uint16) (reply *dns.Msg, err error) {
	for _, server := range r.servers {
		if reply, err = query(ctx, server, name, kind, true); err == nil && len(reply.Answer) > 0 {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// follow answers where the CNAME records at name lead: many hand this one name over to a zone that can be written.
func (r *resolver) follow(ctx context.Context, name string) string {
	for range longestCNAMEs {
		reply, err := r.look(ctx, name, dns.TypeCNAME)
		if err != nil {
			return name
		}
		next := slices.IndexFunc(reply.Answer, func(rr dns.RR) bool {
			cname, ok := rr.(*dns.CNAME)
			return ok && strings.EqualFold(cname.Hdr.Name, name)
		})
		if next < 0 {
			return name
		}
		name = dns.CanonicalName(reply.Answer[next].(*dns.CNAME).Target)
	}
	return name
}

// zoneOf answers the zone that name lies in, as server sees it.
func zoneOf(ctx context.Context, server, name string) (string, error) {
	var failed error
	for _, at := range dns.Split(name) {
		reply, err := query(ctx, server, name[at:], dns.TypeSOA, true)
		if err != nil {
			failed = err
			continue
		}
		for _, rr := range reply.Answer {
			if soa, ok := rr.(*dns.SOA); ok && strings.EqualFold(soa.Hdr.Name, name[at:]) {
				return soa.Hdr.Name, nil
			}
		}
	}
	if failed != nil {
		return "", remedy.Passing(fmt.Errorf("cannot find its zone at %s: %w", server, failed))
	}
	return "", fmt.Errorf("cannot find its zone at %s", server)
}

// authoritative answers addresses of the servers that hold the zone of name; none if they cannot be found.
func (r *resolver) authoritative(ctx context.Context, name string) (servers []string) {
	var zone string
	for _, server := range r.servers {
		if found, err := zoneOf(ctx, server, name); err == nil {
			zone = found
			break
		}
	}
	if zone == "" {
		return nil
	}
	reply, err := r.look(ctx, zone, dns.TypeNS)
	if err != nil {
		return nil
	}
	for _, rr := range reply.Answer {
		if ns, ok := rr.(*dns.NS); ok && len(servers) < mostServers {
			servers = append(servers, r.addresses(ctx, ns.Ns)...)
		}
	}
	return servers
}

func (r *resolver) addresses(ctx context.Context, host string) (servers []string) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := r.look(ctx, host, kind)
		if err != nil {
			continue
		}
		for _, rr := range reply.Answer {
			switch address := rr.(type) {
			case *dns.A:
				servers = append(servers, net.JoinHostPort(address.A.String(), r.port))
			case *dns.AAAA:
				servers = append(servers, net.JoinHostPort(address.AAAA.String(), r.port))
			}
		}
	}
	return servers
}

// until returns once every authoritative server that answers shows the record. Where none can be reached, as behind some
// firewalls, the recursive ones have to do.
func (r *resolver) until(ctx context.Context, want record) error {
	servers := r.authoritative(ctx, want.fqdn)
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		missing := r.missing(ctx, servers, want)
		if missing == "" {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("%w at %s", errNotSeen, missing)
		}
	}
}

// missing names a server that does not show the record, "" if none does not.
func (r *resolver) missing(ctx context.Context, servers []string, want record) string {
	answered := false
	for _, server := range servers {
		shown, err := shows(ctx, server, want, false)
		if err != nil {
			continue
		}
		if answered = true; !shown {
			return server
		}
	}
	if answered {
		return ""
	}
	for _, server := range r.servers {
		if shown, err := shows(ctx, server, want, true); err == nil && shown {
			return ""
		}
	}
	return strings.Join(r.servers, ", ")
}

func shows(ctx context.Context, server string, want record, recursive bool) (bool, error) {
	reply, err := query(ctx, server, want.fqdn, dns.TypeTXT, recursive)
	if err != nil {
		return false, err
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError { // it does not have the zone, or not now
		return false, fmt.Errorf("it answered %s", dns.RcodeToString[reply.Rcode])
	}
	return slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool {
		txt, ok := rr.(*dns.TXT)
		return ok && strings.Join(txt.Txt, "") == want.value
	}), nil
}
