package cert

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/system"
)

// host is a directory that stands for one, with a clock and with effects that can be counted and denied.
type host struct {
	t    testing.TB
	root string
	sys  *system.System
	ca   *testCA
	acme *fakeAuthority

	mu      sync.Mutex
	clock   time.Time     // zero: the real one, or that of a bubble
	skew    time.Duration // by which it goes wrong
	effects []system.Effect
	cut     int // from this effect on all are denied; 0 is none
	changed []Certificate
	warned  []string
	logged  strings.Builder
}

var errCut = errors.New("cut off")

// newHost answers a host at the moment given; zero is now, whatever that is.
func newHost(t testing.TB, clock time.Time) *host {
	h := &host{t: t, root: t.TempDir(), ca: newCA(t), clock: clock}
	h.acme = &fakeAuthority{ca: h.ca, now: h.now, life: 90 * 24 * time.Hour}
	h.sys = system.New(system.Config{Root: h.root, Observe: h.observe, Now: h.now})
	must(t, os.MkdirAll(filepath.Join(h.root, etcDir), 0o755))
	return h
}

func (h *host) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clock.IsZero() {
		return time.Now().Add(h.skew)
	}
	return h.clock
}

func (h *host) setClock(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = now
}

// jump sets the clock forward, or back.
func (h *host) jump(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.skew += d
}

func (h *host) observe(e system.Effect) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.effects = append(h.effects, e)
	if h.cut > 0 && len(h.effects) >= h.cut {
		return errCut
	}
	return nil
}

// cutAt forgets the effects so far, and denies those from the n-th on; 0 is none.
func (h *host) cutAt(n int) (before []system.Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.effects, h.cut = h.effects, nil, n
	return before
}

// keeper answers a new one, as a start of the process makes it.
func (h *host) keeper() *Keeper {
	return New(Config{
		System: h.sys, Log: slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Authority: func(acme.Settings) acme.Authority { return h.acme },
		Changed: func(c Certificate) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed = append(h.changed, c)
		},
		Warn: func(text string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.warned = append(h.warned, text)
		},
	})
}

// Write takes what is logged.
func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logged.Write(p)
}

func (h *host) logs() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logged.String()
}

// warnings answers what has been warned of since the last time.
func (h *host) warnings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := h.warned
	h.warned = nil
	return said
}

func (h *host) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.changed)
}

// ensure lets a new keeper walk the ladder.
func (h *host) ensure(w Wish) Certificate {
	h.t.Helper()
	c, err := h.keeper().Ensure(h.t.Context(), w)
	must(h.t, err)
	h.check(w)
	return c
}

// files reads the pair as another program does.
func (h *host) files() (key, chain []byte) {
	key, _ = os.ReadFile(filepath.Join(h.root, links[0].path)) // nothing where there is none
	chain, _ = os.ReadFile(filepath.Join(h.root, links[1].path))
	return key, chain
}

// check fails the test unless other programs find a pair that is good for the domain.
func (h *host) check(w Wish) {
	h.t.Helper()
	key, chain := h.files()
	p, err := decode(key, chain)
	if err == nil {
		err = refuse(p, w.Names[:1], h.now())
	}
	if err != nil {
		h.t.Errorf("other programs find what cannot be used: %v", err)
	}
	bundle, err := os.ReadFile(filepath.Join(h.root, links[2].path))
	if err != nil || !strings.HasPrefix(string(bundle), string(chain)) || checkDH(bundle[len(chain):]) != nil {
		h.t.Errorf("stunnel finds %q, %v", bundle, err)
	}
}

func (h *host) write(name string, data []byte) {
	h.t.Helper()
	must(h.t, os.WriteFile(filepath.Join(h.root, name), data, 0o600))
}
