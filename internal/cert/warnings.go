package cert

import (
	"fmt"
	"time"

	"appliance/internal/remedy"
)

const (
	warnEarly = 10 * 24 * time.Hour
	warnLate  = 3 * 24 * time.Hour
	overdue   = 24 * time.Hour // a renewal that has not been tried for so long is not coming
)

// warning is what an operator should know. The key stays the same for as long as it is the same thing.
type warning struct{ key, text string }

// warnings lists what holds now.
func warnings(s state, now time.Time) (list []warning) {
	g := s.inForce
	if g == nil {
		return nil
	}
	say := func(key, format string, args ...any) { list = append(list, warning{key, fmt.Sprintf(format, args...)}) }
	if err := s.passedOver; err != nil {
		say("passed over "+err.Error(), "The site goes on with its %s certificate: %v; to mend it, %s", g.Source, err, remedy.Of(err))
	}
	if now.Before(g.NotBefore) {
		say("clock "+g.SHA256, "The certificate begins on %s, and here it is %s: check the clock of the host", day(g.NotBefore), day(now))
	}
	failures := s.failures(now)
	if g.Source == SelfSigned {
		if e := s.ended; e != nil && s.passedOver == nil {
			say("ended "+e.SHA256, "The %s certificate has expired on %s: visitors are shown a self-signed one, which their browsers warn of", e.Source, day(e.NotAfter))
		}
		if s.wish.ACME != nil && failures.Tries > 0 {
			say("self-signed", "No authority has issued a certificate yet: visitors are shown a self-signed one; %s", lastTry(failures))
		}
		return list
	}
	left := g.NotAfter.Sub(now)
	coming := s.wish.ACME != nil && failures.Tries == 0 && now.Before(s.due(now).Add(overdue))
	switch {
	case coming || left > warnEarly:
	case left > warnLate:
		say("10 days "+g.SHA256, "The %s certificate expires on %s, in less than 10 days; %s", g.Source, day(g.NotAfter), remedyFor(s, failures))
	case left > 0:
		say("3 days "+g.SHA256, "The %s certificate expires on %s, in less than 3 days; %s", g.Source, day(g.NotAfter), remedyFor(s, failures))
	default:
		say("expired "+g.SHA256, "The %s certificate has expired on %s; %s", g.Source, day(g.NotAfter), remedyFor(s, failures))
	}
	return list
}

// remedyFor says what keeps the certificate from being followed by another one.
func remedyFor(s state, failures attempts) string {
	switch {
	case s.wish.ACME != nil && failures.Tries > 0:
		return lastTry(failures)
	case s.wish.ACME != nil:
		return "no renewal has been tried"
	case s.suppliedInForce():
		return "put a newer one into appliance.ssl.key and appliance.ssl.cert"
	}
	return "import a newer one, or set appliance.ssl.letsencrypt.enabled"
}

func lastTry(failures attempts) string {
	return fmt.Sprintf("the last of %d failed tries: %s", failures.Tries, failures.Error)
}

// ended answers the newest generation that somebody vouched for and that has expired, if it was for the domain.
func (v survey) ended(w Wish, now time.Time) *generation {
	for i := range v.generations {
		if g := &v.generations[i]; trusted(w)(g) && !g.NotAfter.After(now) {
			return g
		}
	}
	return nil
}

// warn tells what has come to hold since the last time.
func (k *Keeper) warn() {
	now, s := k.config.System.Now(), k.snapshot()
	holds := warnings(s, now)
	var fresh []string
	k.mu.Lock()
	said := map[string]bool{}
	for _, w := range holds {
		if !k.said[w.key] {
			fresh = append(fresh, w.text)
		}
		said[w.key] = true
	}
	k.said = said
	k.mu.Unlock()
	for _, text := range fresh {
		k.config.Warn(text)
	}
}
