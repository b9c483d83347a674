package acmetest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Zone is what the name server calls its one zone: all names of tests lie in it.
const Zone = "example.org."

// DNS is a name server: every name has the address 127.0.0.1, TXT and CNAME records are what was set, and Zone is its own. It takes
// dynamic updates (RFC 2136) that are signed with a key of its own.
type DNS struct {
	Address string // host:port, UDP and TCP
	KeyName string // of TSIG, HMAC-SHA256
	Secret  string

	servers []*dns.Server

	mu    sync.Mutex
	txt   map[string][]string
	cname map[string]string
}

// StartDNS runs a name server until Close.
func StartDNS() (*DNS, error) {
	d := &DNS{KeyName: "test-key.", Secret: "bm90IGEgc2VjcmV0IGF0IGFsbA==", txt: map[string][]string{}, cname: map[string]string{}}
	tcp, udp, err := listenBoth()
	if err != nil {
		return nil, err
	}
	d.Address = tcp.Addr().String()
	for _, server := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		server.Handler, server.TsigSecret, server.MsgAcceptFunc = dns.HandlerFunc(d.answer), map[string]string{d.KeyName: d.Secret}, acceptUpdates
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }() // it ends by Close
		<-started
		d.servers = append(d.servers, server)
	}
	return d, nil
}

// acceptUpdates lets updates in, which the library keeps out.
func acceptUpdates(header dns.Header) dns.MsgAcceptAction {
	if opcode := int(header.Bits>>11) & 0xF; opcode == dns.OpcodeUpdate {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(header)
}

// listenBoth finds a port that is free for TCP and for UDP.
func listenBoth() (net.Listener, net.PacketConn, error) {
	var failed error
	for range 10 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, fmt.Errorf("cannot listen for DNS: %w", err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp, nil
		}
		failed = errors.Join(err, tcp.Close())
	}
	return nil, nil, fmt.Errorf("cannot listen for DNS: %w", failed)
}

// Close ends the server.
func (d *DNS) Close() error {
	var failed error
	for _, server := range d.servers {
		failed = errors.Join(failed, server.Shutdown())
	}
	return failed
}

// AddTXT adds a value to the record at name.
func (d *DNS) AddTXT(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name = dns.CanonicalName(name); !slices.Contains(d.txt[name], value) {
		d.txt[name] = append(d.txt[name], value)
	}
}

// RemoveTXT takes a value away from the record at name.
func (d *DNS) RemoveTXT(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = dns.CanonicalName(name)
	d.txt[name] = slices.DeleteFunc(d.txt[name], func(v string) bool { return v == value })
	if len(d.txt[name]) == 0 {
		delete(d.txt, name)
	}
}

// SetCNAME makes name an alias of target.
func (d *DNS) SetCNAME(name, target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cname[dns.CanonicalName(name)] = dns.CanonicalName(target)
}

// TXT lists all values that are set, as "name value".
func (d *DNS) TXT() (values []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, txt := range d.txt {
		for _, value := range txt {
			values = append(values, name+" "+value)
		}
	}
	slices.Sort(values)
	return values
}

func (d *DNS) answer(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	switch {
	case request.Opcode == dns.OpcodeUpdate:
		reply.Rcode = d.update(w, request)
		if request.IsTsig() != nil && w.TsigStatus() == nil {
			reply.SetTsig(d.KeyName, dns.HmacSHA256, 300, time.Now().Unix())
		}
	case len(request.Question) == 1:
		reply.Answer = d.records(dns.CanonicalName(request.Question[0].Name), request.Question[0].Qtype)
	}
	_ = w.WriteMsg(reply) // who asks asks again
}

func (d *DNS) update(w dns.ResponseWriter, request *dns.Msg) int {
	if request.IsTsig() == nil || w.TsigStatus() != nil {
		return dns.RcodeNotAuth
	}
	if len(request.Question) != 1 || dns.CanonicalName(request.Question[0].Name) != Zone {
		return dns.RcodeNotZone
	}
	for _, rr := range request.Ns {
		txt, ok := rr.(*dns.TXT)
		if !ok || !dns.IsSubDomain(Zone, txt.Hdr.Name) {
			return dns.RcodeRefused
		}
		if value := strings.Join(txt.Txt, ""); txt.Hdr.Class == dns.ClassNONE {
			d.RemoveTXT(txt.Hdr.Name, value)
		} else {
			d.AddTXT(txt.Hdr.Name, value)
		}
	}
	return dns.RcodeSuccess
}

func (d *DNS) records(name string, kind uint16) (answer []dns.RR) {
	d.mu.Lock()
	defer d.mu.Unlock()
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
	}
	if target := d.cname[name]; target != "" {
		answer = append(answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: target})
		name = target
	}
	switch {
	case kind == dns.TypeA:
		answer = append(answer, &dns.A{Hdr: header(kind), A: net.IPv4(127, 0, 0, 1)})
	case kind == dns.TypeTXT:
		for _, value := range d.txt[name] {
			answer = append(answer, &dns.TXT{Hdr: header(kind), Txt: []string{value}})
		}
	case kind == dns.TypeSOA && name == Zone:
		answer = append(answer, &dns.SOA{Hdr: header(kind), Ns: "ns." + Zone, Mbox: "admin." + Zone, Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 1})
	case kind == dns.TypeNS && name == Zone:
		answer = append(answer, &dns.NS{Hdr: header(kind), Ns: "ns." + Zone})
	}
	return answer
}
