package cert

import (
	"context"
	"errors"
	"time"

	"appliance/internal/cert/acme"
)

const (
	chosenEarly = warnEarly + 4*24*time.Hour // before the end of one that a person gave, an authority is asked for what comes after it: one that fails is to be warned of in time
	settleIn    = 24 * time.Hour             // so long an authority cannot send us back for another one
	windowLimit = time.Minute                // for one answer
	windowOften = 10 * time.Minute
	windowRare  = 24 * time.Hour
	windowTry   = 6 * time.Hour // after this it is asked again, where it did not say when or did not answer
)

// advice is what the authority has said about when to renew one certificate.
type advice struct {
	about string // SHA256 of the certificate
	acme.Window
	good     bool
	askAgain time.Time
}

// usable says whether the window is one for a certificate that ends at notAfter.
func usable(w acme.Window, notAfter time.Time) bool {
	return !w.Start.IsZero() && !w.End.Before(w.Start) && !w.End.After(notAfter)
}

// stale says whether the authority is to be asked about g. A clock that was set back makes it so.
func (a advice) stale(g *generation, now time.Time) bool {
	return a.about != g.SHA256 || !now.Before(a.askAgain) || a.askAgain.Sub(now) > windowRare
}

// due answers when the next certificate is to be asked for; zero is never. own is the one that an authority would renew.
func due(w Wish, inForce, own *generation, chosen bool, a advice, now time.Time) time.Time {
	if w.ACME == nil || inForce == nil {
		return time.Time{}
	}
	at := inForce.made // at once
	if at.After(now) { // it was stored by a clock that was ahead
		at = now
	}
	if own != nil {
		at = own.renewAt(a, now)
	}
	if early := inForce.NotAfter.Add(-chosenEarly); chosen && at.Before(early) {
		at = early
	}
	return at
}

// renewable is the rung of what an authority need not replace before its time.
func (v survey) renewable(w Wish, now time.Time) *generation {
	return v.first(now, issuedFor(w), func(g *generation) bool { return g.Source == Adopted && g.covers(w.Names) })
}

// renewAt is a moment of the authority's window; where it names none, it comes when a third of the life is left, or up to
// a thirtieth earlier.
func (g *generation) renewAt(a advice, now time.Time) time.Time {
	life := g.NotAfter.Sub(g.NotBefore)
	at := g.NotAfter.Add(-life/3 - spread(life/30, g.SHA256))
	if a.good && a.about == g.SHA256 {
		at = a.Start.Add(spread(a.End.Sub(a.Start), g.SHA256, a.Start.String()))
	}
	// An authority that issues what is about to end, or says so, must not make us ask for one after the other.
	earliest := g.made.Add(min(settleIn, g.NotAfter.Sub(g.made)/3))
	if g.Source == Issued && !g.made.After(now) && at.Before(earliest) {
		at = earliest
	}
	return at
}

// spread answers a part of d.
func spread(d time.Duration, words ...string) time.Duration {
	return time.Duration(fraction(words...) * float64(d))
}

// consult asks the authority when it wants its certificate to be renewed. It holds the token of asking.
func (k *Keeper) consult(ctx context.Context) {
	now, s := k.config.System.Now(), k.snapshot()
	if s.wish.ACME == nil || s.own == nil || !s.advice.stale(s.own, now) || now.Before(s.failures(now).Next) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, windowLimit)
	defer cancel()
	a := advice{about: s.own.SHA256, askAgain: now.Add(windowTry)}
	window, err := k.config.Authority(*s.wish.ACME).Window(ctx, s.own.leaf)
	switch {
	case err != nil:
		if !errors.Is(err, acme.ErrNoARI) {
			if s.advice.about == a.about { // what it said last counts on
				a.Window, a.good = s.advice.Window, s.advice.good
			}
			k.config.Log.Debug("cannot ask when to renew the certificate", "err", err) // a third of its life is time enough
		}
	case usable(window, s.own.NotAfter):
		a.Window, a.good = window, true
		if window.AskAgain > 0 {
			a.askAgain = now.Add(min(max(window.AskAgain, windowOften), windowRare))
		}
	}
	k.update(func(s *state) { s.advice = a })
	k.publish()
}
