package front

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rsaPair is a certificate with an RSA key: with one of ECDSA, most suites could not be chosen whatever the server likes.
func (a *authority) rsaPair(t *testing.T) *KeyPair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: a.cert.SerialNumber, Subject: pkix.Name{CommonName: "example.test"}, DNSNames: []string{"example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &KeyPair{
		Key:   pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
}

func vector16(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

func words(all []uint16) (data []byte) {
	for _, w := range all {
		data = binary.BigEndian.AppendUint16(data, w)
	}
	return data
}

// clientHello is one of TLS 1.2 or before (RFC 5246, 7.4.1.2), with null and deflate as compressions.
func clientHello(version uint16, suites []uint16) []byte {
	extension := func(id uint16, data []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, id), vector16(data)...)
	}
	extensions := slices.Concat(
		extension(10, vector16(words([]uint16{29, 23, 24, 25, 256}))), // groups, with ffdhe2048
		extension(11, []byte{1, 0}),                                   // points, not compressed
		extension(13, vector16(words([]uint16{0x403, 0x503, 0x804, 0x805, 0x401, 0x501, 0x201, 0x203, 0x202}))), // signatures
	)
	body := slices.Concat(words([]uint16{version}), make([]byte, 32), []byte{0}, vector16(words(suites)), []byte{2, 1, 0}, vector16(extensions))
	body = append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{22, 3, byte(min(version&0xff, 1))}, vector16(body)...)
}

// chosen is what the server answers to a hello; nothing if it refuses.
func (s *site) chosen(t *testing.T, version uint16, suites []uint16) (suite uint16, ok bool) {
	t.Helper()
	c, err := net.Dial("tcp", s.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(clientHello(version, suites)); err != nil {
		t.Fatal(err)
	}
	var record [5]byte
	if _, err := io.ReadFull(c, record[:]); err != nil || record[0] != 22 {
		return 0, false
	}
	hello := make([]byte, binary.BigEndian.Uint16(record[3:]))
	if _, err := io.ReadFull(c, hello); err != nil || hello[0] != 2 || len(hello) < 39+int(hello[38])+3 {
		t.Fatalf("no hello: %x, %v", hello, err)
	}
	rest := hello[39+int(hello[38]):]
	if got := binary.BigEndian.Uint16(hello[4:]); got != version || rest[2] != 0 {
		t.Errorf("asked for %#x, it answers with version %#x, compression %d", version, got, rest[2])
	}
	return binary.BigEndian.Uint16(rest), true
}

// Every suite there has ever been is offered, those again that were not chosen, until nothing is left that the server likes.
func TestEveryOtherProtocolAndCipherIsRefused(t *testing.T) {
	var every []uint16
	for id := range uint16(0x100) {
		every = append(every, id, 0x1300|id, 0xc000|id, 0xc100|id, 0xcc00|id, 0xd000|id, 0xff00|id)
	}
	every = slices.DeleteFunc(every, func(id uint16) bool { return id == 0x5600 || id == 0x00ff }) // signals, no suites
	for _, c := range []struct {
		name string
		pair func(*authority) *KeyPair
		want []uint16
	}{
		{"RSA", func(a *authority) *KeyPair { return a.rsaPair(t) }, []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		}},
		{"ECDSA", func(a *authority) *KeyPair { return a.pair(t, "example.test") }, []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Limits{}, nil)
			s.state.Certificate = c.pair(s.ca)
			for _, clients := range []string{ClientsNone, ClientsRequired} { // each has a configuration of its own
				s.state.Clients = Clients{Mode: clients, CAs: s.ca.pem()}
				s.apply(t)
				for _, old := range []uint16{0x0300, tls.VersionTLS10, tls.VersionTLS11} {
					if suite, ok := s.chosen(t, old, every); ok {
						t.Errorf("%s: speaks %s with %#04x", clients, tls.VersionName(old), suite)
					}
				}
				var got []uint16
				for left := slices.Clone(every); ; {
					suite, ok := s.chosen(t, tls.VersionTLS12, left)
					if !ok {
						break
					}
					got = append(got, suite)
					left = slices.DeleteFunc(left, func(id uint16) bool { return id == suite })
				}
				slices.Sort(got)
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("%q: (-want +got)\n%s", clients, d)
				}
			}
		})
	}
}

// A foreign name is answered with the site's own certificate, as is none. Who goes on all the same comes to the site, which is
// told the name as it was asked for.
func TestAForeignNameSeesTheSite(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "seen as ", r.Host, " ", r.Header.Get("X-Forwarded-Host"))
		}))
	})
	own, _ := pem.Decode(s.state.Certificate.Chain)
	for _, name := range []string{"", "evil.test", "example.test.evil.test", "xn--exmple-cua.test"} {
		leaf, c, err := s.leaf(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if !bytes.Equal(leaf, own.Bytes) {
			t.Errorf("%q: another certificate", name)
		}
		host := name
		if name == "" {
			host = "192.0.2.7"
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		answer, _ := io.ReadAll(c)
		_ = c.Close()
		if text := string(answer); !strings.HasPrefix(text, "HTTP/1.1 200 ") || !strings.HasSuffix(text, "seen as "+host+" "+host) {
			t.Errorf("%q: answered %q", name, text)
		}
	}
}
