package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// plainly sends a request without TLS as it is written, and answers what comes back.
func (s *site) plainly(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

func TestVisitorsAreSentToTLS(t *testing.T) {
	for _, c := range []struct {
		name, names, host, target string
		port                      uint16
		want                      string
	}{
		{"name", "example.test", "example.test", "/a?b=c", 443, "https://example.test/a?b=c"},
		{"other of our names", "example.test www.example.test", "WWW.example.test.:80", "/", 443, "https://www.example.test/"},
		{"foreign name", "example.test", "evil.test", "/", 443, "https://example.test/"},
		{"address", "example.test", "127.0.0.1", "/", 443, "https://example.test/"},
		{"odd port", "example.test", "example.test:8080", "/", 8443, "https://example.test:8443/"},
		{"two slashes", "example.test", "example.test", "//evil.test/%2e%2e", 443, "https://example.test//evil.test/%2e%2e"},
		{"absolute target", "example.test", "example.test", "http://evil.test/x", 443, "https://example.test/x"},
		{"line break", "example.test", "example.test", "/%0d%0aSet-Cookie:x?%0d%0a", 443, "https://example.test/%0d%0aSet-Cookie:x?%0d%0a"},
		{"bytes", "example.test", "example.test", "/\xc3\xa4?\xc3\xa4\"", 443, "https://example.test/%C3%A4?%C3%A4\""},
		{"nameless", "localhost", "host-7.lan:80", "/", 8443, "https://host-7.lan:8443/"},
		{"nameless by address", "localhost", "[::1]:80", "/", 8443, "https://[::1]:8443/"},
		{"nameless with markup", "localhost", "a'(x)", "/", 443, "https://localhost/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Limits{}, func(state *State) { state.Names, state.TLSPort = strings.Fields(c.names), c.port })
			res, _ := s.plainly(t, "POST "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nContent-Length: 0\r\n\r\n")
			if got := res.Header.Get("Location"); res.StatusCode != 308 || got != c.want {
				t.Errorf("%d to %q, want %q", res.StatusCode, got, c.want)
			}
		})
	}
}

func TestMachinesAreAnsweredPlainly(t *testing.T) {
	s := start(t, Limits{}, func(state *State) { state.Challenges = map[string]string{"token": "token.key"} })
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"/.well-known/acme-challenge/token":      {200, "token.key"},
		"/.well-known/acme-challenge/other":      {404, ""},
		"/.well-known/acme-challenge/":           {404, ""},
		"/.well-known/appliance/health/live":     {200, `"live":true`},
		"/.well-known/appliance/health":          {503, `"ready":false`},
		"/.well-known/acme-challenge%2Ftoken":    {200, "token.key"},
		"/.well-known/acme-challenge/../x/token": {404, ""},
	} {
		res, text := s.plainly(t, "GET "+target+" HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n")
		if res.StatusCode != want.status || !strings.Contains(text, want.text) {
			t.Errorf("%s: %d %q", target, res.StatusCode, text)
		}
	}
}

func TestTheSiteWithoutTLS(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.TLSPort = 0
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto")) }))
	})
	if res, text := s.plainly(t, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"); res.StatusCode != 200 || text != "http" {
		t.Errorf("%d %q", res.StatusCode, text)
	}
}

func TestThePageStandsIn(t *testing.T) {
	s := start(t, Limits{}, func(state *State) { state.Routes = []Route{{Path: "/", Service: "web"}} })
	c := s.client(t, nil)
	if res, _ := get(t, c, "/"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("no backends: %d", res.StatusCode)
	}
	s.state.Routes = to(upstream(t, hello))
	s.apply(t)
	if _, text := get(t, c, "/"); text != "hello" {
		t.Errorf("got %q", text)
	}
	if res, _ := get(t, c, "/.well-known/appliance/health"); res.StatusCode != 200 {
		t.Errorf("health is %d", res.StatusCode)
	}
	s.state.Open = false
	s.apply(t)
	if res, _ := get(t, c, "/"); res.StatusCode != 503 {
		t.Errorf("closed: %d", res.StatusCode)
	}
}
