package vault

import (
	"fmt"
	"math"
	"time"
)

// warnEarly is how long before a key expires there is a warning of it.
const warnEarly = 60 * 24 * time.Hour

// Warnings tells what an operator should know of the keys in place. A text stays the same for as long as it says the same.
func (h Home) Warnings() (texts []string) {
	n, _ := readNote(h.dir())
	for _, k := range n.Keys {
		if text := k.warning(h.System.Now()); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// warning says that a key seals no longer, or soon will not. Old documents are opened by keys that have expired, too.
func (k Key) warning(now time.Time) string {
	if k.Expires == nil || k.Use == UseRetired {
		return ""
	}
	const todo = "prolong it, or make a new pair with `appliance vault rotate`"
	left, day := k.Expires.Sub(now), k.Expires.Format(time.DateOnly)
	switch {
	case left <= 0:
		return fmt.Sprintf("The vault's key to %s has expired on %s, and the application cannot store documents any more: %s", k.Use, day, todo)
	case left <= warnEarly:
		for _, days := range []int{1, 3, 10, 30, 60} { // each is told once
			if int(math.Ceil(left.Hours()/24)) <= days {
				return fmt.Sprintf("The vault's key to %s expires on %s, in %d days or less: %s", k.Use, day, days, todo)
			}
		}
	}
	return ""
}
