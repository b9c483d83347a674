package cert

import (
	"crypto/x509"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"appliance/internal/cert/acme"
)

func TestItIsRenewedAtAThirdOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		w := withACME(plainWish)
		k, stop := h.run(w)
		defer stop()
		status := k.Status()
		if status.Source != Issued || len(h.acme.times()) != 1 || status.Tries != 0 || h.sys.Exists(attemptsPath) || status.Authority != directory {
			t.Fatalf("at the start there is the %s", status)
		}
		between(t, "the renewal is planned; that", status.RenewAt.Sub(h.now()), 56*dayLong, 61*dayLong)
		pass(65 * dayLong)
		h.check(w)
		times := h.acme.times()
		if len(times) != 2 || h.changes() != 3 || len(h.warnings()) > 0 {
			t.Fatalf("it was asked at %v; %d changes", times, h.changes())
		}
		if !times[1].Equal(status.RenewAt) {
			t.Errorf("it was asked at %s, the plan was %s", times[1], status.RenewAt)
		}
		if diff := fmt.Sprint(h.acme.replaced); diff != "[false true]" {
			t.Errorf("they replaced another one: %s", diff)
		}
	})
}

func TestItIsRenewedWhenTheAuthorityWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		w := withACME(plainWish)
		h.acme.window = func(leaf *x509.Certificate) (acme.Window, error) {
			start := leaf.NotBefore.Add(10 * dayLong)
			return acme.Window{Start: start, End: start.Add(dayLong), AskAgain: 12 * time.Hour}, nil
		}
		k, stop := h.run(w)
		defer stop()
		pass(2 * dayLong)
		planned := k.Status().RenewAt
		between(t, "the moment after the start of the window", planned.Sub(k.Status().NotBefore.Add(10*dayLong)), 0, dayLong)
		if asked := h.acme.questions(); asked < 4 || asked > 5 {
			t.Errorf("in two days it was asked %d times", asked)
		}
		pass(10 * dayLong)
		if times := h.acme.times(); len(times) != 2 || !times[1].Equal(planned) {
			t.Errorf("it was asked at %v, the plan was %s", times, planned)
		}
		h.acme.does(func() { // a revocation: as soon as possible
			h.acme.window = func(*x509.Certificate) (acme.Window, error) {
				return acme.Window{Start: h.now().Add(-2 * dayLong), End: h.now().Add(-dayLong), AskAgain: 12 * time.Hour}, nil
			}
		})
		before := len(h.acme.times())
		pass(10 * dayLong)
		if asked := len(h.acme.times()) - before; asked < 2 || asked > 11 {
			t.Errorf("an authority that is never content got %d requests in 10 days", asked)
		}
	})
}

func TestWindowsThatMakeNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		answers := []acme.Window{
			{},
			{Start: h.now().Add(20 * dayLong), End: h.now().Add(10 * dayLong)},
			{Start: h.now().Add(200 * dayLong), End: h.now().Add(300 * dayLong), AskAgain: time.Nanosecond},
		}
		h.acme.window = func(*x509.Certificate) (acme.Window, error) {
			if h.acme.windows%4 == 3 {
				return acme.Window{}, errDown
			}
			return answers[h.acme.windows%4], nil
		}
		k, stop := h.run(withACME(plainWish))
		defer stop()
		pass(3 * dayLong)
		between(t, "the renewal is planned; that", k.Status().RenewAt.Sub(h.now()), 53*dayLong, 58*dayLong)
		if asked := h.acme.questions(); asked > 13 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

func TestAnImportedOneIsFollowedWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.lay(Imported, h.now().Add(-dayLong), h.now().Add(31*dayLong+30*time.Minute), "a.example")
		k, stop := h.run(withACME(plainWish))
		defer stop()
		pass(16 * dayLong)
		if asked := len(h.acme.times()); asked != 0 || !k.Status().RenewAt.Equal(k.Status().NotAfter.Add(-chosenEarly)) || len(h.warnings()) > 0 {
			t.Errorf("it was asked %d times", asked)
		}
		pass(2 * dayLong)
		if status := k.Status(); status.Source != Imported || len(h.acme.times()) != 1 {
			t.Errorf("there is the %s", status)
		}
		pass(time.Until(k.Status().NotAfter)) // no later
		if status := k.Status(); status.Source != Issued || h.changes() != 2 || len(h.acme.times()) != 1 {
			t.Errorf("there is the %s after %d changes", status, h.changes())
		}
	})
}

func TestAnAdoptedOneIsRenewedInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.lay(Adopted, h.now().Add(-30*dayLong), h.now().Add(60*dayLong), "a.example")
		k, stop := h.run(withACME(plainWish))
		defer stop()
		pass(20 * dayLong)
		if len(h.acme.times()) != 0 || k.Status().Source != Adopted {
			t.Errorf("it was asked at %v", h.acme.times())
		}
		pass(11 * dayLong)
		if len(h.acme.times()) != 1 || k.Status().Source != Issued || h.acme.replaced[0] {
			t.Errorf("it was asked at %v", h.acme.times())
		}
	})
}

func TestWhatHasExpiredGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.lay(Imported, h.now().Add(-dayLong), h.now().Add(10*time.Hour+30*time.Minute), "a.example")
		k, stop := h.run(plainWish)
		defer stop()
		pass(10 * time.Hour)
		if status := k.Status(); status.Source != Imported {
			t.Errorf("there is the %s", status)
		}
		pass(30 * time.Minute)
		if status := k.Status(); status.Source != SelfSigned {
			t.Errorf("there is the %s", status)
		}
	})
}

// An authority that does not answer has not changed its mind: what it said last may be that all its certificates are revoked.
func TestAWindowHoldsWhileNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.window = func(leaf *x509.Certificate) (acme.Window, error) {
			start := leaf.NotBefore.Add(10 * dayLong)
			return acme.Window{Start: start, End: start.Add(time.Hour), AskAgain: 6 * time.Hour}, nil
		}
		k, stop := h.run(withACME(plainWish))
		defer stop()
		pass(9 * dayLong)
		planned := k.Status().RenewAt
		h.acme.does(func() { h.acme.window = func(*x509.Certificate) (acme.Window, error) { return acme.Window{}, errDown } })
		pass(7 * time.Hour)
		if now := k.Status().RenewAt; !now.Equal(planned) {
			t.Errorf("it is planned at %s, and was at %s", now, planned)
		}
		pass(dayLong)
		if times := h.acme.times(); len(times) != 2 || !times[1].Equal(planned) {
			t.Errorf("it was asked at %v, the plan was %s", times, planned)
		}
	})
}

// The next one is not put off until a wrong clock's moment comes.
func TestOneThatAClockAheadHasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		w := withACME(plainWish)
		h.jump(365 * dayLong)
		h.acme.life = 800 * dayLong
		_, stop := h.run(w)
		stop()
		h.jump(-365 * dayLong)
		asked := len(h.acme.times())
		w.Names = []string{"a.example", "b.example"}
		k, stop := h.run(w)
		defer stop()
		pass(time.Minute)
		if status := k.Status(); len(h.acme.times()) != asked+1 || len(status.Names) != 2 {
			t.Errorf("there is the %s; the next is asked for at %s", status, status.RenewAt)
		}
	})
}
