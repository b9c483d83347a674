package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/remedy"
)

// dnsService writes records as those who speak httpreq do.
type dnsService struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string
}

func newDNSService(t *testing.T, records *acmetest.DNS, password string) *dnsService {
	s := &dnsService{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ FQDN, Value string }
		user, given, _ := r.BasicAuth()
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || password != "" && (user != "ecs" || given != password) {
			http.Error(w, "not you: "+given, http.StatusUnauthorized)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		action := strings.TrimPrefix(r.URL.Path, "/hook/")
		s.calls = append(s.calls, action+" "+asked.FQDN)
		if action == "present" {
			records.AddTXT(asked.FQDN, asked.Value)
		} else {
			records.RemoveTXT(asked.FQDN, asked.Value)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *dnsService) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// program is one that hands on to the service, and keeps what it was called with.
func program(t *testing.T, service *dnsService) (path, log string) {
	t.Helper()
	dir := t.TempDir()
	path, log = filepath.Join(dir, "dns-record"), filepath.Join(dir, "log")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(hookURL, service.URL+"/hook")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each call takes a second
	text := fmt.Sprintf("#!/bin/sh\necho \"$# $1 $2\" >>%s\necho chatter\nexec %s \"$@\"\n", log, exe)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, log
}

// The authority really looks up the records; a name and its wildcard share one.
func TestChallengesInDNS(t *testing.T) {
	for _, provider := range []string{"exec", "httpreq", "rfc2136"} {
		t.Run(provider, func(t *testing.T) {
			ca := acmetest.New(t, acmetest.Options{})
			service := newDNSService(t, ca.DNS, "pass word")
			settings := DNS{Provider: provider, Endpoint: service.URL + "/hook", User: "ecs", Password: "pass word",
				Nameserver: ca.DNS.Address, TSIGKey: ca.DNS.KeyName, TSIGSecret: ca.DNS.Secret, TSIGAlg: "hmac-sha256"}
			log := ""
			if provider == "exec" {
				service = newDNSService(t, ca.DNS, "")
				settings.Program, log = program(t, service)
			}
			h := newHost(t, ca, Settings{Challenge: "dns-01", DNS: settings}, nil)
			leaf := h.obtain(t, nil, "ecs.example.org", "*.ecs.example.org", "www.example.org")
			if diff := cmp.Diff([]string{"*.ecs.example.org", "ecs.example.org", "www.example.org"}, slices.Sorted(slices.Values(leaf.DNSNames))); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if left := ca.DNS.TXT(); len(left) > 0 {
				t.Errorf("records stay behind: %v", left)
			}
			if provider != "rfc2136" && len(service.called()) != 6 {
				t.Errorf("the service was called for %q", service.called())
			}
			if log != "" {
				data, _ := os.ReadFile(log)
				if lines := strings.Split(string(data), "\n"); len(lines) != 7 || !strings.HasPrefix(lines[0], "3 present _acme-challenge.") {
					t.Errorf("the program was called with %q", lines)
				}
			}
			if h.log.Len() > 0 {
				t.Errorf("log: %s", h.log)
			}
			nothingStays(t)
		})
	}
}

func TestRecordIsWrittenWhereAnAliasLeads(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{})
	ca.DNS.SetCNAME("_acme-challenge.ecs.example.org", "ecs.acme.example.org")
	service := newDNSService(t, ca.DNS, "")
	h := newHost(t, ca, Settings{Challenge: "dns-01", DNS: DNS{Provider: "httpreq", Endpoint: service.URL + "/hook/"}}, nil)
	h.obtain(t, nil, "ecs.example.org")
	if diff := cmp.Diff([]string{"present ecs.acme.example.org.", "cleanup ecs.acme.example.org."}, service.called()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A record that is late is waited for; without authoritative servers the recursive ones are asked.
func TestRecordsAreWaitedFor(t *testing.T) {
	for _, test := range []struct{ name, port string }{{"at the zone's server", ""}, {"where that cannot be reached", "1"}} {
		t.Run(test.name, func(t *testing.T) {
			ca := acmetest.New(t, acmetest.Options{})
			late := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var asked struct{ FQDN, Value string }
				if err := json.NewDecoder(r.Body).Decode(&asked); err == nil && r.URL.Path == "/present" {
					time.AfterFunc(600*time.Millisecond, func() { ca.DNS.AddTXT(asked.FQDN, asked.Value) })
				}
			}))
			t.Cleanup(late.Close)
			h := newHost(t, ca, Settings{Challenge: "dns-01", DNS: DNS{Provider: "httpreq", Endpoint: late.URL}}, nil)
			if test.port != "" {
				h.dnsPort = test.port
			}
			started := time.Now()
			h.obtain(t, nil, "ecs.example.org")
			if took := time.Since(started); took < 600*time.Millisecond {
				t.Errorf("the authority was sent to look after %v", took)
			}
		})
	}
}

