// Package sweeping is for tests that cut, kill or deny at each effect of something.
package sweeping

import (
	"math/rand/v2"
	"os"
	"testing"
)

// Points says which points of a sweep are taken: all of them with APPLIANCE_SWEEP=full (make sweep), else one of so many, from a
// random one on, so that each has its day; with -short one of three times as many.
func Points(oneOf int) (first, stride int) {
	switch {
	case os.Getenv("APPLIANCE_SWEEP") == "full":
		oneOf = 1
	case testing.Short():
		oneOf *= 3
	}
	return 1 + rand.IntN(oneOf), oneOf
}
