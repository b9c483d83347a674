package cert

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/remedy"
)

const dayLong = 24 * time.Hour

// run starts a keeper as the process does: it walks and then keeps. The result stops it.
func (h *host) run(w Wish) (k *Keeper, stop func()) {
	h.t.Helper()
	k = h.keeper()
	k.Wish(w)
	_, err := k.Ensure(h.t.Context(), w)
	must(h.t, err)
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	synctest.Wait()
	return k, func() {
		h.t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			h.t.Errorf("Run ends with %v", err)
		}
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s is %s, want %s to %s", what, got, least, most)
	}
}

func TestAFailedRenewalChangesNothing(t *testing.T) {
	pairOf := func(h *host, from, to time.Duration, names ...string) acme.Issued {
		key, chain := h.ca.pair(h.now().Add(from), h.now().Add(to), names...)
		return acme.Issued{Key: key, Chain: chain}
	}
	for name, issue := range map[string]func(h *host) acme.Issued{
		"nothing":          func(*host) acme.Issued { return acme.Issued{} },
		"garbage":          func(*host) acme.Issued { return acme.Issued{Key: []byte("x"), Chain: []byte("<html>")} },
		"for another name": func(h *host) acme.Issued { return pairOf(h, -dayLong, dayLong, "b.example") },
		"for some names":   func(h *host) acme.Issued { return pairOf(h, -dayLong, dayLong, "a.example") },
		"expired":          func(h *host) acme.Issued { return pairOf(h, -2*dayLong, -dayLong, "a.example", "b.example") },
		"of another key": func(h *host) acme.Issued {
			i := pairOf(h, -dayLong, dayLong, "a.example", "b.example")
			i.Key, _ = h.ca.pair(h.now(), h.now())
			return i
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				h.acme.issue = func([]string) acme.Issued { return issue(h) }
				w := withACME(Wish{Names: []string{"a.example", "b.example"}})
				h.ensure(w)
				key, chain := h.files()
				k, stop := h.run(w)
				defer stop()
				pass(59 * time.Minute)
				if nowKey, nowChain := h.files(); string(nowKey) != string(key) || string(nowChain) != string(chain) {
					t.Error("the pair is another one")
				}
				if status := k.Status(); status.Tries != 1 || !strings.Contains(status.LastError, "what cannot be used") {
					t.Errorf("it failed %d times, %s", status.Tries, status.LastError)
				}
			})
		})
	}
}

func TestWhatTheAuthorityDatesIntoTheFutureIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.issue = func(names []string) acme.Issued {
			key, chain := h.ca.pair(h.now().Add(time.Hour), h.now().Add(90*dayLong), names...)
			return acme.Issued{Key: key, Chain: chain}
		}
		k, stop := h.run(withACME(plainWish))
		defer stop()
		pass(time.Minute)
		if status := k.Status(); status.Source != Issued || len(status.Warnings) != 1 || !strings.Contains(status.Warnings[0], "check the clock") {
			t.Errorf("there is the %s, %q", status, status.Warnings)
		}
		pass(5 * dayLong)
		if asked := len(h.acme.times()); asked != 1 || len(k.Status().Warnings) > 0 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

func TestAnotherWishStartsAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.fail = func(int) error {
			return &acme.Refusal{Err: errors.New("not your name"), RetryAfter: h.now().Add(5 * dayLong)}
		}
		w := withACME(plainWish)
		k, stop := h.run(w)
		defer stop()
		pass(dayLong)
		for i, change := range []func(*Wish){
			func(w *Wish) { w.Names = []string{"a.example", "b.example"} },
			func(w *Wish) { w.ACME = &acme.Settings{Directory: "https://other.example/directory"} },
			func(w *Wish) { w.ACME = &acme.Settings{Directory: directory, DNS: acme.DNS{Password: "better"}} },
		} {
			change(&w)
			_, err := k.Ensure(t.Context(), w)
			must(t, err)
			pass(time.Second)
			if asked := len(h.acme.times()); asked != i+2 || k.Status().Tries != 1 {
				t.Errorf("after change %d it was asked %d times", i, asked)
			}
			_, err = k.Ensure(t.Context(), w) // the same wish again
			must(t, err)
			pass(time.Hour)
			if asked := len(h.acme.times()); asked != i+2 {
				t.Errorf("without another change it was asked %d times", asked)
			}
		}
		h.acme.does(func() { h.acme.fail = nil })
		w.Names = []string{"c.example"}
		_, err := k.Ensure(t.Context(), w)
		must(t, err)
		pass(time.Second)
		if status := k.Status(); status.Source != Issued || status.Names[0] != "c.example" || status.Tries != 0 || status.LastError != "" {
			t.Errorf("there is the %s", status)
		}
	})
}

func TestAnotherWishEndsTheRequestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.hang = true
		k, stop := h.run(withACME(plainWish))
		defer stop()
		h.acme.does(func() { h.acme.hang = false })
		w := withACME(Wish{Names: []string{"b.example"}})
		_, err := k.Ensure(t.Context(), w)
		must(t, err)
		pass(2 * time.Second)
		if status := k.Status(); status.Source != Issued || status.Names[0] != "b.example" || status.Tries != 0 {
			t.Errorf("there is the %s", status)
		}
		if log := h.logs(); strings.Contains(log, "cannot renew") {
			t.Errorf("that is logged as a failure: %s", log)
		}
	})
}

func TestRenew(t *testing.T) {
	h := newHost(t, today)
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	for _, test := range []struct {
		name string
		wish *Wish
		want string
	}{
		{"before the first walk", nil, errNotYet.Error()},
		{"no authority", &plainWish, "cannot renew the certificate: no authority may be asked"},
		{"supplied", &Wish{Names: plainWish.Names, Key: string(key), Chain: string(chain), ACME: &acme.Settings{}}, "cannot renew the certificate: the environment supplies it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newHost(t, today).keeper()
			if test.wish != nil {
				_, err := k.Ensure(t.Context(), *test.wish)
				must(t, err)
			}
			if _, err := k.Renew(t.Context()); err == nil || err.Error() != test.want || remedy.Of(err) == "" {
				t.Errorf("Renew says %v", err)
			}
		})
	}
	k := h.keeper()
	h.lay(Imported, lastYear, nextYear, "a.example")
	w := withACME(plainWish)
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	h.acme.fail = func(int) error {
		return &acme.Refusal{Err: remedy.With(errors.New("no such name"), "make an address record"), RetryAfter: h.now().Add(dayLong)}
	}
	for tries := 1; tries < 3; tries++ { // nobody who asks is told to wait
		if _, err := k.Renew(t.Context()); err == nil || err.Error() != "cannot get a certificate: no such name" || remedy.Of(err) != "make an address record" || k.Status().Tries != tries {
			t.Errorf("Renew says %v after %d tries", err, k.Status().Tries)
		}
	}
	h.acme.fail = nil
	c, err := k.Renew(t.Context())
	if err != nil || c.Source != Issued || k.Status().Tries != 0 || k.Status().SHA256 != c.SHA256 {
		t.Errorf("Renew = %s, %v", c, err)
	}
	h.settled(w, c)
	if again, err := k.Import(t.Context(), key, chain); err != nil || again.Source != Imported {
		t.Errorf("after it Import = %s, %v", again, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.asking <- struct{}{} // somebody is at it
	if _, err := k.Renew(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits any more Renew says %v", err)
	}
	<-k.asking
	if _, err := k.Ensure(ctx, w); !errors.Is(err, context.Canceled) {
		t.Errorf("Ensure says %v", err)
	}
	if _, err := k.Import(ctx, key, chain); !errors.Is(err, context.Canceled) {
		t.Errorf("Import says %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	h := newHost(t, time.Time{})
	w := withACME(plainWish)
	k := h.keeper()
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	key, chain := h.ca.pair(h.now().Add(-time.Hour), h.now().Add(dayLong), "a.example")
	ctx, cancel := context.WithCancel(t.Context())
	var all, run sync.WaitGroup
	run.Go(func() { _ = k.Run(ctx) })
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				switch i % 4 {
				case 0:
					_, err := k.Renew(ctx)
					must(t, err)
				case 1:
					_, err := k.Import(ctx, key, chain)
					must(t, err)
				case 2:
					_, err := k.Ensure(ctx, w)
					must(t, err)
				default:
					k.Wish(w)
					k.Status()
				}
			}
		})
	}
	all.Wait()
	cancel()
	run.Wait()
	h.check(w)
	c, err := k.Ensure(t.Context(), w)
	must(t, err)
	h.settled(w, c)
}

// Somebody asks for a renewal, and somebody else imports a certificate before it has come: the import was the later wish.
func TestAnImportDuringARenewal(t *testing.T) {
	for _, again := range []bool{false, true} {
		h := newHost(t, today)
		w := withACME(plainWish)
		key, chain := h.ca.pair(lastYear, nextYear, "a.example")
		k := h.keeper()
		_, err := k.Ensure(t.Context(), w)
		must(t, err)
		if again { // the same one as before
			_, err := k.Import(t.Context(), key, chain)
			must(t, err)
		}
		h.acme.issue = func(names []string) acme.Issued {
			_, err := k.Import(t.Context(), key, chain)
			must(t, err)
			issuedKey, issuedChain := h.ca.pair(lastYear, nextYear, names...)
			return acme.Issued{Key: issuedKey, Chain: issuedChain}
		}
		if c, err := k.Renew(t.Context()); err != nil || c.Source != Imported || string(c.Chain) != string(chain) {
			t.Errorf("imported before: %v: Renew = %s, %v", again, c, err)
		}
		h.acme.issue = nil
		h.check(w)
		if c, err := k.Renew(t.Context()); err != nil || c.Source != Issued { // this one is the later wish
			t.Errorf("Renew = %s, %v", c, err)
		}
	}
}
