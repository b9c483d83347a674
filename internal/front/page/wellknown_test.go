package page

import (
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	b := NewBoard()
	for _, test := range []struct {
		ready        bool
		method, path string
		status       int
		body         string
	}{
		{false, "GET", "health", 503, `{"live":true,"ready":false}`},
		{false, "GET", "health/ready", 503, `{"live":true,"ready":false}`},
		{false, "GET", "health/live", 200, `{"live":true,"ready":false}`},
		{true, "GET", "health", 200, `{"live":true,"ready":true}`},
		{true, "GET", "health/ready", 200, `{"live":true,"ready":true}`},
		{true, "GET", "health/live", 200, `{"live":true,"ready":true}`},
		{true, "HEAD", "health", 200, ""},
		{true, "HEAD", "events", 200, ""},
		{true, "POST", "health", 405, "Not possible here"},
		{true, "GET", "healthy", 404, "Nothing here"},
		{true, "GET", "", 404, "Nothing here"},
	} {
		t.Run(strings.Join([]string{test.method, test.path}, " "), func(t *testing.T) {
			b.Ready(test.ready)
			answer, body := ask(t, b.WellKnown(), test.method, WellKnownPath+test.path, nil)
			if answer.StatusCode != test.status || !strings.HasPrefix(body, test.body) {
				t.Errorf("%s\n%s", answer.Status, body)
			}
			if got := answer.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			if got := answer.Header.Get("Retry-After"); (got == "5") != (test.status == 503) {
				t.Errorf("Retry-After is %q", got)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	n := situations(time.Now())["starting"]
	b := boardWith(n)
	for _, test := range []struct{ name, query, accept, kind, want, not string }{
		{"a program", "", "*/*", formJSON, `"ready":false}`, "<"},
		{"the page", "", "text/html", "text/html; charset=utf-8", "data-reload", "was not accepted"},
		{"the page after sending", "?sent", "text/html", "text/html; charset=utf-8", "was not accepted", "data-reload"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, body := ask(t, b.WellKnown(), "GET", WellKnownPath+"status"+test.query, map[string]string{"Accept": test.accept})
			if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != test.kind {
				t.Errorf("%s, %s", answer.Status, got)
			}
			head, _, _ := strings.Cut(body, "<style>")
			if !strings.Contains(body, test.want) || strings.Contains(head, test.not) {
				t.Errorf("the body is\n%s", body)
			}
		})
	}
}
