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

// Warning is what an operator should know.
type Warning struct {
	Code  string // "certificate-expires", "-expired", "-passed-over", "-clock", "-self-signed"
	Text  string
	ToDo  string    // "" is for nobody but us to do
	Since time.Time // that it holds, as far as this process knows
	key   string    // the same for as long as it is the same thing
}

func (w Warning) String() string {
	if w.ToDo == "" {
		return w.Text
	}
	return w.Text + "; " + w.ToDo
}

// warnings lists what holds now.
func warnings(s state, now time.Time) (list []Warning) {
	g := s.inForce
	if g == nil {
		return nil
	}
	say := func(code, key, todo, format string, args ...any) {
		list = append(list, Warning{Code: "certificate-" + code, key: key, ToDo: todo, Text: fmt.Sprintf(format, args...)})
	}
	if err := s.passedOver; err != nil {
		say("passed-over", "passed over "+err.Error(), remedy.Of(err), "The site goes on with its %s certificate: %v", g.Source, err)
	}
	if now.Before(g.NotBefore) {
		say("clock", "clock "+g.SHA256, "check the clock of the host", "The certificate begins on %s, and here it is %s", day(g.NotBefore), day(now))
	}
	failures := s.failures(now)
	if g.Source == SelfSigned {
		if e := s.ended; e != nil && s.passedOver == nil {
			say("expired", "ended "+e.SHA256, "", "The %s certificate has expired on %s: visitors are shown a self-signed one, which their browsers warn of", e.Source, day(e.NotAfter))
		}
		if s.wish.ACME != nil && failures.Tries > 0 {
			say("self-signed", "self-signed", "", "No authority has issued a certificate yet: visitors are shown a self-signed one; %s", lastTry(failures))
		}
		return list
	}
	left := g.NotAfter.Sub(now)
	coming := s.wish.ACME != nil && failures.Tries == 0 && now.Before(s.due(now).Add(overdue))
	why, todo := unrenewed(s, failures)
	switch {
	case coming || left > warnEarly:
	case left > warnLate:
		say("expires", "10 days "+g.SHA256, todo, "The %s certificate expires on %s, in less than 10 days%s", g.Source, day(g.NotAfter), why)
	case left > 0:
		say("expires", "3 days "+g.SHA256, todo, "The %s certificate expires on %s, in less than 3 days%s", g.Source, day(g.NotAfter), why)
	default:
		say("expired", "expired "+g.SHA256, todo, "The %s certificate has expired on %s%s", g.Source, day(g.NotAfter), why)
	}
	return list
}

// unrenewed says what keeps the certificate from being followed by another one: why, as the end of a sentence, or what to do.
func unrenewed(s state, failures attempts) (why, todo string) {
	switch {
	case s.wish.ACME != nil && failures.Tries > 0:
		return "; " + lastTry(failures), ""
	case s.wish.ACME != nil:
		return "; no renewal has been tried", ""
	case s.suppliedInForce():
		return "", "put a newer one into appliance.ssl.key and appliance.ssl.cert"
	}
	return "", "import a newer one, or set appliance.ssl.letsencrypt.enabled"
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
	said := map[string]time.Time{}
	for _, w := range holds {
		since, known := k.said[w.key]
		if !known {
			since, fresh = now, append(fresh, w.String())
		}
		said[w.key] = since
	}
	k.said = said
	k.mu.Unlock()
	for _, text := range fresh {
		k.config.Warn(text)
	}
}

// Warnings lists what holds now, from what is known already.
func (k *Keeper) Warnings() []Warning {
	now := k.config.System.Now()
	list := warnings(k.snapshot(), now)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, w := range list {
		list[i].Since = now
		if since, known := k.said[w.key]; known {
			list[i].Since = since
		}
	}
	return list
}
