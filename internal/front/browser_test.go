package front

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"appliance/internal/front/page"
)

// openTab opens a browser that trusts the site, and finds it by its name. Where there is none the test is skipped, unless
// APPLIANCE_TOOLS=require says that it has to be there.
func (s *site) openTab(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("APPLIANCE_TOOLS") != "require" {
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("host-resolver-rules", "MAP example.test:443 "+s.tls))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot start chromium: %v", err)
	}
	return ctx
}

// until waits until an expression is true in the page, through reloads too.
func until(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if is, err := chromedp.Run(tab, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && is {
			return
		}
	}
	t.Fatalf("never came true: %s", expression)
}

func eval[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func picture(t *testing.T, tab context.Context, name string) {
	t.Helper()
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "build", "screenshots", "front")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// All of it at once: TLS, HTTP/2, the page of the real server, its events, and the application behind it.
func TestABrowserSeesTheStartAndThenTheApplication(t *testing.T) {
	now := time.Now()
	s := start(t, Limits{}, func(state *State) {
		state.Open = false
		state.Notice = page.Notice{Situation: page.Starting, Since: now, Site: "example.test", Vendor: "Example Ltd.", Contact: "support@example.test", Total: 3,
			Steps: []page.Step{{Phase: "prepare-ecs", Name: "images", State: "running", Started: now}}}
	})
	tab := s.openTab(t)
	if err := chromedp.Do(tab, chromedp.Navigate("https://example.test/app/orders?page=7#last")); err != nil {
		t.Fatal(err)
	}
	until(t, tab, `document.querySelector('#progress')?.innerText.startsWith('Step 1 of 3 Fetch the programs')`)
	if got := eval[string](t, tab, "performance.getEntriesByType('navigation')[0].nextHopProtocol"); got != "h2" {
		t.Errorf("the page came by %q", got)
	}
	eval[bool](t, tab, "window.mark = true") // a reload would take it away
	picture(t, tab, "starting")

	s.state.Notice.Steps = append([]page.Step{{Phase: "prepare-ecs", Name: "images", State: "done", Started: now, Took: 12 * time.Second}},
		page.Step{Phase: "run", Name: "up", State: "running", Started: now})
	s.apply(t)
	until(t, tab, `document.querySelector('#progress').innerText.startsWith('Step 2 of 3 Start the services')`)
	if got := eval[string](t, tab, `document.querySelector('[data-state=done]').innerText`); !strings.Contains(got, "Fetch the programs") || !strings.Contains(got, "12 s") {
		t.Errorf("what is done reads %q", got)
	}
	if !eval[bool](t, tab, "window.mark === true") {
		t.Error("the page was loaded again")
	}
	picture(t, tab, "starting-later")

	s.state.Open, s.state.Routes = true, to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel=icon href="data:,"><h1>application</h1><p>%s %s`, r.Method, r.URL)
	}))
	s.apply(t)
	until(t, tab, `document.querySelector('h1')?.innerText === 'application'`)
	if got := eval[string](t, tab, `document.querySelector('p').innerText + ' ' + location.hash`); got != "GET /app/orders?page=7 #last" {
		t.Errorf("the application was asked %q", got)
	}
}
