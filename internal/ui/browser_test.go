package ui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is a real one, with what it has complained of.
type browser struct {
	context.Context
	mu         sync.Mutex
	complaints []string
}

// browse opens a browser for the test. Where there is none the test is skipped, unless APPLIANCE_TOOLS=require.
func browse(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	switch {
	case err != nil && os.Getenv("APPLIANCE_TOOLS") == "require":
		t.Fatal(err)
	case err != nil:
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{}
	b.Context, cancel = chromedp.NewContext(ctx, chromedp.WithBrowserOption(chromedp.WithConsolef(b.complain)))
	t.Cleanup(cancel)
	if err := chromedp.Do(b); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return b
}

func (b *browser) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, fmt.Sprintf(format, args...))
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	answer, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// await waits until the expression is true in the page, whichever that is by then.
func await(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a poll with a deadline
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && ok {
			return
		}
	}
	t.Fatalf("this never holds: %s\n%s", expression, ask(t, ctx, chromedp.Evaluate[string]("document.body.innerText")))
}

func text(t *testing.T, ctx context.Context) string {
	t.Helper()
	return ask(t, ctx, chromedp.Evaluate[string]("document.body.innerText"))
}

// see keeps a picture of the whole page.
func see(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	picture := ask(t, ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots", "ui")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

func screen(width, height int64, scheme string) chromedp.Action[chromedp.Void] {
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	return chromedp.Steps(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media)
		return err
	}))
}

func withoutScripts(ctx context.Context, target *chromedp.Target) error {
	_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return err
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}
func shown(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(selector))
}

// fits fails if something is wider than the screen.
func fits(t *testing.T, ctx context.Context) {
	t.Helper()
	wide := ask(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(e).position !== 'absolute')
		.map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right)).slice(0, 5).join(', ')`))
	if wide != "" {
		t.Errorf("wider than the screen: %s", wide)
	}
}

func TestOverviewInABrowser(t *testing.T) {
	ctx := browse(t)
	for _, test := range []struct {
		name  string
		scene func(time.Time) scene
		word  string
		shows []string
	}{
		{"healthy", healthy, "Healthy", []string{"https://box.example.org/", "59 days left", "10 services https://box.example.org/", "ACME, Let's Encrypt E7", "9c41e07d9c41e07d…", "registry.example.org/ecs/web:2026-11", "311 GB free of 960 GB", "entering cleanup", "worker replaced"}},
		{"starting", starting, "Starting", []string{"its health check has not passed yet", "not yet", "up running"}},
		{"failed", failure, "Failed", []string{"next try by itself at", "no route to host", "check the network and the registry's name", "Clear and try again", "7 days left", "The last renewal failed"}},
		{"unhealthy", unhealthy, "Out of health", []string{"ecs.web: its health check fails"}},
		{"standby", standby, "Standby", []string{"appliance.standby is true", "No services are known yet"}},
		{"on-trial", onTrial, "Healthy", []string{"unless it is kept", "Keep the tried environment", "Go back"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.scene(dawn()), func(c *Config) { c.Now = dawn })
			do(t, ctx, screen(1360, 900, "light"), chromedp.Navigate(r.address))
			await(t, ctx, `document.querySelector('#live')?.textContent === 'live'`)
			title := ask(t, ctx, chromedp.Title())
			if want := test.word + " – box.example.org – appliance"; title != want {
				t.Errorf("the title is %q, want %q", title, want)
			}
			text := text(t, ctx)
			for _, want := range test.shows {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not show %q:\n%s", want, text)
				}
			}
			if broken := ask(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll('.tag')].filter(e => e.getClientRects().length > 1 || e.offsetHeight > 1.5 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.textContent).join(' ')`)); broken != "" {
				t.Errorf("broken: %s", broken)
			}
			fits(t, ctx)
			see(t, ctx, test.name)
			do(t, ctx, screen(1360, 900, "dark"))
			see(t, ctx, test.name+"-dark")
			do(t, ctx, screen(360, 740, "light"))
			fits(t, ctx)
			see(t, ctx, test.name+"-phone")
			do(t, ctx, screen(360, 740, "dark"))
			see(t, ctx, test.name+"-phone-dark")
			r.stop()
		})
	}
}

