package pack_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// smtpServer is a mail server as small as can be.
type smtpServer struct {
	certificate *tls.Certificate // STARTTLS is offered with it
	implicit    bool             // TLS from the start
	auth        string           // the only "user password" that may send
	refuses     string           // the recipient that it does not take
	hangsAt     string           // the command that it never answers; "greeting" for not even that

	mu    sync.Mutex
	mails []delivery
}

// delivery is a mail that the server has taken.
type delivery struct {
	TLS  bool
	From string
	To   []string
	Text string
}

func (s *smtpServer) taken() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// listen serves on an address until the test ends. Only root may do so on the ports that mail has, and some hosts know no
// IPv6.
func (s *smtpServer) listen(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { <-done; _ = conn.Close() })
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func (s *smtpServer) serve(conn net.Conn) {
	defer conn.Close()
	var d delivery
	if s.implicit {
		conn, d.TLS = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*s.certificate}}), true
	}
	text := textproto.NewConn(conn)
	if s.hangsAt == "greeting" {
		_, _ = text.ReadLine()
		return
	}
	answer := func(line string) { _ = text.PrintfLine("%s", line) }
	answer("220 mail.example.org")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		if verb == s.hangsAt {
			_, _ = text.ReadLine()
			return
		}
		switch verb {
		case "EHLO":
			answer("250-mail.example.org")
			if s.certificate != nil && !d.TLS {
				answer("250-STARTTLS")
			}
			if s.auth != "" {
				answer("250-AUTH LOGIN PLAIN")
			}
			answer("250 8BITMIME")
		case "STARTTLS":
			answer("220 go on")
			conn, d.TLS = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*s.certificate}}), true
			text = &textproto.Conn{Reader: *textproto.NewReader(bufio.NewReader(conn)), Writer: *textproto.NewWriter(bufio.NewWriter(conn))}
		case "AUTH":
			answer(s.login(rest))
		case "MAIL":
			d.From = rest
			answer("250 ok")
		case "RCPT":
			if s.refuses != "" && strings.Contains(rest, s.refuses) {
				answer("550 5.1.1 nobody of that name")
				continue
			}
			d.To = append(d.To, rest)
			answer("250 ok")
		case "DATA":
			answer("354 go on")
			data, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			d.Text = string(data)
			s.mu.Lock()
			s.mails = append(s.mails, d)
			s.mu.Unlock()
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 ok")
		}
	}
}

// login knows the mechanism PLAIN with its initial response.
func (s *smtpServer) login(rest string) string {
	if _, response, _ := strings.Cut(rest, " "); response == s.auth {
		return "235 welcome"
	}
	return "535 5.7.8 no"
}

// selfSigned makes a certificate that nobody trusts.
func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"}, DNSNames: []string{"mail.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
