package cert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"

	"appliance/internal/cert/acme"
	"appliance/internal/system"
)

// attemptsPath lies beside the certificates, so that neither a crash nor a reboot lets us ask an authority more often than it
// likes. No file means that nothing has failed.
const (
	attemptsPath    = storeDir + "/renewal.json"
	attemptsFormat  = "appliance-renewal"
	attemptsVersion = 1
)

const (
	firstDelay   = time.Minute // after a failure; doubled by each further one
	longestDelay = 24 * time.Hour
	limitedDelay = time.Hour           // at least, where the authority has had enough, or where what it issued was no use
	maxRetry     = 30 * 24 * time.Hour // no authority's limit is longer: one that says more has a wrong clock, or we have
	maxError     = 600                 // bytes of a text that is kept
)

// attempts count what has failed since the last success.
type attempts struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	For     string    `json:"for"` // askedFor
	Tries   int       `json:"tries"`
	Last    time.Time `json:"last_try"`
	Next    time.Time `json:"next_try"` // not before
	Error   string    `json:"last_error"`

	// Limit is until when the authority wants to be left alone, whatever it is asked for.
	Limit time.Time `json:"limit,omitzero"`

	// What Last and Next were before the clock was set back. It may have been wrong for the time of a boot only: once it has
	// come to Ahead again, Until counts.
	Ahead time.Time `json:"ahead,omitzero"`
	Until time.Time `json:"until,omitzero"`

	torn bool // the file could not be read
}

// askedFor tells what an authority is asked for and how: with another one the count starts again. The first of its two
// digests is of the authority alone.
func askedFor(w Wish) string {
	directory := ""
	if w.ACME != nil {
		directory = w.ACME.Directory
	}
	text, err := json.Marshal(struct {
		Names []string
		ACME  *acme.Settings
	}{w.Names, w.ACME})
	if err != nil {
		panic(err) // strings and numbers
	}
	return digest([]byte(directory)) + "-" + digest(text)
}

// oneAuthority says whether both of askedFor are about the same authority.
func oneAuthority(a, b string) bool {
	first, _, known := strings.Cut(a, "-")
	second, _, _ := strings.Cut(b, "-")
	return known && first == second
}

// loadAttempts reads the count. A file that cannot be read is one that says to wait for a while.
func loadAttempts(sys *system.System) attempts {
	text, err := sys.ReadFile(attemptsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return attempts{}
	}
	var a attempts
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || a.Format != attemptsFormat || a.Version != attemptsVersion || a.Tries < 0 {
		now := sys.Now()
		return attempts{Last: now, Next: now.Add(limitedDelay), Error: "the record of failed tries was damaged", torn: true}
	}
	return a
}

// save makes the count durable; one of nothing is no file.
func (a attempts) save(sys *system.System) error {
	if a == (attempts{}) {
		return sys.Remove(attemptsPath)
	}
	a.Format, a.Version = attemptsFormat, attemptsVersion
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the count of failed tries: %w", err)
	}
	return sys.WriteFile(attemptsPath, append(text, '\n'), 0o600)
}

// of answers the count where it is about what is asked for now. If the clock has been set back, what was left to wait counts from now.
func (a attempts) of(what string, now time.Time) attempts {
	if a.For != what && !a.torn {
		return a.limit(what, now)
	}
	if !a.Ahead.IsZero() && !now.Before(a.Ahead) {
		if a.Next.Before(a.Until) {
			a.Next = a.Until
		}
		a.Ahead, a.Until = time.Time{}, time.Time{}
	}
	if a.Last.After(now) {
		if a.Ahead.IsZero() {
			a.Ahead, a.Until = a.Last, a.Next
		}
		a.Next, a.Last = now.Add(a.Next.Sub(a.Last)), now
	}
	return a
}

// limit is what is left of the count for another thing that is asked for. A limit that no authority has comes of a clock that
// was ahead, or is behind now: it is not heeded before that one has come again.
func (a attempts) limit(what string, now time.Time) attempts {
	if !oneAuthority(a.For, what) || !a.Limit.After(now) {
		return attempts{}
	}
	left := attempts{Limit: a.Limit, Error: a.Error}
	if !a.Limit.After(now.Add(maxRetry)) {
		left.Next = a.Limit
	}
	return left
}

// begin counts a try before it is made: a crash in the middle of it is a failure.
func (a attempts) begin(what string, now time.Time) attempts {
	a = a.of(what, now)
	tries := a.Tries + 1
	return attempts{Ahead: a.Ahead, Until: a.Until, Limit: a.Limit, For: what, Tries: tries, Last: now, Next: now.Add(delay(tries, what)), Error: "it was cut off"}
}

// failed notes why a try has failed, and with it when the next one may be made.
func (a attempts) failed(err error, now time.Time) attempts {
	a.Error = oneLine(err.Error())
	a.Next = now.Add(delay(a.Tries, a.For))
	refusal, refused := errors.AsType[*acme.Refusal](err)
	if slow := now.Add(limitedDelay); (!refused || refusal.RateLimited) && a.Next.Before(slow) {
		a.Next = slow
	}
	if refused && a.Next.Before(refusal.RetryAfter) {
		a.Next = refusal.RetryAfter
	}
	if last := now.Add(maxRetry); a.Next.After(last) {
		a.Next = last
	}
	switch {
	case refused && refusal.RateLimited:
		a.Limit = a.Next
	case a.Limit.After(a.Next) && !a.Limit.After(now.Add(maxRetry)): // somebody did not want to wait
		a.Next = a.Limit
	}
	return a
}

// delay doubles with each try, and is up to a quarter longer, so that hosts that fail together do not come back together.
func delay(tries int, what string) time.Duration {
	base := longestDelay
	if doublings := tries - 1; doublings < 11 { // 2^11 minutes are more than a day
		base = min(base, firstDelay<<max(doublings, 0))
	}
	return base + time.Duration(fraction(what, fmt.Sprint(tries))*float64(base/4))
}

// fraction answers a number from 0 to 1 that looks like chance and is the same each time for the same words: a moment
// that is drawn so is not drawn again by a restart.
func fraction(words ...string) float64 {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return float64(binary.BigEndian.Uint64(sum[:])) / (1 << 64)
}

// oneLine bounds a text that others have written.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}
