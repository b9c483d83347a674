package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheTokenIsTakenOnce(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	first := r.enter(t)
	if code, page := first.get(t, first.room); code != http.StatusOK || !strings.Contains(page, "Healthy") {
		t.Errorf("the first browser is shown %d\n%s", code, page)
	}
	for name, v := range map[string]*visitor{"another browser": newVisitor(t), "the same browser": first} {
		if code, page := v.get(t, r.address); code != http.StatusForbidden || !strings.Contains(page, "one time") || strings.Contains(page, first.room[len(r.base):]) {
			t.Errorf("%s, with the token of before, is shown %d\n%s", name, code, page)
		}
	}
	if code, _ := newVisitor(t).get(t, first.room); code != http.StatusForbidden {
		t.Errorf("without the cookie the room is %d", code)
	}
}

func TestOfManyAtTheDoorOneIsLetIn(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	var in atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			w := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, r.address, nil)
			r.view.gate.ServeHTTP(w, req)
			if w.Code == http.StatusOK {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("%d were let in", in.Load())
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	g := r.view.gate
	pass := cookieName + "=" + g.pass
	own := strings.TrimPrefix(r.base, "http://")
	for _, test := range []struct {
		name         string
		method, path string
		host, cookie string
		origin       string
		code         int
	}{
		{"the owner", "GET", g.room, own, pass, "", 200},
		{"the owner through a tunnel", "GET", g.room, "localhost:9999", pass, "", 200},
		{"by IPv6", "GET", g.room, "[::1]:9999", pass, "", 200},
		{"another loopback address", "GET", g.room, "127.0.0.2", pass, "", 200},
		{"a name that was made to lead here", "GET", g.room, "evil.example.com:80", pass, "", 421},
		{"a name that looks like ours", "GET", g.room, "localhost.example.com", pass, "", 421},
		{"an address of the network", "GET", g.room, "192.0.2.1", pass, "", 421},
		{"any address", "GET", g.room, "0.0.0.0:80", pass, "", 421},
		{"no host", "GET", g.room, "", pass, "", 421},
		{"no token", "GET", "/", own, pass, "", 403},
		{"a wrong token", "GET", "/?token=" + g.token[1:], own, "", "", 403},
		{"an empty token", "GET", "/?token=", own, "", "", 403},
		{"the token twice", "GET", "/?token=x&token=" + g.token, own, "", "", 403},
		{"the token by HEAD", "HEAD", "/?token=" + g.token, own, "", "", 403},
		{"no cookie", "GET", g.room, own, "", "", 403},
		{"the token as cookie", "GET", g.room, own, cookieName + "=" + g.token, "", 403},
		{"an empty cookie", "GET", g.room, own, cookieName + "=", "", 403},
		{"a part of the cookie", "GET", g.room, own, pass[:len(pass)-1], "", 403},
		{"another room", "GET", "/ROOM/", own, pass, "", 403},
		{"nothing of that name", "GET", g.room + "etc/passwd", own, pass, "", 404},
		{"above the room", "GET", g.room + "../", own, pass, "", 307},
		{"an action from the page", "POST", g.room + "do", own, pass, "http://" + own, 400}, // it names none
		{"an action from a tunnel's end", "POST", g.room + "do", "localhost:1234", pass, "http://localhost:1234", 400},
		{"an action from nowhere", "POST", g.room + "do", own, pass, "", 403},
		{"an action from a hidden place", "POST", g.room + "do", own, pass, "null", 403},
		{"an action from another site", "POST", g.room + "do", own, pass, "https://evil.example.com", 403},
		{"an action from another port", "POST", g.room + "do", own, pass, "http://127.0.0.1:1", 403},
		{"an action by GET", "GET", g.room + "do", own, pass, "http://" + own, 405},
		{"an action without the cookie", "POST", g.room + "do", own, "", "http://" + own, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := httptest.NewRequest(test.method, test.path, nil)
			req.Host = test.host
			for key, value := range map[string]string{"Cookie": test.cookie, "Origin": test.origin} {
				if value != "" {
					req.Header.Set(key, value)
				}
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, req)
			if w.Code != test.code {
				t.Errorf("the answer is %d, want %d\n%s", w.Code, test.code, w.Body)
			}
			if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the header is %v", w.Header())
			}
		})
	}
	if asked := r.askedFor(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
	r.enter(t) // nothing of all that has used the token up
}

// A browser sends a cookie to every port of a host: it must not know the way to another server.
func TestTheCookie(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	res, err := http.Get(r.address)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	cookies := res.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies are set", len(cookies))
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != r.view.gate.room || len(c.Path) < 20 || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("the cookie is %s", c)
	}
	if strings.Contains(r.address, c.Value) || len(c.Value) < 40 || len(r.view.gate.token) < 40 {
		t.Error("token and cookie can be guessed")
	}
	if res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Error("the address with the token is told to where it leads")
	}
}
