package cert

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A sweep does one thing, counts its effects on the host, and does it again once for each of them, with everything from
// that one on denied, as if the process had been killed there. Then other programs must find what they found before or a
// good pair, and the next start must go on without a person.
type certSweep struct {
	name    string
	prepare func(h *host) // the host before it
	wish    Wish
	do      func(ctx context.Context, k *Keeper, w Wish) error
	want    Source // once a start after the kill has gone on
	damaged bool   // the host has a damaged generation
}

func ensureIt(ctx context.Context, k *Keeper, w Wish) error {
	_, err := k.Ensure(ctx, w)
	return err
}

func renewIt(ctx context.Context, k *Keeper, w Wish) error {
	if err := ensureIt(ctx, k, w); err != nil {
		return err
	}
	_, err := k.Renew(ctx)
	return err
}

func certSweeps(t *testing.T) []certSweep {
	ca := newCA(t)
	importKey, importChain := ca.pair(lastYear, nextYear, "a.example")
	suppliedKey, suppliedChain := ca.pair(lastYear, nextYear, "a.example")
	issued := func(h *host) {
		h.lay(Issued, lastYear, nextYear, "a.example")
		h.ensure(withACME(plainWish))
	}
	before := func(h *host) {
		key, chain := h.ca.pair(lastYear, nextYear, "a.example")
		h.write(links[0].path, key)
		h.write(links[1].path, chain)
		h.write(links[2].path, append(bytes.Clone(chain), ffdhe2048()...))
	}
	return []certSweep{
		{"first start", func(*host) {}, plainWish, ensureIt, SelfSigned, false},
		{"first start with a supplied pair", func(*host) {}, Wish{Names: plainWish.Names, Key: string(suppliedKey), Chain: string(suppliedChain)}, ensureIt, Supplied, false},
		{"first issue", func(*host) {}, withACME(plainWish), renewIt, "", false},
		{"renewal", issued, withACME(plainWish), renewIt, Issued, false},
		{"renewal over an imported one", func(h *host) { h.lay(Imported, lastYear, nextYear, "a.example") }, withACME(plainWish), renewIt, "", false},
		{"import", issued, withACME(plainWish), func(ctx context.Context, k *Keeper, w Wish) error {
			k.Wish(w)
			_, err := k.Import(ctx, importKey, importChain)
			return err
		}, "", false},
		{"adoption", before, plainWish, ensureIt, Adopted, false},
		{"adoption before a supplied pair", before, Wish{Names: plainWish.Names, Key: string(suppliedKey), Chain: string(suppliedChain)}, ensureIt, Supplied, false},
		{"files that cannot be used", func(h *host) {
			key, _ := h.ca.pair(lastYear, nextYear, "a.example")
			_, chain := h.ca.pair(lastYear, nextYear, "a.example")
			h.write(links[0].path, key)
			h.write(links[1].path, chain)
		}, plainWish, ensureIt, SelfSigned, false},
		{"pruning", func(h *host) {
			issued(h)
			h.lay(Issued, lastYear, nextYear, "a.example")
			h.lay(Issued, lastYear, nextYear, "a.example")
			h.lay(Issued, lastYear, nextYear, "a.example")
		}, withACME(plainWish), ensureIt, Issued, false},
		{"a damaged generation", func(h *host) {
			issued(h)
			h.lay(Issued, lastYear, nextYear, "a.example")
			h.ensure(withACME(plainWish))
			h.write(filepath.Join(storeDir, "1-00000000"), nil) // no directory at all
			h.write(dhPath, nil)
		}, withACME(plainWish), ensureIt, Issued, true},
		{"a pair written through our links", func(h *host) {
			h.ensure(plainWish)
			key, chain := h.ca.pair(lastYear, nextYear, "a.example")
			h.write(links[0].path, key)
			h.write(links[1].path, chain)
		}, plainWish, ensureIt, Adopted, true},
	}
}

func TestKillSweep(t *testing.T) {
	for _, s := range certSweeps(t) {
		t.Run(s.name, func(t *testing.T) {
			h := newHost(t, today)
			s.prepare(h)
			h.cutAt(0)
			must(t, s.do(t.Context(), h.keeper(), s.wish))
			effects := h.cutAt(0)
			if len(effects) < 5 {
				t.Fatalf("there are only the effects %v", effects)
			}
			t.Cleanup(func() {
				if !t.Failed() {
					fmt.Printf("kill sweep %q: cut off at each of %d effects, and gone on\n", s.name, len(effects))
				}
			})
			for n := 1; n <= len(effects); n++ {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel() // they mostly wait for the disk
					s.kill(t, n, effects[n-1].String())
				})
			}
		})
	}
}

