package page

import (
	"html/template"
	"net/url"
	"regexp"
	"strings"
)

// piece is a part of a line of text, with the address it leads to, if any.
type piece struct {
	Text string
	Href template.URL
}

// reach finds what can be followed in a contact. The patterns take no character that means something in an address but
// is not meant so here: no query, no header of a mail, no user before a host.
var reach = regexp.MustCompile(`(?i)(?P<web>https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?(?:/[a-z0-9/._~%#=?&-]*)?)` +
	`|(?P<mail>[a-z0-9][a-z0-9._+-]*@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)` +
	`|(?P<phone>(?:\+|\(0|\b0)[0-9][0-9 ()/.-]{4,}[0-9])`)

// links cuts a contact into text and addresses. The addresses are built here from characters that are known to be
// harmless, so they are exempt from the template's own check, which refuses telephone numbers.
func links(contact string) []piece {
	var all []piece
	done := 0
	for _, at := range reach.FindAllStringIndex(contact, -1) {
		text := strings.TrimRight(contact[at[0]:at[1]], ".?-")
		href := address(text)
		if href == "" {
			continue
		}
		if at[0] > done {
			all = append(all, piece{Text: contact[done:at[0]]})
		}
		done = at[0] + len(text)
		all = append(all, piece{Text: text, Href: template.URL(href)}) //nolint:gosec // address checks it
	}
	if done < len(contact) {
		all = append(all, piece{Text: contact[done:]})
	}
	return all
}

// address is where a text found by reach leads to; "" if nowhere.
func address(text string) string {
	switch {
	case strings.Contains(text, "://"):
		u, err := url.Parse(text)
		if err != nil || u.User != nil || u.Hostname() == "" {
			return ""
		}
		u.Scheme = "https"
		return u.String()
	case strings.Contains(text, "@"):
		return "mailto:" + text
	}
	return telephone(text)
}

// telephone keeps the digits. The zero in "+43 (0)1 …" is only for those who dial without the country. Numbers have seven
// to fifteen digits (ITU-T E.164); anything longer is two of them, or something else.
func telephone(text string) string {
	digits := text
	if strings.HasPrefix(text, "+") {
		digits = strings.Replace(text, "(0)", "", 1)
	}
	digits = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, digits)
	if len(digits) < 7 || len(digits) > 15 {
		return ""
	}
	if strings.HasPrefix(text, "+") {
		digits = "+" + digits
	}
	return "tel:" + digits
}
