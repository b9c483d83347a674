package vault

import (
	"fmt"
	"math"
	"time"
)

// warnEarly is how long before a key expires there is a warning of it.
const warnEarly = 60 * 24 * time.Hour

// Warning is what an operator should know of a key.
type Warning struct {
	Code string // "vault-key-expires", "vault-key-expired"
	Use  string // of the key
	Text string // the same for as long as it says the same
	ToDo string
}

func (w Warning) String() string { return w.Text + ": " + w.ToDo }

// Warnings tells what an operator should know of the keys in place. It reads the note in the home, and no key.
func (h Home) Warnings() (list []Warning) {
	n, _ := readNote(h.dir())
	for _, k := range n.Keys {
		if w, holds := k.warning(h.System.Now()); holds {
			list = append(list, w)
		}
	}
	return list
}

// warning says that a key seals no longer, or soon will not. Old documents are opened by keys that have expired, too.
func (k Key) warning(now time.Time) (w Warning, holds bool) {
	if k.Expires == nil || k.Use != UseEncrypt && k.Use != UseSign { // what the application may have noted as a use is not repeated
		return w, false
	}
	const todo = "prolong it, or make a new pair with `appliance vault rotate`"
	left, day := k.Expires.Sub(now), k.Expires.Format(time.DateOnly)
	switch {
	case left <= 0:
		return Warning{"vault-key-expired", k.Use, fmt.Sprintf("The vault's key to %s has expired on %s, and the application cannot store documents any more", k.Use, day), todo}, true
	case left <= warnEarly:
		for _, days := range []int{1, 3, 10, 30, 60} { // each is told once
			if int(math.Ceil(left.Hours()/24)) <= days {
				return Warning{"vault-key-expires", k.Use, fmt.Sprintf("The vault's key to %s expires on %s, in %d days or less", k.Use, day, days), todo}, true
			}
		}
	}
	return w, false
}
