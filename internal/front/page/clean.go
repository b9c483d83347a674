package page

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Bounds of what is shown, in characters and steps. What is longer is cut: the page has to stay small, and one text must
// not push the others out of sight.
const (
	maxSite    = 253 // a name in the DNS
	maxName    = 60
	maxVendor  = 120
	maxContact = 300
	maxSteps   = 40 // the last ones
)

// clean makes a notice fit to be shown. Its texts come from the environment and from the program itself, but a page that
// anybody may open takes nobody's word for that.
func clean(n Notice) Notice {
	n.Version = Version
	n.Since = n.Since.UTC()
	if n.NextTry != nil {
		at := n.NextTry.UTC()
		n.NextTry = &at
	}
	n.Situation = Situation(line(string(n.Situation), maxName))
	n.Site, n.Vendor, n.Contact = line(n.Site, maxSite), line(n.Vendor, maxVendor), line(n.Contact, maxContact)
	if n.Language != german {
		n.Language = english
	}
	n.Steps = slices.Clone(n.Steps[max(0, len(n.Steps)-maxSteps):])
	for i, s := range n.Steps {
		s.Phase, s.Name, s.State = line(s.Phase, maxName), line(s.Name, maxName), line(s.State, maxName)
		s.Started, s.Took = s.Started.UTC(), max(s.Took, 0).Round(time.Millisecond)
		n.Steps[i] = s
	}
	return n
}

// line makes one line of at most limit characters out of any bytes. Characters that end a line or turn the direction of
// the text around them are blanks afterwards; the marks that right-to-left names need are kept.
func line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) ||
			r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
