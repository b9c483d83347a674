package front

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var protocols = []struct {
	name   string
	change func(*http.Transport)
}{{"HTTP/1.1", nil}, {"HTTP/2.0", byHTTP2}}

func TestTheApplicationAnswers(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Saw", r.Host+" "+r.RequestURI)
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "gone")
			hello(w, r)
		}))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			res, text := get(t, s.client(t, p.change), "/a%2Fb?x=1;y&%zz")
			if res.StatusCode != 200 || text != "hello" || res.Proto != p.name {
				t.Errorf("%s %d %q", res.Proto, res.StatusCode, text)
			}
			if saw := res.Header.Get("X-Saw"); saw != "example.test /a%2Fb?x=1;y&%zz" {
				t.Errorf("the application saw %s", saw)
			}
			if res.Header.Get("X-Hop") != "" {
				t.Error("a hop-by-hop field came through")
			}
		})
	}
}

func TestTheLongestPathWins(t *testing.T) {
	named := func(name string) *httptest.Server {
		return upstream(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	}
	s := start(t, Limits{}, func(state *State) {
		for path, u := range map[string]*httptest.Server{"/": named("root"), "/app": named("app"), "/app/deep/": named("deep")} {
			state.Routes = append(state.Routes, Route{Path: path, Service: path, Backends: to(u)[0].Backends})
		}
	})
	c := s.client(t, nil)
	for path, want := range map[string]string{
		"/": "root", "/x": "root", "/app": "app", "/app/": "app", "/app/x": "app", "/apple": "root",
		"/app/deep": "deep", "/app/deep/x": "deep", "/app/deeper": "app",
	} {
		if _, got := get(t, c, path); got != want {
			t.Errorf("%s is answered by %s, want %s", path, got, want)
		}
	}
}

func TestTheFrontSpeaksForTheClient(t *testing.T) {
	got := make(chan http.Header, 1)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			do(t, s.client(t, p.change), http.MethodGet, "/", http.Header{
				"X-Forwarded-For": {"6.6.6.6"}, "x_forwarded_for": {"6.6.6.6"}, "X-Forwarded-Ssl": {"on"}, "Forwarded": {"for=6.6.6.6"},
				"X-Real-Ip": {"6.6.6.6"}, "X_Real-IP": {"6.6.6.6"}, "X-Ssl-Client-Verify": {"SUCCESS"}, "X_SSL_CLIENT_VERIFY": {"SUCCESS"},
				"X.Ssl.Client.Verify": {"SUCCESS"}, "X-Ssl_Client-S-Dn": {"CN=root"}, "Proxy": {"http://6.6.6.6"},
				"User-Agent": {"test"}, "X-Other": {"stays"}, "Accept-Encoding": {"identity"},
			}, nil)
			want := http.Header{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"example.test"}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"127.0.0.1"},
				"Forwarded":  {`for=127.0.0.1;host="example.test";proto=https`},
				"User-Agent": {"test"}, "X-Other": {"stays"}, "Accept-Encoding": {"identity"},
			}
			if diff := cmp.Diff(want, <-got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTrailersGoBothWays(t *testing.T) {
	got := make(chan http.Header, 1)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			got <- r.Trailer
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprint(w, "body")
			w.Header().Set("X-Sum", "42")
		}))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/", struct{ io.Reader }{strings.NewReader("data")})
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = http.Header{"X-Check": {"7"}, "X-Ssl-Client-Verify": {"SUCCESS"}, "X_real_ip": {"6.6.6.6"}}
			res, err := s.client(t, p.change).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(http.Header{"X-Check": {"7"}}, <-got); diff != "" {
				t.Errorf("of the request: %s", diff)
			}
			if diff := cmp.Diff(http.Header{"X-Sum": {"42"}}, res.Trailer); diff != "" {
				t.Errorf("of the answer: %s", diff)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "echo" {
				fmt.Fprintf(w, "not switched: %q %q", r.Header.Get("Upgrade"), r.Header.Get("HTTP2-Settings"))
				return
			}
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(c, rw)
		}))
	})
	c := s.dial(t)
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly\n")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" {
		t.Fatalf("%v, %v", res, err)
	}
	for i, word := range []string{"early\n", "one\n", "two\n"} {
		if i > 0 {
			fmt.Fprint(c, word)
		}
		if got, err := in.ReadString('\n'); got != word {
			t.Errorf("%q came back as %q, %v", word, got, err)
		}
	}
	for _, to := range []string{"h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"} {
		answer := s.raw(t, "GET / HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: "+to+"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
		if !strings.Contains(answer, `not switched: "" ""`) {
			t.Errorf("%s: %s", to, answer)
		}
	}
}
