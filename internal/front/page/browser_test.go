package page

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a Chromium for the test. Where there is none the test is skipped, unless APPLIANCE_TOOLS=require
// says that it has to be there.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("APPLIANCE_TOOLS") != "require" {
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	browser, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("cannot start chromium: %v", err)
	}
	return browser
}

// site is a front with a board and an application that may answer.
type site struct {
	*httptest.Server
	board *Board
	app   atomic.Bool
	deaf  atomic.Bool  // events do not come through
	down  atomic.Bool  // nothing does
	asked atomic.Int64 // requests for anything but the well-known addresses
}

func startSite(t *testing.T, n Notice) *site {
	t.Helper()
	s := &site{board: NewBoard()}
	s.board.Set(n)
	known := s.board.WellKnown()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.down.Load():
			panic(http.ErrAbortHandler)
		case s.deaf.Load() && strings.HasSuffix(r.URL.Path, "/events"):
			http.NotFound(w, r)
		case strings.HasPrefix(r.URL.Path, WellKnownPath):
			known.ServeHTTP(w, r)
		case r.URL.Path == "/broken":
			w.Header().Set("Content-Security-Policy", policy())
			fmt.Fprintf(w, `<!doctype html><style>body{color:red}</style><img src="http://127.0.0.1:9/x"><pre>%s</pre>`, strings.Repeat("wide", 1000))
		case r.URL.Path == "/form":
			fmt.Fprint(w, `<!doctype html><link rel=icon href="data:,"><form method=post action=/app><button>Go</button></form>`)
		case strings.HasPrefix(r.URL.Path, "/error/"):
			var status int
			fmt.Sscanf(r.URL.Path, "/error/%d", &status)
			s.board.Error(w, r, status)
		case s.app.Load():
			s.asked.Add(1)
			fmt.Fprintf(w, `<!doctype html><link rel=icon href="data:,"><h1>application</h1><p>%s %s`, r.Method, r.URL.Path)
		default:
			s.asked.Add(1)
			s.board.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { s.board.Close(); s.Close() })
	return s
}

// visitor is how somebody looks at the page.
type visitor struct {
	Language string // as Accept-Language
	Width    int64
	Scheme   string // "light", "dark"
	NoScript bool
	Calm     bool // prefers reduced motion
}

// tab is a page of the browser that keeps book of what should not happen.
type tab struct {
	context.Context
	t  *testing.T
	mu sync.Mutex

	complaints []string
	requests   []string
}

func openTab(t *testing.T, browser context.Context, v visitor) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot open a tab: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	tb := &tab{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, tb.note); err != nil {
		t.Fatal(err)
	}
	motion := "no-preference"
	if v.Calm {
		motion = "reduce"
	}
	call(tb, network.Enable, network.EnableParams{})
	call(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript})
	call(tb, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Vienna"})
	call(tb, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0 (a test)", AcceptLanguage: v.Language})
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: v.Width, Height: 800, DeviceScaleFactor: 1, Mobile: v.Width < 600})
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: v.Scheme}, {Name: "prefers-reduced-motion", Value: motion}}})
	return tb
}

// call gives the browser a command that the actions do not have.
func call[P any](tb *tab, command cdp.Command[P, cdp.Empty], params P) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb, command, params); err != nil {
		tb.t.Fatal(err)
	}
}

// note remembers requests, exceptions and whatever is written to the console; that a page came as an error is meant so.
func (tb *tab) note(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tb.requests = append(tb.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		tb.complaints = append(tb.complaints, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		tb.complaints = append(tb.complaints, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.Text, "the server responded with a status of") {
			return
		}
		tb.complaints = append(tb.complaints, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
	}
}

func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb, actions...); err != nil {
		tb.t.Fatal(err)
	}
}

// open goes to an address; an answer with an error status is as good as any.
func (tb *tab) open(address string) {
	tb.t.Helper()
	tb.do(chromedp.Navigate(address))
}

// text is what is to be read in a part of the page.
func (tb *tab) text(selector string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// clickAgain follows the link that opens the address again.
var clickAgain = chromedp.Click(chromedp.CSS(".again a"))

// eval answers what an expression is; the page's policy and disabled scripts do not hinder it.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	v, err := chromedp.Run(tb, chromedp.Evaluate[T](expression))
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true, through reloads too.
func (tb *tab) until(expression string) {
	tb.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if is, err := chromedp.Run(tb, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && is {
			return
		}
	}
	tb.t.Fatalf("never came true: %s", expression)
}

// picture writes the whole page to build/screenshots/page/NAME.png.
func (tb *tab) picture(name string) {
	tb.t.Helper()
	png, err := chromedp.Run(tb, chromedp.FullScreenshot(100))
	if err != nil {
		tb.t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "..", "build", "screenshots", "page")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		tb.t.Fatal(err)
	}
}

// behaved fails the test for whatever is wrong.
func (tb *tab) behaved(s *site) {
	tb.t.Helper()
	for _, what := range tb.wrong(s) {
		tb.t.Error(what)
	}
}

// wrong lists complaints of the browser, requests to anybody but the site, and pages wider than the window.
func (tb *tab) wrong(s *site) []string {
	tb.t.Helper()
	var all []string
	if got := eval[[]int](tb, "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"); got[0] > got[1] {
		all = append(all, fmt.Sprintf("the page is %d wide in a window of %d", got[0], got[1]))
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, c := range tb.complaints {
		all = append(all, "the browser complains: "+c)
	}
	for _, address := range tb.requests {
		if u, err := url.Parse(address); err != nil || u.Scheme != "data" && "http://"+u.Host != s.URL {
			all = append(all, "a request went to "+address)
		}
	}
	return all
}
