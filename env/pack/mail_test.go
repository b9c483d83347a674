package pack_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env/pack"
)

// letter is a mail with an attachment that stands for an archive.
func letter(server string) pack.Mail {
	return pack.Mail{
		Server: server, From: "appliance@ecs.example.org", To: []string{"vault@example.org", "safe@example.org"},
		Subject: "Environment of ecs.example.org", Body: "Keep this.\n",
		Attachment: pack.Output{Name: archiveName, Data: bytes.Repeat([]byte{0, 1, 0xff, '\n', '.', '\r'}, 4000)},
	}
}

func TestSend(t *testing.T) {
	login := base64.StdEncoding.EncodeToString([]byte("\x00vendor\x00geheim"))
	certificate := selfSigned(t)
	for _, test := range []struct {
		name    string
		server  *smtpServer
		address string // to listen on
		use     string // for Mail.Server; "" is where the server listens
		user    string
		tls     bool
	}{
		{"a relay on this host without TLS", &smtpServer{}, "127.0.0.1:0", "", "", false},
		{"TLS is used where it is offered", &smtpServer{certificate: certificate}, "127.0.0.1:0", "", "", true},
		{"by IPv6", &smtpServer{}, "[::1]:0", "", "", false},
		{"with a user", &smtpServer{certificate: certificate, auth: login}, "127.0.0.1:0", "", "vendor", true},
		{"the port of relays", &smtpServer{}, "127.0.0.77:25", "127.0.0.77", "", false},
		{"the port for users", &smtpServer{certificate: certificate, auth: login}, "127.0.0.77:587", "127.0.0.77", "vendor", true},
		{"TLS from the start", &smtpServer{certificate: certificate, implicit: true, auth: login}, "127.0.0.77:465", "", "vendor", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := letter(test.server.listen(t, test.address))
			if test.use != "" {
				m.Server = test.use
			}
			if test.user != "" {
				m.User, m.Password = test.user, "geheim"
			}
			if err := pack.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			taken := test.server.taken()
			if len(taken) != 1 {
				t.Fatalf("%d mails were taken", len(taken))
			}
			if taken[0].TLS != test.tls {
				t.Errorf("TLS = %v", taken[0].TLS)
			}
			if diff := cmp.Diff([]string{"TO:<vault@example.org>", "TO:<safe@example.org>"}, taken[0].To); diff != "" {
				t.Errorf("recipients (-want +got):\n%s", diff)
			}
			checkLetter(t, taken[0].Text, m)
		})
	}
}

// checkLetter reads the mail as its recipient does.
func checkLetter(t *testing.T, text string, sent pack.Mail) {
	t.Helper()
	got, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Subject") != sent.Subject || !strings.Contains(got.Header.Get("From"), sent.From) {
		t.Errorf("header: %v", got.Header)
	}
	_, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	body, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if words, err := io.ReadAll(body); err != nil || strings.TrimSpace(string(words)) != "Keep this." {
		t.Errorf("body = %q, %v", words, err)
	}
	attached, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, attached))
	if err != nil || !bytes.Equal(data, sent.Attachment.Data) || attached.FileName() != sent.Attachment.Name {
		t.Errorf("attachment %s of %d bytes, %v", attached.FileName(), len(data), err)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("there is more: %v", err)
	}
}

func TestWhatIsNotSent(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *smtpServer
		spoil  func(m *pack.Mail)
		want   string
	}{
		{"a clear file", &smtpServer{}, func(m *pack.Mail) { m.Attachment.Clear = true }, "it is not encrypted"},
		{"a refused recipient", &smtpServer{refuses: "safe@"}, nil, "nobody of that name"},
		{"a wrong password", &smtpServer{certificate: selfSigned(t), auth: "x"}, func(m *pack.Mail) { m.User, m.Password = "vendor", "geheim" }, "535"},
		{"no recipient", &smtpServer{}, func(m *pack.Mail) { m.To = nil }, "there is no recipient"},
		{"no address", &smtpServer{}, func(m *pack.Mail) { m.To = []string{"vault"} }, `cannot send to ["vault"]`},
		{"two headers in one", &smtpServer{}, func(m *pack.Mail) { m.From = "a@example.org\nBcc: b@example.org" }, "cannot send from"},
		{"no port", &smtpServer{}, func(m *pack.Mail) { m.Server = "127.0.0.1:smtp" }, `"smtp" is no port`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := letter(test.server.listen(t, "127.0.0.1:0"))
			if test.spoil != nil {
				test.spoil(&m)
			}
			err := pack.Send(t.Context(), m)
			if err == nil || !strings.HasPrefix(err.Error(), "cannot send") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error tells the password: %v", err)
			}
			if taken := test.server.taken(); len(taken) > 0 {
				t.Errorf("taken: %+v", taken)
			}
		})
	}
}

// Whatever step a server hangs at, the caller's patience ends it.
func TestAServerThatHangs(t *testing.T) {
	for _, at := range []string{"greeting", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"} {
		t.Run(at, func(t *testing.T) {
			server := &smtpServer{hangsAt: at, certificate: selfSigned(t)}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := pack.Send(ctx, letter(server.listen(t, "127.0.0.1:0"))); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// Beyond this host a mail goes out encrypted, to a server with a valid certificate, or not at all.
func TestOtherHostsNeedTLS(t *testing.T) {
	ip := outside(t)
	for _, test := range []struct {
		name   string
		server *smtpServer
		want   string
	}{
		{"it offers none", &smtpServer{}, "STARTTLS"},
		{"its certificate is not valid", &smtpServer{certificate: selfSigned(t)}, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := letter(test.server.listen(t, net.JoinHostPort(ip, "0")))
			m.User, m.Password = "vendor", "geheim"
			err := pack.Send(t.Context(), m)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
			if taken := test.server.taken(); len(taken) > 0 {
				t.Errorf("taken: %+v", taken)
			}
		})
	}
}

// outside answers an address of this host that is not its loopback.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Skip("this host has no address but its loopback")
	return ""
}
