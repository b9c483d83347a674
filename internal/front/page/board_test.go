package page

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// ask makes a request of a handler behind a real server.
func ask(t *testing.T, h http.Handler, method, path string, header map[string]string) (*http.Response, string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("a=b")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(all)
}

func boardWith(n Notice) *Board {
	b := NewBoard()
	b.Set(n)
	return b
}

func TestAnswerInPlaceOfTheApplication(t *testing.T) {
	b := boardWith(situations(time.Now())["failed"])
	browser := map[string]string{"Accept": "text/html", "Accept-Language": "de"}
	for _, test := range []struct {
		name, method   string
		header         map[string]string
		kind, language string
		want, not      string // in the body
	}{
		{"a browser", "GET", browser, "text/html; charset=utf-8", "de", "<h1>Zurzeit nicht verfügbar</h1>", "nicht angenommen"},
		{"a head", "HEAD", browser, "text/html; charset=utf-8", "de", "", "<"},
		{"a form", "POST", browser, "text/html; charset=utf-8", "de", "wurde nicht angenommen und ist nicht gespeichert", "http-equiv"},
		{"an unheard-of method", "BREW", browser, "text/html; charset=utf-8", "de", "wurde nicht angenommen", "http-equiv"},
		{"curl", "GET", map[string]string{"Accept": "*/*"}, "text/plain; charset=utf-8", "en", "portal.example.org: Not available at the moment\n", "<"},
		{"a program", "GET", map[string]string{"Accept": "application/json"}, "application/json", "", `"situation":"failed"`, "<"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, body := ask(t, b, test.method, "/app?x=1", test.header)
			if answer.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("the status is %s", answer.Status)
			}
			for name, want := range map[string]string{
				"Content-Type": test.kind, "Content-Language": test.language, "Cache-Control": "no-store", "X-Robots-Tag": "noindex",
				"Vary": "Accept, Accept-Language", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if got := answer.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if answer.Header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
			if !strings.Contains(body, test.want) || strings.Contains(body, test.not) {
				t.Errorf("the body is\n%s", body)
			}
			if test.method == "HEAD" && (body != "" || answer.ContentLength < 1000) {
				t.Errorf("%d bytes came, %d are said to be there", len(body), answer.ContentLength)
			}
		})
	}
}

// The application may be there for others: for this visitor, who was sent here, it is not.
func TestNobodyWhoIsAnsweredInItsPlaceIsToldThatItIsThere(t *testing.T) {
	b := boardWith(situations(time.Now())["unhealthy"])
	b.Ready(true)
	answer, body := ask(t, b, "GET", "/app", map[string]string{"Accept": "text/html"})
	head, _, _ := strings.Cut(body, "<style>")
	if answer.StatusCode != 503 || !strings.Contains(body, "<h1>Interrupted for the moment</h1>") || strings.Contains(head, "data-ready") {
		t.Errorf("%s\n%s", answer.Status, body)
	}
	if _, body := ask(t, b, "GET", "/app", map[string]string{"Accept": "application/json"}); !strings.Contains(body, `"ready":false`) {
		t.Errorf("a program is told %s", body)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) *time.Time { next := now.Add(d); return &next }
	for _, test := range []struct {
		name string
		n    Notice
		want time.Duration
	}{
		{"starting", Notice{Situation: Starting}, 5 * time.Second},
		{"updating", Notice{Situation: Updating}, 5 * time.Second},
		{"standby", Notice{Situation: Standby}, 30 * time.Second},
		{"unheard-of", Notice{Situation: "dancing"}, 30 * time.Second},
		{"in a while", Notice{Situation: Failed, NextTry: at(90 * time.Second)}, 90 * time.Second},
		{"any moment", Notice{Situation: Failed, NextTry: at(time.Second)}, 5 * time.Second},
		{"it should have been", Notice{Situation: Failed, NextTry: at(-time.Hour)}, 5 * time.Second},
		{"not today", Notice{Situation: Failed, NextTry: at(48 * time.Hour)}, time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.n.retryAfter(now); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestEverythingAtOnce(t *testing.T) {
	b := NewBoard()
	known := b.WellKnown()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 50 {
				b.Set(Notice{Situation: Starting, Total: k, Steps: walk(time.Now())})
				b.Ready(k%2 == i%2)
				b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				known.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, WellKnownPath+"status", nil))
			}
		})
	}
	all.Wait()
	b.Close()
	b.Close()
}
