package page

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// hostile is what nobody should be able to put into a page.
const hostile = "</script></style></title>-->\"'`><img src=x onerror=alert(1)>\u202e\u2066\u2028\r\n\r\ndata: x\x00\xff{{.}}&lt;javascript:alert(1)//"

func hostileNotice(now time.Time) Notice {
	n := Notice{Situation: Starting, Since: now, Total: 50, Site: hostile, Vendor: hostile + strings.Repeat("x", 5000), Contact: hostile + " a@b.example, https://c.example/"}
	for range 50 {
		n.Steps = append(n.Steps, Step{Phase: hostile, Name: hostile, State: "running\" onclick=\"x", Started: now})
	}
	return n
}

// shape is which elements with which attributes a page has, each once.
func shape(t *testing.T, page string) []string {
	t.Helper()
	seen := map[string]bool{}
	var all []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return all
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			name := token.Data
			for _, a := range token.Attr {
				name += " " + a.Key
			}
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
}

func TestNothingBreaksOut(t *testing.T) {
	now := time.Now()
	harmless := hostileNotice(now)
	harmless.Site, harmless.Vendor, harmless.Contact = "s", "v", "c a@b.example, https://c.example/"
	for i := range harmless.Steps {
		harmless.Steps[i] = Step{Phase: "p", Name: "n", State: "s", Started: now}
	}
	browser := map[string]string{"Accept": "text/html"}
	path := "/%22%3E%3Cscript%3E?\"><script>alert(1)</script>'"
	_, good := ask(t, boardWith(harmless), "GET", path, browser)
	answer, bad := ask(t, boardWith(hostileNotice(now)), "GET", path, browser)
	if diff := cmp.Diff(shape(t, good), shape(t, bad)); diff != "" {
		t.Errorf("other elements (-harmless +hostile)\n%s", diff)
	}
	if len(bad) > 40_000 {
		t.Errorf("the page has %d bytes", len(bad))
	}
	if strings.ContainsAny(bad, "\u202e\u2066\u2028\x00\r") || !utf8.ValidString(bad) {
		t.Error("characters that turn or end a line came through")
	}
	if strings.Count(bad, "<script>") != 1 || strings.Count(bad, "</script>") != 1 {
		t.Error("there is not exactly one script")
	}
	checkDigests(t, answer.Header.Get("Content-Security-Policy"), bad)
}

// checkDigests fails if the policy is not for the style and the script of the page.
func checkDigests(t *testing.T, policy, page string) {
	t.Helper()
	for element, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		found := regexp.MustCompile(`(?s)<` + element + `>(.*)</` + element + `>`).FindStringSubmatch(page)
		if found == nil {
			t.Errorf("there is no %s", element)
			continue
		}
		if want := directive + " '" + digest(found[1]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("%q is not in the policy %q", want, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
}

func TestThePageIsSmall(t *testing.T) {
	n := situations(time.Now())["starting"]
	for len(n.Steps) < maxSteps {
		n.Steps = append(n.Steps, n.Steps[0])
	}
	_, page := ask(t, boardWith(n), "GET", "/", map[string]string{"Accept": "text/html"})
	if len(page) > 20_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	t.Logf("%d bytes with %d steps", len(page), maxSteps)
	if outside := regexp.MustCompile(`(?:src|href|action)="?(?:https?:)?//[^"]*|@import|url\(`).FindAllString(page, -1); outside != nil {
		t.Errorf("the page leads elsewhere: %q", outside)
	}
}

func TestTheNoticeAsJSON(t *testing.T) {
	b := boardWith(hostileNotice(time.Now()))
	_, body := ask(t, b, "GET", "/", map[string]string{"Accept": "application/json"})
	if strings.ContainsAny(strings.TrimSpace(body), "\n\r\u2028<>") {
		t.Errorf("it is not one harmless line: %q", body)
	}
	var got Notice
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.look().Notice, got); diff != "" {
		t.Errorf("(-board +program)\n%s", diff)
	}
	if got.Version != Version || len(got.Steps) != maxSteps {
		t.Errorf("version %d, %d steps", got.Version, len(got.Steps))
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"as it is", "Müller & Söhne", "Müller & Söhne"},
		{"lines", "a\r\nb\tc\u2028d\x00e", "a b c d e"},
		{"turned", "exe\u202egpj\u2066x", "exe gpj x"},
		{"right to left", "\u05d0\u200f\u05d1", "\u05d0\u200f\u05d1"},
		{"no text", "a\xffb", "a\ufffdb"},
		{"only blanks", " \t\n", ""},
		{"long", strings.Repeat("ä", 100), strings.Repeat("ä", 9) + "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := 10
			if test.name != "long" {
				limit = 50
			}
			if got := line(test.in, limit); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