func TestRecordsThatCannotBeWritten(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{})
	service := newDNSService(t, ca.DNS, "right")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(broken.Close)
	idle := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(idle.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	failing := filepath.Join(t.TempDir(), "failing")
	if err := os.WriteFile(failing, []byte("#!/bin/sh\necho one >&2\necho 'the zone is locked' >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	wrongKey := DNS{Provider: "rfc2136", Nameserver: ca.DNS.Address, TSIGKey: ca.DNS.KeyName, TSIGSecret: "d3Jvbmc="}
	for _, test := range []struct {
		name    string
		dns     DNS
		text    string
		remedy  string
		passing bool
	}{
		{"nobody is named", DNS{}, `the DNS provider "" is not known`, "set appliance.ssl.acme.dns.provider", false},
		{"a program that fails", DNS{Provider: "exec", Program: failing}, "exit status 3: the zone is locked", "appliance.ssl.acme.dns.exec", false},
		{"a program that is not there", DNS{Provider: "exec", Program: "/nonexistent/program"}, "/nonexistent/program", "appliance.ssl.acme.dns.exec", false},
		{"a wrong password", DNS{Provider: "httpreq", Endpoint: service.URL + "/hook", User: "ecs", Password: "wrong-password"}, "it answered 401", "appliance.ssl.acme.dns.httpreq", false},
		{"a service with a fault", DNS{Provider: "httpreq", Endpoint: broken.URL + "/secret-path"}, "it answered 502 Bad Gateway", "", true},
		{"a service that is down", DNS{Provider: "httpreq", Endpoint: gone.URL + "/secret-path"}, "connection refused", "", true},
		{"an address that is none", DNS{Provider: "httpreq", Endpoint: "http://user:secret-path@[::1"}, "address of the DNS service is none", "endpoint", false},
		{"a service that writes nothing", DNS{Provider: "httpreq", Endpoint: idle.URL, Propagation: 300 * time.Millisecond}, "the record is not seen at 127.0.0.1:", "appliance.ssl.acme.dns.propagation", true},
		{"a wrong TSIG secret", wrongKey, "it answered NOTAUTH", "appliance.ssl.acme.dns.rfc2136", false},
		{"no TSIG key", DNS{Provider: "rfc2136", Nameserver: ca.DNS.Address}, "it answered NOTAUTH", "appliance.ssl.acme.dns.rfc2136", false},
		{"a TSIG secret that is no base64", DNS{Provider: "rfc2136", Nameserver: ca.DNS.Address, TSIGKey: "k", TSIGSecret: "secret-path"}, "the TSIG secret is not base64", "appliance.ssl.acme.dns.rfc2136", false},
		{"a TSIG algorithm of nobody", DNS{Provider: "rfc2136", Nameserver: "ns", TSIGKey: "k", TSIGSecret: "YQ==", TSIGAlg: "rot13"}, `"rot13" is not known`, "appliance.ssl.acme.dns.rfc2136", false},
		{"no name server", DNS{Provider: "rfc2136"}, "is not given", "appliance.ssl.acme.dns.rfc2136", false},
		{"a name server that is down", DNS{Provider: "rfc2136", Nameserver: gone.Listener.Addr().String()}, "cannot find its zone", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, ca, Settings{Challenge: "dns-01", DNS: test.dns}, nil)
			refusal := h.refused(t, "ecs.example.org")
			if !strings.Contains(refusal.Error(), test.text) || refusal.Passing != test.passing || remedy.MayPass(refusal) != test.passing {
				t.Errorf("refused (passing: %v): %v", refusal.Passing, refusal)
			}
			if way := remedy.Of(refusal); test.remedy == "" && way != "" || !strings.Contains(way, test.remedy) {
				t.Errorf("the remedy is %q", way)
			}
			for _, secret := range []string{"wrong-password", "secret-path", "d3Jvbmc="} {
				if strings.Contains(refusal.Error()+h.log.String(), secret) {
					t.Errorf("a secret is told: %v\n%s", refusal, h.log)
				}
			}
		})
	}
}

func TestResolversOfTheHost(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	h := newHost(t, ca, Settings{}, nil)
	h.Resolvers = nil
	if _, err := h.newResolver(); err == nil {
		t.Error("a host without resolv.conf has resolvers")
	}
	for text, want := range map[string][]string{
		"nameserver 192.0.2.1\nnameserver 2001:db8::1\n": {"192.0.2.1:53", "[2001:db8::1]:53"},
		"# nothing\n": nil,
	} {
		if err := h.System.WriteFile("/etc/resolv.conf", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := h.newResolver()
		if want == nil {
			if !errors.Is(err, errNoServer) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil || !cmp.Equal(r.servers, want) {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
}

func TestNameServerWithoutPort(t *testing.T) {
	for given, want := range map[string]string{
		"ns.example.org": "ns.example.org:53", "ns.example.org:5353": "ns.example.org:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53",
	} {
		if got := hostPort(given, "53"); got != want {
			t.Errorf("hostPort(%s) = %s, want %s", given, got, want)
		}
	}
}

// A server that has lost the zone, or does not answer for it now, says nothing of the record.
func TestLameNameServersDoNotCount(t *testing.T) {
	want := record{"_acme-challenge.a.example.org.", "v"}
	for _, test := range []struct {
		name  string
		rcode int
		shown bool // at the other one
		lame  bool // it is the one that is waited for
	}{
		{"refused", dns.RcodeRefused, true, false},
		{"failed", dns.RcodeServerFailure, true, false},
		{"refused, and the other does not show it", dns.RcodeRefused, false, false},
		{"there is no such name", dns.RcodeNameError, true, true},
		{"there is no such record", dns.RcodeSuccess, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
				_ = w.WriteMsg(new(dns.Msg).SetRcode(m, test.rcode))
			})}
			go func() { _ = server.ActivateAndServe() }()
			t.Cleanup(func() { _ = conn.Close() })
			good, err := acmetest.StartDNS()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = good.Close() })
			if test.shown {
				good.AddTXT(want.fqdn, want.value)
			}
			lame, missing := conn.LocalAddr().String(), ""
			switch {
			case test.lame:
				missing = lame
			case !test.shown:
				missing = good.Address
			}
			r := &resolver{servers: []string{good.Address}}
			if got := r.missing(t.Context(), []string{lame, good.Address}, want); got != missing {
				t.Errorf("it is missing at %q, want %q", got, missing)
			}
		})
	}
}
