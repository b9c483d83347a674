package nginx

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

func TestRealNginx(t *testing.T) {
	s := newSite(t)
	w := Wish{Names: []string{"ecs.example.org"}, Clients: ClientsOptional, Routes: []Route{
		{Path: "/", Address: upstream(t, "web")}, {Path: "/app/", Address: upstream(t, "app"), Timeout: time.Minute}}}
	w.Revocation = s.authorize(s.clients.revoke(1))
	s.converge(w, nil)
	s.start(t)
	good, bad := s.clients.client(7), s.clients.client(8)
	base := "https://" + s.tls

	t.Run("headers are nginx's own", func(t *testing.T) {
		forged := http.Header{}
		for _, name := range []string{"X-SSL-Client-Verify", "X_SSL_Client_Verify", "X-Ssl-Client-Serial", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN", "X-SSL-Client-Fingerprint",
			"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-IP", "Forwarded", "Upgrade"} {
			forged[name] = []string{"forged"}
		}
		defer func() { s.http2 = false }()
		for i, cert := range []*tls.Certificate{nil, good, nil, good} {
			forged["Upgrade"], forged["Connection"] = []string{"h2c"}, []string{"Upgrade, X-SSL-Client-Verify"}
			if s.http2 = i > 1; s.http2 {
				delete(forged, "Upgrade")
				delete(forged, "Connection")
			}
			status, body, _ := s.ask(cert, base+"/page?q=1", forged)
			if status != 200 || strings.Contains(body, "forged") || strings.Contains(body, "h2c") || !strings.HasPrefix(body, "web /page?q=1\nhost: 127.0.0.1\n") {
				t.Errorf("%d %s", status, body)
			}
			want := "x-ssl-client-verify: NONE\n"
			if cert != nil {
				want = "x-ssl-client-verify: SUCCESS\n"
			}
			for _, want := range []string{want, "x-forwarded-for: 127.0.0.1\n", "x-forwarded-proto: https\n"} {
				if !strings.Contains(body, want) {
					t.Errorf("there is no %q in %s", want, body)
				}
			}
			if cert != nil && !strings.Contains(body, "x-ssl-client-serial: 07\n") {
				t.Error(body)
			}
		}
	})
	t.Run("paths end at a slash", func(t *testing.T) {
		for path, name := range map[string]string{"/": "web", "/app": "app", "/app/x": "app", "/apple": "web", "/x/app/": "web"} {
			if status, body, _ := s.ask(nil, base+path, nil); status != 200 || !strings.HasPrefix(body, name+" "+path+"\n") {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		conn, _, err := websocket.Dial(t.Context(), base+"/echo", &websocket.DialOptions{HTTPClient: s.visitor(nil)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("there and back")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.Read(t.Context()); err != nil || string(text) != "there and back" {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("the page while the application is not there", func(t *testing.T) {
		if err := s.ShowPage([]byte("<p>Soon")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/", "/app/x"} {
			status, body, resp := s.ask(nil, base+path, nil)
			if status != 503 || body != "<p>Soon" || resp.Header.Get("Retry-After") != "30" || resp.Header.Get("Content-Type") != "text/html" && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/") {
				t.Errorf("%s: %d %s %v", path, status, body, resp)
			}
		}
		if err := s.HidePage(); err != nil {
			t.Fatal(err)
		}
		if status, _, _ := s.ask(nil, base+"/", nil); status != 200 {
			t.Errorf("afterwards: %d", status)
		}
	})
	t.Run("challenges", func(t *testing.T) {
		if err := s.Challenges(map[string]string{"token": answerTo("token")}); err != nil {
			t.Fatal(err)
		}
		if status, body, resp := s.ask(nil, "http://"+s.plain+"/.well-known/acme-challenge/token", nil); status != 200 || body != answerTo("token") || resp.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%d %s", status, body)
		}
		if status, _, _ := s.ask(nil, "http://"+s.plain+"/.well-known/acme-challenge/other", nil); status != 404 {
			t.Errorf("a challenge that nobody asked for: %d", status)
		}
		if status, _, resp := s.ask(nil, "http://"+s.plain+"/x?y=1", http.Header{}); status != 308 || resp.Header.Get("Location") != "https://127.0.0.1/x?y=1" {
			t.Errorf("everything else: %d", status)
		}
		if err := s.Challenges(nil); err != nil {
			t.Fatal(err)
		}
		if status, _, _ := s.ask(nil, "http://"+s.plain+"/.well-known/acme-challenge/token", nil); status != 404 {
			t.Errorf("a challenge that is over: %d", status)
		}
	})
	t.Run("client certificates", func(t *testing.T) {
		for _, cert := range []*tls.Certificate{good, bad} {
			if status, body, _ := s.ask(cert, base, nil); status != 200 {
				t.Errorf("before: %d %s", status, body)
			}
		}
		if status, _, _ := s.ask(newSigner(t, "client CA").client(7), base, nil); status != 400 {
			t.Errorf("one of somebody else: %d", status)
		}
		s.authorize(s.clients.revoke(2, 8))
		s.converge(w, func() bool { status, _, _ := s.ask(bad, base, nil); return status == 400 })
		if status, _, _ := s.ask(good, base, nil); status != 200 {
			t.Errorf("the other one: %d", status)
		}
		w.Clients = ClientsRequired
		s.converge(w, func() bool { status, _, _ := s.ask(nil, base, nil); return status == 400 })
		if status, _, _ := s.ask(good, base, nil); status != 200 {
			t.Errorf("a good one where one is required: %d", status)
		}
		w.Clients = ClientsNone
		s.converge(w, func() bool { status, _, _ := s.ask(bad, base, nil); return status == 200 })
	})
	serial := func() string {
		_, _, resp := s.ask(nil, base, nil)
		if resp == nil {
			return ""
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	t.Run("another certificate", func(t *testing.T) {
		s.certify("ecs.example.org", 12)
		s.converge(w, func() bool { return serial() == "12" })
	})
	t.Run("a template that nginx does not take", func(t *testing.T) {
		before, err := os.ReadFile(filepath.Join(s.root, IdentityFile))
		if err != nil {
			t.Fatal(err)
		}
		s.put(TemplateFile, "server_name ##ALLOWED_HOSTS##;\nproxy_passs nowhere;\n")
		err = s.Apply(t.Context(), w)
		if err == nil || !strings.Contains(err.Error(), `cannot use the configuration of nginx: unknown directive "proxy_passs" in `) {
			t.Errorf("%v", err)
		}
		after, err := os.ReadFile(filepath.Join(s.root, IdentityFile))
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		s.eventually("nginx to answer as before", func() bool { return serial() == "12" }) // a worker on its way out may have taken a visitor
		if bytes.Contains(after, []byte("proxy_passs")) {
			t.Error("the bad one is in place")
		}
	})
}
