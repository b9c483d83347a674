package page

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// walk is a start that is at its fifth of six steps.
func walk(now time.Time) []Step {
	at := func(s int) time.Time { return now.Add(time.Duration(s-83) * time.Second) }
	return []Step{
		{Phase: "prepare-env", Name: "source", State: "done", Started: at(0), Took: 1200 * time.Millisecond},
		{Phase: "prepare-env", Name: "schema", State: "unchanged", Started: at(1)},
		{Phase: "prepare-appliance", Name: "hostname", State: "unchanged", Started: at(1)},
		{Phase: "prepare-appliance", Name: "data", State: "unchanged", Started: at(1)},
		{Phase: "prepare-appliance", Name: "certificate", State: "done", Started: at(1), Took: 9 * time.Second},
		{Phase: "prepare-ecs", Name: "project", State: "unchanged", Started: at(10)},
		{Phase: "prepare-ecs", Name: "images", State: "done", Started: at(10), Took: 61 * time.Second},
		{Phase: "run", Name: "up", State: "running", Started: at(71)},
	}
}

func situations(now time.Time) map[string]Notice {
	base := Notice{Since: now.Add(-83 * time.Second), Site: "portal.example.org", Vendor: "Example Ltd.", Contact: "support@example.org, +43 1 234567"}
	of := func(s Situation, change func(*Notice)) Notice {
		n := base
		n.Situation = s
		if change != nil {
			change(&n)
		}
		return n
	}
	next := now.Add(4*time.Minute + 10*time.Second)
	failed := walk(now)
	failed[len(failed)-1].State, failed[len(failed)-1].Took = "failed", 12*time.Second
	return map[string]Notice{
		"starting":      of(Starting, func(n *Notice) { n.Steps, n.Total = walk(now), 11 }),
		"starting-bare": {Situation: Starting, Since: now},
		"updating":      of(Updating, func(n *Notice) { n.Steps = walk(now) }),
		"migrating":     of(Migrating, func(n *Notice) { n.Steps, n.Total = walk(now), 11 }),
		"failed":        of(Failed, func(n *Notice) { n.Steps, n.NextTry = failed, &next }),
		"standby":       of(Standby, nil),
		"unhealthy":     of(Unhealthy, nil),
		"stopping":      of(Stopping, nil),
	}
}

// faint answers the texts of the page whose contrast is below AA of WCAG 2.2 (4.5, or 3 for large letters).
const faint = `(() => {
  const parse = text => text.match(/[\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
  const paper = light(parse(getComputedStyle(document.documentElement).backgroundColor))
  return [...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const style = getComputedStyle(e), [a, b] = [light(parse(style.color)), paper].sort((a, b) => b - a)
      return {text: e.textContent, ratio: (a + .05) / (b + .05), least: parseFloat(style.fontSize) >= 24 ? 3 : 4.5}
    }).filter(e => !(e.ratio >= e.least)).map(e => e.ratio.toFixed(2) + " " + e.text)
})()`

var visitors = []visitor{
	{Language: "en-GB,en;q=0.9", Width: 1280, Scheme: "light"},
	{Language: "de-AT,de;q=0.9", Width: 1280, Scheme: "dark"},
	{Language: "de-AT,de;q=0.9", Width: 360, Scheme: "light"},
	{Language: "en-GB,en;q=0.9", Width: 360, Scheme: "dark", NoScript: true},
	{Language: "de-AT,de;q=0.9", Width: 320, Scheme: "dark", Calm: true},
	{Language: "fr,nl;q=0.5", Width: 1280, Scheme: "light", NoScript: true},
}

func (v visitor) String() string {
	name := fmt.Sprintf("%s-%d-%s", v.Language[:2], v.Width, v.Scheme)
	if v.NoScript {
		name += "-noscript"
	}
	return name
}

// language is the one the visitor is to be answered in.
func (v visitor) language() string {
	if v.Language[:2] == german {
		return german
	}
	return english
}

