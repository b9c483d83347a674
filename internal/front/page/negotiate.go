package page

import (
	"net/http"
	"strconv"
	"strings"
)

// The forms the page has.
const (
	formHTML = "text/html"
	formJSON = "application/json"
	formText = "text/plain"
)

// maxWishes is how many members of a header are read; browsers send up to ten.
const maxWishes = 32

// wish is one member of an Accept or Accept-Language header.
type wish struct {
	value string // lower case, without parameters
	q     float64
}

// wishes reads a header that may have been sent in several lines. Members with a broken weight are left out.
func wishes(h http.Header, name string) []wish {
	var all []wish
	for member := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		value, params, _ := strings.Cut(strings.ToLower(member), ";")
		q, ok := weight(params)
		if value = strings.TrimSpace(value); value == "" || !ok {
			continue
		}
		if all = append(all, wish{value, q}); len(all) == maxWishes {
			break
		}
	}
	return all
}

// weight finds q among parameters; without one it is 1.
func weight(params string) (q float64, ok bool) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.TrimSpace(name) != "q" {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return q, err == nil && q >= 0 && q <= 1 // not so for NaN
	}
	return 1, true
}

// choose answers the offer that is wished for most; "" if none is. The wish that names an offer most closely counts for
// it (RFC 9110, 12.5). Between offers of the same weight the one decides that is named more closely, then the one named
// earlier, then the order of the offers.
func choose(all []wish, offers []string, closeness func(wish, offer string) int) string {
	best, bestQ, bestClose, bestPlace := "", 0.0, 0, 0
	for _, offer := range offers {
		q, near, place := 0.0, 0, 0
		for i, w := range all {
			if c := closeness(w.value, offer); c > near || c == near && c > 0 && w.q > q {
				q, near, place = w.q, c, i
			}
		}
		if q > bestQ || q == bestQ && q > 0 && (near > bestClose || near == bestClose && place < bestPlace) {
			best, bestQ, bestClose, bestPlace = offer, q, near, place
		}
	}
	return best
}

// formOf is the form that fits a request. Browsers name text/html when a person opens a page. Who only says "anything" is
// a program: curl, a monitor, or the browser itself fetching a script or a picture. For them a few lines of plain text
// are the kindest answer, and the cheapest; so it is for those who want nothing that we have.
func formOf(r *http.Request) string {
	form := choose(wishes(r.Header, "Accept"), []string{formText, formHTML, formJSON}, func(wish, offer string) int {
		kind, _, _ := strings.Cut(offer, "/")
		switch wish {
		case offer:
			return 3
		case kind + "/*":
			return 2
		case "*/*":
			return 1
		}
		return 0
	})
	if form == "" {
		return formText
	}
	return form
}

// languageOf is the language for a request; otherwise is for those who want neither English nor German.
func languageOf(r *http.Request, otherwise string) string {
	offers := []string{english, german}
	if otherwise == german {
		offers = []string{german, english}
	}
	language := choose(wishes(r.Header, "Accept-Language"), offers, func(wish, offer string) int {
		main, _, _ := strings.Cut(wish, "-")
		switch {
		case wish == "*":
			return 1
		case main == offer:
			return 2
		}
		return 0
	})
	if language == "" {
		return offers[0]
	}
	return language
}
