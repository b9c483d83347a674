package acme

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	lego "github.com/go-acme/lego/v4/acme"
	"github.com/google/go-cmp/cmp"

	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/remedy"
)

// answering is an authority that answers requests for paths that begin with path by itself.
func answering(t *testing.T, path string, answer http.HandlerFunc) *acmetest.CA {
	t.Helper()
	return acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, path) {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
		return true
	})})
}

// says answers a document.
func says(status int, media, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// refuses answers a problem document.
func refuses(status int, kind, detail string, headers ...string) http.HandlerFunc {
	body, err := json.Marshal(map[string]string{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail})
	if err != nil {
		panic(err) // strings always can
	}
	return says(status, "application/problem+json", string(body), headers...)
}

const order, html = "/order-plz", "text/html; charset=utf-8"

func TestAnswersOfTheAuthority(t *testing.T) {
	page := "<html>" + strings.Repeat("sorry ", 500)
	subproblems := `{"type": "urn:ietf:params:acme:error:malformed", "detail": "some", "subproblems": [
		{"type": "urn:ietf:params:acme:error:caa", "detail": "no", "identifier": {"type": "dns", "value": "a.example.org"}}, {}, {}, {}, {}]}`
	for _, test := range []struct {
		name, path string
		answer     http.HandlerFunc
		text       string
		remedy     string
		passing    bool
		limited    bool
	}{
		{"a fault", order, refuses(500, "serverInternal", "oops"), "the authority says: oops (serverInternal)", "", true, false},
		{"a fault of the proxy", order, says(502, html, page), "status 502 Bad Gateway", "", true, false},
		{"a page in place of the directory", "/dir", says(200, html, page), "something else than ACME", "appliance.ssl.acme.directory", false, false},
		{"a page that is not found", "/dir", says(404, html, page), "404 Not Found", "appliance.ssl.acme.directory", false, false},
		{"a directory of nobody", "/dir", says(200, "application/json", `{"hello": 1}`), "directory missing", "", false, false},
		{"text for JSON", "/dir", says(200, "application/json", `hello`), "no JSON", "appliance.ssl.acme.directory", false, false},
		{"JSON of another kind", order, says(201, "application/json", `{"status": 7}`), "no JSON", "appliance.ssl.acme.directory", false, false},
		{"a problem that is null", order, says(400, "application/problem+json", `null`), "something else than ACME", "", false, false},
		{"a problem that is a list", order, says(400, "application/problem+json", `[]`), "something else than ACME", "", false, false},
		{"a problem without words", order, says(400, "application/json", `{}`), "400 Bad Request", "", false, false},
		{"an order that is null", order, says(201, "application/json", `null`, "Location", "https://ca/o"), "cannot get", "", false, false},
		{"subproblems", order, says(400, "application/problem+json", subproblems), "some; a.example.org: no; : ; : ; and 2 more (malformed)", "", false, false},
		{"CAA", order, refuses(403, "caa", "CAA record for ecs.example.org prevents issuance"), "prevents issuance (caa)", "CAA record", false, false},
		{"a name it does not take", order, refuses(400, "rejectedIdentifier", "policy"), "(rejectedIdentifier)", "appliance.ssl.acme.names", false, false},
		{"a mail address it does not take", "/sign-me-up", refuses(400, "invalidContact", "no"), "(invalidContact)", "appliance.ssl.acme.email", false, false},
		{"rate limit", order, refuses(429, "rateLimited", "too many"), "too many (rateLimited)", "", true, true},
		{"rate limit of the proxy", "/dir", says(429, html, page), "429 Too Many Requests", "", true, true},
		{"busy", order, refuses(503, "serverInternal", "busy", "Retry-After", "30"), "busy", "", true, true},
		{"down for work", "/dir", says(503, html, page), "503 Service Unavailable", "", true, false},
		{"a huge directory", "/dir", says(200, "application/json", strings.Repeat(" ", 2*maxAnswer)), "more than 1048576 bytes", "", false, false},
		{"a huge problem", order, says(400, "application/problem+json", strings.Repeat(" ", 2*maxAnswer)), "more than 1048576 bytes", "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, answering(t, test.path, test.answer), Settings{}, newSite(t))
			refusal := h.refused(t, "ecs.example.org")
			if !strings.Contains(refusal.Error(), test.text) || strings.Contains(refusal.Error(), "sorry") {
				t.Errorf("refused: %v", refusal)
			}
			if refusal.Passing != test.passing || remedy.MayPass(refusal) != test.passing || refusal.RateLimited != test.limited {
				t.Errorf("passing: %v, rate limited: %v", refusal.Passing, refusal.RateLimited)
			}
			if way := remedy.Of(refusal); test.remedy != "" && !strings.Contains(way, test.remedy) {
				t.Errorf("the remedy is %q", way)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"":                              {},
		"0":                             now,
		"120":                           now.Add(2 * time.Minute),
		"Sun, 01 Nov 2026 13:00:00 GMT": now.Add(time.Hour),
		"Sun, 01 Nov 2026 11:00:00 GMT": now.Add(-time.Hour),
		"-5":                            {},
		"soon":                          {},
		"99999999999999999999":          {},
		"2000000000":                    now.Add(longestRetryAfter),
		"Fri, 01 Nov 2999 13:00:00 GMT": now.Add(longestRetryAfter),
	} {
		if got := parseRetryAfter(value, now); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	h := newHost(t, answering(t, order, refuses(429, "rateLimited", "too many", "Retry-After", "3600")), Settings{}, newSite(t))
	if wait := time.Until(h.refused(t, "ecs.example.org").RetryAfter); wait < 59*time.Minute || wait > time.Hour {
		t.Errorf("to be asked again in %v", wait)
	}
}

func TestAuthorityThatCannotBeReached(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for _, test := range []struct {
		name     string
		settings Settings
		text     string
		remedy   string
		passing  bool
	}{
		{"down", Settings{Directory: gone.URL}, "connection refused", "", true},
		{"its name is not in DNS", Settings{Directory: "https://ca.invalid/dir"}, "does not answer at ca.invalid", "", true},
		{"no TLS there", Settings{Directory: strings.Replace(plain.URL, "http:", "https:", 1)}, "does not answer at 127.0.0.1", "", true},
		{"without https", Settings{Directory: plain.URL}, "is not behind https", "appliance.ssl.acme.directory", false},
		{"its https is of nobody", Settings{CABundle: otherCertificate(t)}, "cannot be trusted", "set appliance.ssl.acme.ca_bundle", false},
		{"nothing in the bundle", Settings{CABundle: "-----BEGIN CERTIFICATE-----"}, "no certificate in the bundle", "set appliance.ssl.acme.ca_bundle", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, ca, test.settings, newSite(t))
			refusal := h.refused(t, "ecs.example.org")
			if !strings.Contains(refusal.Error(), test.text) || refusal.Passing != test.passing || !strings.Contains(remedy.Of(refusal), test.remedy) {
				t.Errorf("refused (passing: %v): %v; remedy %q", refusal.Passing, refusal, remedy.Of(refusal))
			}
		})
	}
	h := newHost(t, ca, Settings{}, newSite(t))
	h.CABundle = "" // what the host trusts
	if refusal := h.refused(t, "ecs.example.org"); !strings.Contains(remedy.Of(refusal), "ca_bundle") {
		t.Errorf("without a bundle: %v", refusal)
	}
}

func TestAuthorityThatIsSlow(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	ca := answering(t, order, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
		panic(http.ErrAbortHandler) // to return would be an answer, which a client that gives up may still see
	})
	h := newHost(t, ca, Settings{}, newSite(t))
	h.answer = 200 * time.Millisecond
	if refusal := h.refused(t, "ecs.example.org"); !refusal.Passing || !errors.Is(refusal, errNoAnswer) {
		t.Errorf("one that never answers (passing: %v): %v", refusal.Passing, refusal)
	}
	h.answer, h.limit = time.Minute, 300*time.Millisecond
	if refusal := h.refused(t, "ecs.example.org"); !refusal.Passing || !errors.Is(refusal, errTooLong) {
		t.Errorf("in all too long (passing: %v): %v", refusal.Passing, refusal)
	}
}

func TestOrderThatGoesInvalid(t *testing.T) {
	t.Run("the authority saw another server", func(t *testing.T) {
		s := newSite(t)
		stranger := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(stranger.Close)
		ca := acmetest.New(t, acmetest.Options{HTTPPort: portOf(t, stranger.URL)})
		refusal := newHost(t, ca, Settings{}, s).refused(t, "ecs.example.org", "www.example.org")
		for _, part := range []string{"ecs.example.org: the authority says: ", "www.example.org: the authority says: ", "404", "(unauthorized)"} {
			if !strings.Contains(refusal.Error(), part) {
				t.Errorf("%q is not said: %v", part, refusal)
			}
		}
		if refusal.Passing || !strings.Contains(remedy.Of(refusal), "port 80") {
			t.Errorf("passing: %v, remedy: %q", refusal.Passing, remedy.Of(refusal))
		}
		s.looked(t)
	})
	t.Run("the port is shut", func(t *testing.T) {
		refusal := newHost(t, acmetest.New(t, acmetest.Options{}), Settings{}, newSite(t)).refused(t, "ecs.example.org")
		if !strings.Contains(refusal.Error(), "connection refused") || refusal.Passing {
			t.Errorf("refused: %v", refusal)
		}
	})
	t.Run("a name is on its list", func(t *testing.T) {
		ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Blocked: []string{"blocked.example.org"}})
		refusal := newHost(t, ca, Settings{}, newSite(t)).refused(t, "ecs.example.org", "www.blocked.example.org")
		if !strings.Contains(refusal.Error(), "www.blocked.example.org") || !strings.Contains(remedy.Of(refusal), "appliance.ssl.acme.names") {
			t.Errorf("refused: %v; remedy: %q", refusal, remedy.Of(refusal))
		}
	})
	t.Run("after all is proved", func(t *testing.T) {
		ca := answering(t, "/my-order/", says(200, "application/json", `{"status": "invalid", "error": {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it", "status": 403}}`))
		refusal := newHost(t, ca, Settings{}, newSite(t)).refused(t, "ecs.example.org")
		if !strings.Contains(refusal.Error(), "CAA forbids it (caa)") || !strings.Contains(remedy.Of(refusal), "CAA") {
			t.Errorf("refused: %v", refusal)
		}
	})
	t.Run("a challenge that is not offered", func(t *testing.T) {
		ca := answering(t, "/authZ/", says(200, "application/json", `{"status": "pending", "identifier": {"type": "dns", "value": "ecs.example.org"}, "challenges": [{"type": "dns-01", "token": "x", "url": "https://ca/x"}]}`))
		refusal := newHost(t, ca, Settings{}, newSite(t)).refused(t, "ecs.example.org")
		if !strings.Contains(refusal.Error(), "ecs.example.org: the authority does not offer http-01") {
			t.Errorf("refused: %v", refusal)
		}
	})
	t.Run("a token that leads elsewhere", func(t *testing.T) {
		ca := answering(t, "/authZ/", says(200, "application/json", `{"status": "pending", "identifier": {"type": "dns", "value": "ecs.example.org"}, "challenges": [{"type": "http-01", "token": "../../etc", "url": "https://ca/x"}]}`))
		if refusal := newHost(t, ca, Settings{}, newSite(t)).refused(t, "ecs.example.org"); !strings.Contains(refusal.Error(), "token") {
			t.Errorf("refused: %v", refusal)
		}
	})
	t.Run("a name with an asterisk", func(t *testing.T) {
		for _, challenge := range []string{"http-01", "tls-alpn-01"} {
			h := newHost(t, acmetest.New(t, acmetest.Options{AlwaysValid: true}), Settings{Challenge: challenge}, newSite(t))
			refusal := h.refused(t, "ecs.example.org", "*.example.org")
			if !strings.Contains(refusal.Error(), "*.example.org cannot be proved by "+challenge) || !strings.Contains(remedy.Of(refusal), "dns-01") {
				t.Errorf("refused: %v; remedy: %q", refusal, remedy.Of(refusal))
			}
		}
	})
}