func TestWhatHappensIsShownLive(t *testing.T) {
	ctx := browse(t)
	r := newRig(t, starting(time.Now()))
	do(t, ctx, screen(1360, 900, "light"), chromedp.Navigate(r.address))
	await(t, ctx, `document.querySelector('#live')?.textContent === 'live'`)
	fmt.Fprint(r.log, "<3>cannot <b>go</b> on\n")
	await(t, ctx, `document.querySelector('#log li.ERROR')?.textContent.includes('cannot <b>go</b> on')`)
	r.play(healthy(time.Now()))
	r.bus.Publish(statechange("entering run, live"))
	await(t, ctx, `document.querySelector('#history li')?.textContent.includes('entering run, live')`)
	await(t, ctx, `document.title.startsWith('Healthy') && !document.querySelector('#services .busy')`)
	await(t, ctx, `document.querySelector('#announce').textContent.includes('Healthy')`)

	r.server.Close()
	await(t, ctx, `document.title.startsWith('Not running') && document.body.innerText.includes('systemctl start appliance')`)
	see(t, ctx, "away")
	r.play(failure(time.Now()))
	r.serve(t)
	await(t, ctx, `document.title.startsWith('Failed') && document.querySelector('#actions summary').textContent === 'Clear and try again'`)
	r.bus.Publish(statechange("after it came back"))
	await(t, ctx, `document.querySelector('#history li')?.textContent.includes('after it came back')`)
	await(t, ctx, `[...document.querySelectorAll('#history li')].filter(e => e.textContent.includes('entering run, live')).length === 1`)

	r.stop()
	await(t, ctx, `document.querySelector('#live').className === 'ended'`)
}

func TestAnActionIsConfirmedFirst(t *testing.T) {
	ctx := browse(t)
	r := newRig(t, failure(time.Now()))
	do(t, ctx, screen(1360, 900, "light"), chromedp.Navigate(r.address))
	await(t, ctx, `document.querySelector('#live')?.textContent === 'live'`)
	do(t, ctx, click(`#actions summary`), shown(`#actions button`))
	see(t, ctx, "action")
	if asked := r.askedFor(); len(asked) > 0 {
		t.Fatalf("asked for %q before it was confirmed", asked)
	}
	do(t, ctx, click(`#actions button`))
	await(t, ctx, `document.querySelector('.notice.good')?.textContent.startsWith('Asked for: clear') && !location.pathname.endsWith('/do')`)
	if asked := fmt.Sprint(r.askedFor()); asked != "[clear]" {
		t.Errorf("asked for %s", asked)
	}
	do(t, ctx, chromedp.Reload())
	await(t, ctx, `document.querySelector('#live')?.textContent === 'live' && !document.querySelector('body > .notice')`)
	if asked := fmt.Sprint(r.askedFor()); asked != "[clear]" {
		t.Errorf("after the page was loaded again: asked for %s", asked)
	}
	do(t, ctx, click(`nav a`))
	await(t, ctx, `document.body.innerText.includes('recreate service ecs.web')`)
	see(t, ctx, "plan")
}

func TestWithoutJavaScript(t *testing.T) {
	ctx := browse(t)
	r := newRig(t, onTrial(time.Now()))
	do(t, ctx, chromedp.Func(withoutScripts), screen(360, 740, "dark"), chromedp.Navigate(r.address))
	do(t, ctx, shown(`#actions details:nth-of-type(2) summary`)) // the door leads on by itself
	do(t, ctx, click(`#actions details:nth-of-type(2) summary`), shown(`#actions details:nth-of-type(2) button`))
	see(t, ctx, "without-javascript")
	do(t, ctx, click(`#actions details:nth-of-type(2) button`), shown(`.notice.good`))
	text := ask(t, ctx, chromedp.Text(chromedp.CSS("body")))
	if !strings.Contains(text, "asked for anew every minute") || !strings.Contains(text, "Healthy") {
		t.Errorf("the page says\n%s", text)
	}
	if asked := fmt.Sprint(r.askedFor()); asked != "[confirm]" {
		t.Errorf("asked for %s", asked)
	}
}

// The policy of the page is not in the way of the page itself, and nothing is asked of anybody else.
func TestTheBrowserHasNothingToComplainOf(t *testing.T) {
	ctx := browse(t)
	r := newRig(t, healthy(time.Now()))
	do(t, ctx, chromedp.Navigate(r.address))
	await(t, ctx, `document.querySelector('#live')?.textContent === 'live' && getComputedStyle(document.querySelector('.verdict')).borderLeftWidth === '6px'`)
	foreign := ask(t, ctx, chromedp.Evaluate[string](`performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin)).join(' ')`))
	if foreign != "" {
		t.Errorf("asked of others: %q", foreign)
	}
	do(t, ctx, click(`#actions summary`), shown(`#actions button`), click(`#actions button`))
	await(t, ctx, `document.querySelector('.notice.good')`)
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if len(ctx.complaints) > 0 {
		t.Errorf("the browser complains: %q", ctx.complaints)
	}
}
