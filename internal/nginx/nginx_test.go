package nginx

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

var wish = Wish{
	Names: []string{"ecs.example.org", "www.example.org"}, Clients: ClientsOptional, Revocation: true,
	Routes: []Route{{Path: "/", Address: netip.MustParseAddrPort("127.0.0.1:5000"), Timeout: 5 * time.Minute}},
}

// host is a directory with an nginx that is made of scripts: it takes an identity unless that says "broken", and writes
// down how it was called.
type host struct {
	*Server
	t         *testing.T
	root, log string
	mu        sync.Mutex
	effects   []string
	deny      int // the number of the effect to deny, from 1
}

var errDenied = errors.New("denied by the test")

func newHost(t *testing.T) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, root: filepath.Join(dir, "root"), log: filepath.Join(dir, "log")}
	sys := system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.effects = append(h.effects, e.Op); len(h.effects) == h.deny {
			return errDenied
		}
		return nil
	}})
	identity := filepath.Join(h.root, IdentityFile)
	h.Server = New(Config{System: sys,
		Test: h.script(filepath.Join(dir, "nginx"), `echo nginx >>`+h.log+`
if grep -q broken `+identity+`; then
	echo "2026/05/01 10:00:00 [emerg] 17#17: unknown directive \"broken\" in /app/etc/server.identity:1"
	echo "nginx: configuration file /etc/nginx/nginx.conf test failed" >&2
	exit 1
fi
if [ -e `+dir+`/elsewhere ]; then exit; fi
echo "# configuration file /etc/nginx/nginx.conf:"
echo "# configuration file /app/etc/server.identity:"`),
		Reload: h.script(filepath.Join(dir, "reload"), `echo reload >>`+h.log+`; test ! -e `+dir+`/stuck`),
		Active: h.script(filepath.Join(dir, "active"), `test ! -e `+dir+`/dead`),
	})
	return h
}

func (h *host) script(name, text string) []string {
	h.t.Helper()
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	return []string{name}
}

func (h *host) set(name, text string) {
	h.t.Helper()
	if err := h.System.WriteFile(name, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// mark makes the scripts behave otherwise.
func (h *host) mark(what string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(h.root), what), nil, 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) get(name string) string {
	data, err := h.System.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(data)
}

// calls are those since the last time.
func (h *host) calls() string {
	data, _ := os.ReadFile(h.log)
	os.Remove(h.log)
	return strings.Join(strings.Fields(string(data)), " ")
}

// converge applies the wish and expects that this was all.
func (h *host) converge(w Wish) {
	h.t.Helper()
	if err := h.Apply(h.t.Context(), w); err != nil {
		h.t.Fatal(err)
	}
	h.expect(w, "")
}

func (h *host) expect(w Wish, why string) {
	h.t.Helper()
	got, err := h.Missing(h.t.Context(), w)
	if err != nil || got != why {
		h.t.Errorf("missing is %q, %v; want %q", got, err, why)
	}
}

func TestNginxIsToldWhatItDoesNotKnow(t *testing.T) {
	h := newHost(t)
	h.expect(wish, "/data/etc/server.identity is not there")
	h.converge(wish)
	if calls := h.calls(); calls != "nginx reload" {
		t.Errorf("the first time: %q", calls)
	}
	other := wish
	other.Clients = ClientsRequired
	h.expect(other, "/data/etc/server.identity differs")
	h.converge(other)

	for _, input := range inputs {
		h.calls()
		h.set(input, "changed")
		h.expect(other, "nginx has not read the certificate and its other files yet")
		h.converge(other)
		if calls := h.calls(); calls != "nginx reload" {
			t.Errorf("%s: %q", input, calls)
		}
	}

	h.mark("dead")
	h.expect(other, "nginx does not run")
	h.effects = nil
	if _, err := h.Missing(t.Context(), wish); err != nil || len(h.effects) != 0 {
		t.Errorf("looking changed the host: %v, %v", h.effects, err)
	}
	reader := New(Config{System: h.System.Reader(), Test: h.Test, Reload: h.Reload, Active: h.Active})
	if why, err := reader.Missing(t.Context(), other); err != nil || why != "nginx does not run" {
		t.Errorf("on a host that may not be changed: %q, %v", why, err)
	}
}

func TestADirectoryHasNoNginx(t *testing.T) {
	s := New(Config{System: system.New(system.Config{Root: t.TempDir()})})
	if err := s.Apply(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	if why, err := s.Missing(t.Context(), wish); why != "" || err != nil {
		t.Errorf("missing is %q, %v", why, err)
	}
}

func TestWhatNginxDoesNotTakeIsTakenBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(*host)
		want   string
	}{
		{"one that nginx has taken", func(h *host) {
			h.set(TemplateFile, "server_name ##ALLOWED_HOSTS##;\n")
			h.converge(wish)
		}, "server_name ecs.example.org www.example.org;\n"},
		{"one of the predecessor", func(h *host) { h.set(IdentityFile, "server_name old;\n") }, "server_name old;\n"},
		{"none", func(*host) {}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			test.before(h)
			h.calls()
			h.set(TemplateFile, "broken ##VERIFY_CLIENT##;\n")
			for range 2 {
				err := h.Apply(t.Context(), wish)
				if err == nil || !strings.Contains(err.Error(), `cannot use the configuration of nginx: unknown directive "broken" in /app/etc/server.identity:1: `) || remedy.Of(err) == "" {
					t.Fatalf("%v; remedy %q", err, remedy.Of(err))
				}
				if got := h.get(IdentityFile); got != test.want {
					t.Errorf("the identity is %q, want %q", got, test.want)
				}
			}
			if calls := h.calls(); calls != "nginx nginx" {
				t.Errorf("nginx was disturbed: %q", calls)
			}
			h.set(TemplateFile, "good;\n")
			h.converge(wish)
		})
	}
}

