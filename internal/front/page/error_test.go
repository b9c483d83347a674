package page

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestError(t *testing.T) {
	b := boardWith(situations(time.Now())["unhealthy"])
	browser, program := map[string]string{"Accept": "text/html", "Accept-Language": "de"}, map[string]string{"Accept": "application/json"}
	for _, test := range []struct {
		name, method string
		status       int
		header       map[string]string
		want, not    string
	}{
		{"a browser", "GET", 504, browser, "<h1>Keine Antwort zur rechten Zeit</h1>", "<script>"},
		{"again", "GET", 502, browser, `<a href="">Diese Adresse noch einmal öffnen</a>`, "<dl"},
		{"not again", "POST", 502, browser, "<h1>Keine brauchbare Antwort</h1>", `<a href=""`},
		{"of no use", "GET", 403, browser, "<h1>Kein Zugang</h1>", `<a href=""`},
		{"a program", "GET", 413, program, `{"status":413,"error":"Too large","advice":"What you sent is larger than this site accepts."}`, "<"},
		{"curl", "GET", 502, nil, "No usable answer\nThe application answered in a way", "<"},
		{"a rare one of the visitor", "GET", 418, nil, "This request cannot be answered\n", "<"},
		{"a rare one of ours", "GET", 599, nil, "Something went wrong\n", "<"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, body := ask(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.Error(w, r, test.status) }), test.method, "/", test.header)
			if answer.StatusCode != test.status || !strings.Contains(body, test.want) || strings.Contains(body, test.not) {
				t.Errorf("%s\n%s", answer.Status, body)
			}
			if got := answer.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
		})
	}
}

// Whom to turn to is on every page, and nobody sits before one that would be another if it were asked for again.
func TestAnErrorSaysWhoseItIsAndIsTriedAgain(t *testing.T) {
	b := boardWith(situations(time.Now())["unhealthy"])
	for _, test := range []struct {
		name, method, accept string
		status               int
		refresh              string
	}{
		{"no usable answer", "GET", "text/html", 502, "10"},
		{"none in time", "GET", "text/html", 504, "10"},
		{"something was sent", "POST", "text/html", 502, ""},
		{"a fault that stays", "GET", "text/html", 500, ""},
		{"a visitor's own", "GET", "text/html", 403, ""},
		{"a program", "GET", "application/json", 502, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, body := ask(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.Error(w, r, test.status) }), test.method, "/", map[string]string{"Accept": test.accept})
			if got := answer.Header.Get("Refresh"); got != test.refresh {
				t.Errorf("Refresh is %q, want %q", got, test.refresh)
			}
			if says := strings.Contains(body, "This page does so by itself."); says != (test.refresh != "") {
				t.Errorf("that it is tried again is said: %t", says)
			}
			for _, want := range []string{"<bdi>portal.example.org</bdi>", "<bdi>Example Ltd.</bdi>", `href="mailto:support@example.org"`} {
				if strings.Contains(body, want) != (test.accept == formHTML) {
					t.Errorf("%q is missing, or told to a program\n%s", want, body)
				}
			}
		})
	}
}