func (s certSweep) kill(t *testing.T, n int, at string) {
	h := newHost(t, today)
	s.prepare(h)
	keyBefore, chainBefore := h.files()
	bundleBefore := h.bundle()
	_, err := decode(keyBefore, chainBefore)
	wasGood := err == nil

	h.cutAt(n)
	err = s.do(t.Context(), h.keeper(), s.wish)
	if len(h.cutAt(0)) < n {
		t.Fatalf("effect %d was never reached: %v", n, err)
	}
	key, chain := h.files()
	switch {
	case len(key) == 0 && len(chain) == 0 && !wasGood: // nothing is there yet, or any more
	case bytes.Equal(key, keyBefore) && bytes.Equal(chain, chainBefore):
	default:
		p, err := decode(key, chain)
		if err == nil {
			err = refuse(p, s.wish.Names, h.now())
		}
		if err != nil && (wasGood || len(keyBefore) == 0) {
			t.Fatalf("cut off at %s, other programs find what cannot be used: %v", at, err)
		}
	}
	h.bundled(at, chainBefore, bundleBefore)
	litter(t, h)
	next := h.keeper()
	c, err := next.Ensure(t.Context(), s.wish)
	must(t, err)
	if s.want != "" && c.Source != s.want {
		t.Errorf("cut off at %s, the next start takes the %s", at, c)
	}
	h.check(s.wish)
	h.settled(s.wish, c)
	if s.wish.ACME != nil {
		if c, err := next.Renew(t.Context()); err != nil || c.Source != Issued {
			t.Errorf("cut off at %s, the next start renews to the %s, %v", at, c, err)
		}
		h.check(s.wish)
	}
	if hidden, _ := filepath.Glob(filepath.Join(h.root, storeDir, ".*")); len(hidden) > 0 {
		t.Errorf("cut off at %s, these are left: %q", at, hidden)
	}
	if said := strings.Join(h.warnings(), ""); strings.Contains(said, "no longer what was stored") && !s.damaged {
		t.Errorf("cut off at %s, something seems damaged: %s", at, said)
	}
}

func (h *host) bundle() []byte {
	bundle, _ := os.ReadFile(filepath.Join(h.root, links[2].path)) // nothing where there is none
	return bundle
}

// bundled fails the test unless stunnel finds the chain that the others find, or what it found before as long as they do
// too.
func (h *host) bundled(at string, chainBefore, before []byte) {
	h.t.Helper()
	_, chain := h.files()
	bundle := h.bundle()
	switch {
	case bytes.Equal(bundle, before) && bytes.Equal(chain, chainBefore):
	case len(bundle)+len(chain) == 0: // nothing is there yet, or any more; whether that may be is judged by the pair
	case len(chain) > 0 && bytes.HasPrefix(bundle, chain) && checkDH(bundle[len(chain):]) == nil:
	default:
		h.t.Errorf("cut off at %s, stunnel finds %d bytes that do not begin with the %d of the chain; before it were %d and %d", at, len(bundle), len(chain), len(before), len(chainBefore))
	}
}

// litter leaves beside the files what a kill in the middle of a write leaves, which no observer sees.
func litter(t *testing.T, h *host) {
	t.Helper()
	stage := filepath.Join(h.root, stageDir)
	must(t, os.MkdirAll(stage, 0o755))
	must(t, os.WriteFile(filepath.Join(stage, ".key.pem123456789012345"), []byte("half"), 0o600))
}

func TestACrashBetweenTheStoreAndTheCountIsNoFailure(t *testing.T) {
	h := newHost(t, today)
	w := withACME(plainWish)
	must(t, renewIt(t.Context(), h.keeper(), w))
	k := h.keeper()
	k.update(func(s *state) { s.attempts = attempts{}.begin(askedFor(w), today.Add(-time.Minute)) })
	must(t, k.count(k.snapshot().attempts)) // as the crash has left it
	k = h.keeper()
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	if k.Status().Tries != 1 {
		t.Fatalf("the status is %+v", k.Status().Tries)
	}
	must(t, k.mendCount())
	if status := k.Status(); status.Tries != 0 || !status.NextTry.IsZero() || h.sys.Exists(attemptsPath) {
		t.Errorf("after it %d tries have failed", status.Tries)
	}
}