func TestTextsAreFitToBeShown(t *testing.T) {
	h := newHost(t, answering(t, order, refuses(400, "malformed", "line\none\x00\u202e "+strings.Repeat("long ", 5000))), Settings{}, newSite(t))
	text := h.refused(t, "ecs.example.org").Error()
	if len([]rune(text)) != longestText+1 || !strings.Contains(text, "line one long") {
		t.Errorf("%d characters: %q", len(text), text)
	}
	const secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA"
	h = newHost(t, answering(t, order, refuses(400, "malformed", "you said "+secret)), Settings{EABKey: secret}, newSite(t))
	if text := h.refused(t, "ecs.example.org").Error(); strings.Contains(text, secret) || !strings.Contains(text, "you said [secret]") {
		t.Errorf("a secret is told: %s", text)
	}
}

// lego gives up on nonces after 20 s.
func TestNoncesThatAreNeverGood(t *testing.T) {
	h := newHost(t, acmetest.New(t, acmetest.Options{}), Settings{}, nil)
	w, err := h.newWire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	given := &lego.NonceError{ProblemDetails: &lego.ProblemDetails{Type: lego.BadNonceErr, HTTPStatus: 400, Detail: "again"}}
	var refusal *Refusal
	if err := h.explain(t.Context(), "cannot", w.failure(given)); !errors.As(err, &refusal) || !refusal.Passing || refusal.Error() != "cannot: the authority says: again (badNonce)" {
		t.Errorf("refused: %v", err)
	}
}

func TestEqualSettingsAreEqual(t *testing.T) {
	if a, b := (Settings{Email: "a"}), (Settings{Email: "a"}); a != b || !cmp.Equal(a, b) {
		t.Error("they differ")
	}
}

func otherCertificate(t *testing.T) string {
	t.Helper()
	other := httptest.NewTLSServer(nil)
	t.Cleanup(other.Close)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}))
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(address, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}
