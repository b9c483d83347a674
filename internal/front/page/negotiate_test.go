package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFormOf(t *testing.T) {
	for _, test := range []struct{ name, accept, want string }{
		{"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", formHTML},
		{"curl", "*/*", formText},
		{"nothing said", "", formText},
		{"a script in a page", "*/*", formText},
		{"a picture in a page", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", formText},
		{"a style in a page", "text/css,*/*;q=0.1", formText},
		{"only pictures", "image/png", formText},
		{"a program", "application/json", formJSON},
		{"axios", "application/json, text/plain, */*", formJSON},
		{"jQuery", "application/json, text/javascript, */*; q=0.01", formJSON},
		{"the heavier one", "application/json;q=0.5, text/html;q=0.6", formHTML},
		{"the first of two alike", "text/html, application/json", formHTML},
		{"the first of two alike, turned", "application/json, text/html", formJSON},
		{"the closer one counts", "*/*;q=1, text/plain;q=0, text/html;q=0.1", formJSON},
		{"anything but", "text/html;q=0, */*", formText},
		{"everything refused", "*/*;q=0", formText},
		{"parameters", `text/html;level=1;q=0.4, application/json;version="1";q=0.3`, formHTML},
		{"blanks and capitals", " Text/HTML ; Q = 1 , */* ;q=0.1", formHTML},
		{"a family", "application/*", formJSON},
		{"broken weights are left out", "text/html;q=nan, text/html;q=2, text/html;q=-1, text/html;q=, application/json;q=0.1", formJSON},
		{"commas", ",,,;,;q=1,", formText},
		{"too many", strings.Repeat("image/png,", maxWishes) + "text/html", formText},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if test.accept != "" {
				r.Header.Set("Accept", test.accept)
			}
			if got := formOf(r); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLanguageOf(t *testing.T) {
	for _, test := range []struct{ name, accept, otherwise, want string }{
		{"English", "en-GB,en;q=0.9", german, english},
		{"German", "de-AT,de;q=0.9,en;q=0.8", english, german},
		{"rather English", "de;q=0.7,en;q=0.8", german, english},
		{"the same weight", "de, en", english, german},
		{"French, then German", "fr-CH, fr;q=0.9, de;q=0.7, en;q=0.3", english, german},
		{"neither", "fr,nl;q=0.5", german, german},
		{"neither, and no wish here", "fr", "", english},
		{"nothing said", "", german, german},
		{"anything", "*", german, german},
		{"French or anything", "fr, *;q=0.5", german, german},
		{"anything but German", "*, de;q=0", german, english},
		{"not German", "den, deu", english, english},
		{"a rare German", "DE-CH-1996", english, german},
		{"several regions", "de-AT;q=0.2, de;q=0.9, en;q=0.5", english, german},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if test.accept != "" {
				r.Header.Set("Accept-Language", test.accept)
			}
			if got := languageOf(r, test.otherwise); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestWishesInSeveralLines(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Add("Accept", "text/html;q=0.1")
	r.Header.Add("Accept", "application/json")
	if got := formOf(r); got != formJSON {
		t.Errorf("got %s", got)
	}
}
