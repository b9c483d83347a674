package acmetest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"appliance/internal/cert/acme/acmetest"
)

func TestAuthoritiesStandSideBySide(t *testing.T) {
	one, other := acmetest.New(t, acmetest.Options{AlwaysValid: true}), acmetest.New(t, acmetest.Options{HTTPPort: 5002})
	if one.DirectoryURL == other.DirectoryURL || one.DNS.Address == other.DNS.Address || one.HTTPPort == 0 || other.HTTPPort != 5002 {
		t.Errorf("%+v and %+v", one, other)
	}
	for _, ca := range []*acmetest.CA{one, other} {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(ca.CABundle)) || !x509.NewCertPool().AppendCertsFromPEM([]byte(ca.RootCA)) {
			t.Error("its certificates cannot be read")
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport}).Get(ca.DirectoryURL)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Errorf("the directory answers %d", resp.StatusCode)
		}
	}
}

func TestCloseEndsIt(t *testing.T) {
	ca, err := acmetest.Start(acmetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", ca.DNS.Address); err == nil {
		conn.Close()
		t.Error("the name server still listens")
	}
	if resp, err := http.Get(ca.DirectoryURL); err == nil {
		resp.Body.Close()
		t.Error("the authority still listens")
	}
}

func TestNameServer(t *testing.T) {
	d, err := acmetest.StartDNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	d.AddTXT("A.example.org", "one")
	d.AddTXT("a.example.org.", "two")
	d.AddTXT("a.example.org.", "two")
	d.RemoveTXT("a.example.org", "one")
	d.SetCNAME("b.example.org", "a.example.org")
	if diff := cmp.Diff([]string{"a.example.org. two"}, d.TXT()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, network := range []string{"udp", "tcp"} {
		reply, _, err := (&dns.Client{Net: network}).Exchange(new(dns.Msg).SetQuestion("b.example.org.", dns.TypeTXT), d.Address)
		if err != nil || len(reply.Answer) != 2 {
			t.Errorf("%s: %v, %v", network, reply, err)
		}
	}
}