// A cut at any effect, also between the writing of a broken identity and nginx's word on it: the next try takes it back.
func TestCutAtEachEffect(t *testing.T) {
	run := func(n int, text string) (*host, error) {
		h := newHost(t)
		h.set(IdentityFile, "server_name old;\n")
		h.set(TemplateFile, text)
		h.effects, h.deny = nil, n
		err := h.Apply(t.Context(), wish)
		h.deny = 0
		return h, err
	}
	for _, text := range []string{"good;\n", "broken;\n"} {
		whole, _ := run(0, text)
		if len(whole.effects) < 8 {
			t.Fatalf("only %d effects: %v", len(whole.effects), whole.effects)
		}
		for n := 1; n <= len(whole.effects); n++ {
			h, err := run(n, text)
			if !errors.Is(err, errDenied) {
				t.Fatalf("%q, effect %d: %v", text, n, err)
			}
			err = h.Apply(t.Context(), wish)
			want := "server_name old;\n"
			if text == "good;\n" {
				want = text
				h.expect(wish, "")
			}
			if got := h.get(IdentityFile); got != want || (err == nil) != (text == "good;\n") {
				t.Errorf("%q, cut at effect %d: the identity is %q, and the next try says %v", text, n, got, err)
			}
		}
	}
}

func TestNginxThatDoesNotServeTheSite(t *testing.T) {
	h := newHost(t)
	h.mark("elsewhere")
	if err := h.Apply(t.Context(), wish); err == nil || err.Error() != "cannot show the site: nginx does not read /data/etc/server.identity" {
		t.Errorf("an identity that nobody includes: %v", err)
	}
	if h.get(IdentityFile) == "" {
		t.Error("it is not there to be included either")
	}

	h = newHost(t)
	h.mark("stuck")
	if err := h.Apply(t.Context(), wish); err == nil || !strings.HasPrefix(err.Error(), "cannot make nginx read its configuration: ") || !remedy.MayPass(err) {
		t.Errorf("a reload that fails, as at a boot where another still has the port, is tried again: %v", err)
	}
	h.expect(wish, "nginx has not read the certificate and its other files yet")

	h.Test = []string{"no-such-nginx"}
	if err := h.Apply(t.Context(), wish); err == nil || !strings.HasPrefix(remedy.Of(err), "install nginx ") {
		t.Errorf("without nginx: %v, remedy %q", err, remedy.Of(err))
	}
}

// Before 1.19.5 (Ubuntu 22.04, Debian 11) nginx cannot be told where its log goes.
func TestAnNginxThatDoesNotKnowItsOption(t *testing.T) {
	h := newHost(t)
	old := h.script(filepath.Join(t.TempDir(), "nginx"), `for word; do
	if [ "$word" = -e ]; then echo 'nginx: invalid option: "e"' >&2; exit 1; fi
done
exec `+h.Test[0])
	h.Test = append(old, "-T", "-q", "-e", "/dev/stdout")
	h.converge(wish)
	h.set(TemplateFile, "broken;\n")
	if err := h.Apply(t.Context(), wish); err == nil || !strings.Contains(err.Error(), `unknown directive "broken"`) {
		t.Errorf("what it complains of: %v", err)
	}
}

func TestPage(t *testing.T) {
	h := newHost(t)
	for range 2 {
		if err := h.ShowPage([]byte("<p>Soon")); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.get(PageFile); got != "<p>Soon" {
		t.Errorf("the page is %q", got)
	}
	if info, err := h.System.Stat(PageFile); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("nginx cannot read it: %v, %v", info.Mode(), err)
	}
	h.effects = nil
	if err := h.ShowPage([]byte("<p>Soon")); err != nil || len(h.effects) != 0 {
		t.Errorf("the same page again: %v, %v", h.effects, err)
	}
	for range 2 {
		if err := h.HidePage(); err != nil || h.System.Exists(PageFile) {
			t.Errorf("it is not taken away: %v", err)
		}
	}
}

// Several find at once that nginx has to be told: it is told once, and whole.
func TestManyAtOnce(t *testing.T) {
	h := newHost(t)
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			if err := errors.Join(h.Apply(t.Context(), wish), h.ShowPage([]byte("<p>Soon")), h.Challenges(map[string]string{"one": answerTo("one")})); err != nil {
				t.Errorf("%d: %v", n, err)
			}
		})
	}
	all.Wait()
	h.expect(wish, "")
	if calls := h.calls(); calls != "nginx reload" {
		t.Errorf("nginx was told %q", calls)
	}
}
