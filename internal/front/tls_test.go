package front

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestOnlyGoodTLS(t *testing.T) {
	s := start(t, Limits{}, nil)
	for id, good := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		c, err := tls.Dial("tcp", s.tls, &tls.Config{RootCAs: s.ca.pool(), ServerName: "example.test", MinVersion: id, MaxVersion: id})
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(id), err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if len(suite.SupportedVersions) == 1 && suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		good := strings.Contains(suite.Name, "ECDHE_ECDSA") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))
		c, err := tls.Dial("tcp", s.tls, &tls.Config{RootCAs: s.ca.pool(), ServerName: "example.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		if (err == nil) != good {
			t.Errorf("%s: %v", suite.Name, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

// leaf is the certificate that is shown to who asks for a name by a protocol.
func (s *site) leaf(name string, protocols ...string) ([]byte, *tls.Conn, error) {
	c, err := tls.Dial("tcp", s.tls, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protocols})
	if err != nil {
		return nil, nil, err
	}
	return c.ConnectionState().PeerCertificates[0].Raw, c, c.SetDeadline(time.Now().Add(10 * time.Second))
}

func TestTheCertificateIsSwapped(t *testing.T) {
	s := start(t, Limits{}, nil)
	first, c, err := s.leaf("other.test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.state.Certificate = s.ca.pair(t, "example.test")
	s.apply(t)
	second, d, err := s.leaf("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if bytes.Equal(first, second) {
		t.Error("the certificate is still the old one")
	}
	good := s.state.Certificate
	s.state.Certificate = &KeyPair{Key: good.Key, Chain: s.ca.pem()}
	if err := s.Apply(s.state); err == nil || !strings.Contains(err.Error(), "cannot use the certificate") {
		t.Errorf("a key that does not fit: %v", err)
	}
	third, e, err := s.leaf("")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if !bytes.Equal(second, third) {
		t.Error("a bad certificate has driven the good one out")
	}
}

func TestChallengesByALPN(t *testing.T) {
	s := start(t, Limits{}, nil)
	s.state.ALPN = map[string]KeyPair{"example.test": *s.ca.pair(t, "challenge.test")}
	s.apply(t)
	leaf, c, err := s.leaf("Example.test", "acme-tls/1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !bytes.Contains(leaf, []byte("challenge.test")) || c.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
		t.Errorf("negotiated %q", c.ConnectionState().NegotiatedProtocol)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
	if answer, _ := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("it talks: %q", answer)
	}
	if _, _, err := s.leaf("other.test", "acme-tls/1"); err == nil {
		t.Error("a name that nobody asked for is answered")
	}
	if leaf, c, err := s.leaf("example.test", "h2"); err != nil || bytes.Contains(leaf, []byte("challenge.test")) {
		t.Errorf("a visitor sees the challenge: %v", err)
	} else {
		_ = c.Close()
	}
}

func TestNoCertificateNoTLS(t *testing.T) {
	s := start(t, Limits{}, func(state *State) { state.Certificate = nil })
	if _, _, err := s.leaf("example.test"); err == nil {
		t.Error("a handshake without a certificate")
	}
}

func TestHTTPOnTheTLSPortIsTold(t *testing.T) {
	s := start(t, Limits{}, nil)
	c, err := net.Dial("tcp", s.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
	if answer, _ := io.ReadAll(c); !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("%q", answer)
	}
}
