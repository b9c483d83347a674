package page

import (
	"strings"
	"testing"
	"time"
)

var desk = visitor{Language: "en", Width: 1000, Scheme: "light"}

// stays marks the document, so that a reload would be seen.
func (tb *tab) stays(t *testing.T) (same func() bool) {
	t.Helper()
	eval[bool](tb, "window.mark = true")
	return func() bool { return eval[bool](tb, "window.mark === true") }
}

func TestThePageFollowsWithoutReload(t *testing.T) {
	t.Parallel()
	n := situations(time.Now())["starting"]
	s := startSite(t, n)
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/app")
	same := tb.stays(t)
	if got := tb.text("[data-state=running] bdi"); got != "Start the services" {
		t.Fatalf("under way is %q", got)
	}
	before := tb.text("[data-state=running] b")
	tb.until(`document.querySelector('[data-state=running] b').innerText !== "` + before + `"`) // seconds go by

	n.Steps = append([]Step{}, n.Steps...)
	n.Steps[7].State, n.Steps[7].Took = "done", 25*time.Second
	n.Steps = append(n.Steps, Step{Phase: "run", Name: "healthy", State: "running", Started: time.Now()})
	s.board.Set(n)
	tb.until("document.querySelector('[data-state=running] bdi')?.innerText === 'Wait until all services answer'")
	if got := tb.text("#progress p"); !strings.HasPrefix(got, "Step 9 of 11") {
		t.Errorf("the progress is %q", got)
	}
	if got := eval[float64](tb, "document.querySelector('progress').value"); got != 8 {
		t.Errorf("the bar is at %v", got)
	}
	next := time.Now().Add(3 * time.Second)
	n.Situation, n.NextTry = Failed, &next
	s.board.Set(n)
	tb.until("document.querySelector('h1').innerText === 'Not available at the moment'")
	tb.until("document.querySelector('[data-down]').innerText === 'any moment'")
	if got := eval[string](tb, "document.title"); got != "Not available at the moment · portal.example.org" {
		t.Errorf("the title is %q", got)
	}
	if !same() || s.asked.Load() != 1 {
		t.Errorf("the page was asked for %d times", s.asked.Load())
	}
	tb.behaved(s)
}

func TestThePageOpensWhatWasWanted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		noScript   bool
		opened, at string
	}{
		{"with scripts", false, "/app/orders?page=7&a=%22b%22;c#last", "/app/orders?page=7&a=%22b%22;c#last"},
		{"without", true, "/app/orders?page=7&a=%22b%22;c#last", "/app/orders?page=7&a=%22b%22;c"},
		{"without, a folder", true, "/app/#last", "/app/"},
		{"without, no host", true, "//127.0.0.2/app", "//127.0.0.2/app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, Notice{Situation: Starting, Since: time.Now()})
			tb := openTab(t, startBrowser(t), visitor{Language: "en", Width: 1000, Scheme: "light", NoScript: test.noScript})
			tb.open(s.URL + test.opened)
			s.app.Store(true)
			s.board.Ready(true)
			tb.until("document.querySelector('h1').innerText === 'application'")
			if got := eval[string](tb, "location.href"); got != s.URL+test.at {
				t.Errorf("the browser is at %s, not %s", got, test.at)
			}
			tb.behaved(s)
		})
	}
}

// A board may say that the application is ready a moment before the front lets anybody through.
func TestThePageDoesNotSpin(t *testing.T) {
	t.Parallel()
	s := startSite(t, Notice{Situation: Starting, Since: time.Now()})
	s.board.Ready(true)
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/app")
	tb.until("performance.getEntriesByType('navigation')[0].type === 'reload' && performance.now() > 3000")
	if got := s.asked.Load(); got != 2 {
		t.Errorf("the page was asked for %d times", got)
	}
	s.app.Store(true)
	tb.until("document.querySelector('h1').innerText === 'application'")
	tb.behaved(s)
}

func TestWhatWasSentIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := startSite(t, Notice{Situation: Starting, Since: time.Now()})
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/form")
	eval[bool](tb, "document.forms[0].submit(), true")
	tb.until("document.querySelector('.warning')?.innerText.startsWith('What you have just sent was not accepted')")
	same := tb.stays(t)
	s.app.Store(true)
	s.board.Ready(true)
	tb.until("document.querySelector('h1').innerText === 'Ready again'")
	if got := tb.text(".warning"); !strings.HasPrefix(got, "What you sent before was not accepted") {
		t.Errorf("the warning is %q", got)
	}
	readyAt := eval[float64](tb, "window.readyAt = performance.now()")
	tb.until("performance.now() > window.readyAt + 1500") // a page that reloads would have done so within a second
	if !same() || s.asked.Load() != 1 {
		t.Errorf("the application was asked %d times since %v", s.asked.Load()-1, readyAt)
	}
	tb.picture("ready-after-sending")
	tb.behaved(s)
	tb.do(clickAgain)
	tb.until("document.querySelector('h1').innerText === 'application'")
	if got := tb.text("p"); got != "GET /app" {
		t.Errorf("the application was asked %q", got)
	}
}

func TestWithoutEventsThePageAsks(t *testing.T) {
	t.Parallel()
	n := Notice{Situation: Starting, Since: time.Now()}
	s := startSite(t, n)
	s.deaf.Store(true)
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/app")
	same := tb.stays(t)
	n.Situation = Updating
	s.board.Set(n)
	tb.until("document.querySelector('h1').innerText === 'Being updated'")
	if !same() {
		t.Error("the page was loaded again")
	}
	tb.behaved(s)
}

func TestThePageSaysWhenItIsOutOfDate(t *testing.T) {
	t.Parallel()
	s := startSite(t, Notice{Situation: Starting, Since: time.Now()})
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/app")
	if !eval[bool](tb, "document.querySelector('#lost').hidden") {
		t.Fatal("the connection is said to be lost")
	}
	s.down.Store(true)
	s.board.Close()
	tb.until("document.querySelector('#lost').innerText.startsWith('The connection is interrupted')")
	tb.picture("lost")
	s.down.Store(false)
	tb.until("document.querySelector('#lost').hidden")
}

func TestTheTestsSeeWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := startSite(t, Notice{})
	tb := openTab(t, startBrowser(t), desk)
	tb.open(s.URL + "/broken")
	got := strings.Join(tb.wrong(s), "\n")
	for _, want := range []string{"Content Security Policy", "wide in a window", "a request went to http://127.0.0.1:9/x"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among what is wrong:\n%s", want, got)
		}
	}
}