func TestPicturesOfAllSituations(t *testing.T) {
	browser := startBrowser(t)
	for name, n := range situations(time.Now()) {
		for _, v := range visitors {
			t.Run(name+"-"+v.String(), func(t *testing.T) {
				s := startSite(t, n)
				tb := openTab(t, browser, v)
				tb.open(s.URL + "/app?q=1#here")
				text := in(v.language())
				if got, want := tb.text("h1"), text.Situations[n.Situation].Headline; got != want {
					t.Errorf("the headline is %q, want %q", got, want)
				}
				if got := eval[string](tb, "document.documentElement.lang"); got != v.language() {
					t.Errorf("the page says it is in %q", got)
				}
				if n.Since.IsZero() == (eval[int](tb, "document.querySelectorAll('time').length") > 0) {
					t.Error("the times shown are not those of the notice")
				}
				if got := eval[string](tb, "document.querySelector('time').textContent"); strings.Contains(got, "UTC") != v.NoScript {
					t.Errorf("the time is %q", got)
				}
				if got := eval[int](tb, "document.getAnimations().length"); (got > 0) != (n.underWay() && !v.Calm) {
					t.Errorf("%d things move", got)
				}
				tb.looked(name + "-" + v.String())
				tb.behaved(s)
			})
		}
	}
}

func TestPicturesOfOtherAnswers(t *testing.T) {
	browser := startBrowser(t)
	s := startSite(t, situations(time.Now())["unhealthy"])
	for _, v := range visitors {
		t.Run(v.String(), func(t *testing.T) {
			tb := openTab(t, browser, v)
			for _, status := range []int{403, 502} {
				tb.open(fmt.Sprintf("%s/error/%d", s.URL, status))
				if got, want := tb.text("h1"), in(v.language()).Errors[status].Headline; got != want {
					t.Errorf("the headline is %q, want %q", got, want)
				}
				tb.looked(fmt.Sprintf("error-%d-%s", status, v))
			}
			tb.open(s.URL + "/form")
			eval[bool](tb, "document.forms[0].submit(), true")
			tb.until("document.querySelector('.warning')")
			tb.looked("sent-" + v.String())
			tb.behaved(s)
		})
	}
}

// What only a page with scripts can show: that the application is there again, and that nobody can be reached.
func TestPicturesOfAPageThatFollows(t *testing.T) {
	browser := startBrowser(t)
	for _, v := range append(visitors, visitor{Language: "en-GB,en;q=0.9", Width: 360, Scheme: "dark"}) {
		if v.NoScript {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			s := startSite(t, situations(time.Now())["updating"])
			tb := openTab(t, browser, v)
			tb.open(s.URL + "/form")
			eval[bool](tb, "document.forms[0].submit(), true")
			tb.until("document.querySelector('.warning')")
			s.board.Ready(true)
			tb.until(fmt.Sprintf("document.querySelector('h1').innerText === %q", in(v.language()).Ready.Headline))
			tb.looked("ready-" + v.String())
			tb.behaved(s)
			eval[bool](tb, "document.documentElement.style.fontSize = '', true")
			s.board.Ready(false)
			tb.until("document.querySelector('#progress p')")
			s.down.Store(true)
			eval[bool](tb, "document.dispatchEvent(new Event('visibilitychange'))") // it looks at once
			tb.until("!document.querySelector('#lost').hidden")
			if got := tb.text("#lost"); got != in(v.language()).Lost {
				t.Errorf("it says %q", got)
			}
			tb.looked("lost-" + v.String())
		})
	}
}

// looked takes the picture of a page, and measures it: contrast, and room for letters twice as large.
func (tb *tab) looked(name string) {
	tb.t.Helper()
	for _, text := range eval[[]string](tb, faint) {
		tb.t.Errorf("too faint: %s", text)
	}
	tb.picture(name)
	wide := eval[[]int](tb, "(document.documentElement.style.fontSize = '200%', [document.documentElement.scrollWidth, document.documentElement.clientWidth])")
	if wide[0] > wide[1] {
		tb.t.Errorf("with large letters the page is %d wide in a window of %d", wide[0], wide[1])
	}
}
