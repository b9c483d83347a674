// Package remedy lets an error carry what the operator can do about it, apart from what went wrong: the text says the
// cause, the remedy says the way out, and whoever reports the error (journal, failed flag, page) shows both.
package remedy

import "errors"

type hint struct {
	error
	remedy string
}

func (h hint) Unwrap() error { return h.error }

// With returns err with a remedy for the operator: one sentence in the imperative, without a trailing period.
// The error's text stays as it was. A nil error stays nil.
func With(err error, remedy string) error {
	if err == nil {
		return nil
	}
	return hint{err, remedy}
}

// Of returns the outermost remedy that err carries, or "".
func Of(err error) string {
	var h hint
	if errors.As(err, &h) {
		return h.remedy
	}
	return ""
}

type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// Passing returns err marked as one whose cause may pass by itself: an engine or a registry that does not answer, a full
// disk. Whoever waits for a person may try again meanwhile. A nil error stays nil.
func Passing(err error) error {
	if err == nil {
		return nil
	}
	return passing{err}
}

// MayPass says whether err, or an error it wraps, is marked so.
func MayPass(err error) bool {
	var p passing
	return errors.As(err, &p)
}
