package page

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// document is what the template shows.
type document struct {
	Language string
	Text     *texts
	Mood     string // for the style: "busy", "trouble", "calm"
	Site     string
	Headline string
	Sentence string
	Notes    []string // what else the visitor should know
	Warning  string   // what the visitor has to do
	Reopen   bool     // offer the same address again
	Board    bool     // it shows what a board says
	Live     bool     // … and follows it
	Reload   bool     // … and opens the address again by itself when the application is there
	Ready    bool
	Refresh  int    // seconds, for browsers without JavaScript
	Here     string // and where to
	Progress *progress
	Since    *moment
	NextTry  *moment
	Phases   []phase
	Vendor   string
	Contact  []piece
}

// progress is how far a start is.
type progress struct {
	Done, Total int    // Total 0: nobody knows
	Now         string // "Step 3 of 17"
	Step        string
}

// moment is a time, as text and in seconds from when the page was made: the clock of the visitor may be wrong.
type moment struct {
	Time    string // RFC 3339
	Text    string // without JavaScript
	Seconds int
	Span    string
}

// phase is a phase with its steps.
type phase struct {
	Name  string
	Steps []step
}

type step struct {
	Name, State, Status string
	Seconds             int // under way for as long
	Span                string
}

// document says what the board says, in a language. Who asked by something that must not be repeated has no here.
func (v view) document(language, here string, now time.Time) document {
	text := in(language)
	d := document{
		Language: language, Text: text, Site: v.Site, Vendor: v.Vendor, Contact: links(v.Contact),
		Board: true, Live: true, Reload: here != "", Here: here, Ready: v.Ready, Refresh: int(min(v.retryAfter(now), retryElse).Seconds()),
	}
	d.say(v, text)
	if v.Ready {
		return d
	}
	if elapsed := now.Sub(v.Since); !v.Since.IsZero() && elapsed < ages {
		d.Since = &moment{v.Since.Format(time.RFC3339), clock(v.Since, now), seconds(elapsed), span(elapsed)}
	}
	if v.NextTry != nil {
		left := v.NextTry.Sub(now)
		d.NextTry = &moment{v.NextTry.Format(time.RFC3339), clock(*v.NextTry, now), seconds(left), cmp.Or(countdown(left), text.Soon)}
	}
	if underWay := v.underWay(); underWay || v.brokeOff() {
		d.Phases = v.phases(text, now)
		if underWay {
			d.Progress = v.progress(text)
		}
	}
	return d
}

// here is the address of a request as seen from itself, "" if it must not be repeated. A browser that is told to open its
// address again without being told which only scrolls when there is a fragment in it. Neither path nor query can lead
// to another host this way.
func here(r *http.Request) string {
	if !repeatable(r.Method) {
		return ""
	}
	if r.URL == nil { // no server's request
		return "./"
	}
	path := r.URL.EscapedPath()
	address := "./" + path[strings.LastIndexByte(path, '/')+1:]
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	return address
}

// ages is for how long something may have lasted before the clock, not the duration, is to be doubted: a machine without a
// battery begins in 1970.
const ages = 2 * 365 * 24 * time.Hour

func (n Notice) underWay() bool {
	return n.Situation == Starting || n.Situation == Updating || n.Situation == Migrating
}

// brokeOff says whether it failed in a step, and not some time after the last one.
func (n Notice) brokeOff() bool {
	return n.Situation == Failed && slices.ContainsFunc(n.Steps, func(s Step) bool { return s.State == "failed" })
}

// say finds the words.
func (d *document) say(v view, text *texts) {
	said, known := text.Situations[v.Situation]
	if !known {
		said = text.Other
	}
	if v.Ready {
		said = text.Ready
	}
	d.Headline, d.Sentence, d.Mood = said.Headline, said.Sentence, v.mood()
	if !d.Reload {
		d.Warning = text.NotSent
		if v.Ready {
			d.Warning = text.SendAgain
		}
	}
	d.Notes = v.notes(text, d.Reload)
	d.Reopen = v.Ready
}

func (v view) mood() string {
	switch {
	case v.Ready:
		return "calm"
	case v.underWay():
		return "busy"
	case v.Situation == Failed || v.Situation == Unhealthy:
		return "trouble"
	}
	return "calm"
}

// notes says what a visitor can do, and what the page does.
func (v view) notes(text *texts, reload bool) []string {
	var all []string
	switch {
	case v.Ready || v.Situation == Standby:
		return nil
	case !reload: // there is a warning that says more
	case v.underWay() || v.Situation == Unhealthy:
		all = append(all, text.Opens)
	default:
		all = append(all, text.OpensLater)
	}
	if v.Situation == Failed && v.Contact != "" {
		all = append(all, text.Urgent)
	}
	return all
}

// progress counts steps that are behind us and names the one under way.
func (n Notice) progress(text *texts) *progress {
	p := progress{Total: n.Total}
	for _, s := range n.Steps {
		switch s.State {
		case "done", "unchanged":
			p.Done++
		case "running":
			p.Step = cmp.Or(text.Steps[s.Name], s.Name)
		}
	}
	if p.Total < max(len(n.Steps), 1) {
		p.Total = 0 // wrong, or unknown
	}
	switch {
	case p.Step == "":
	case p.Total > 0:
		p.Now = fmt.Sprintf(text.StepOf, p.Done+1, p.Total)
	default:
		p.Now = fmt.Sprintf(text.Step, p.Done+1)
	}
	return &p
}

// phases gives each phase its steps.
func (n Notice) phases(text *texts, now time.Time) []phase {
	var all []phase
	for i, s := range n.Steps {
		if i == 0 || s.Phase != n.Steps[i-1].Phase {
			all = append(all, phase{Name: cmp.Or(text.Phases[s.Phase], s.Phase)})
		}
		last := &all[len(all)-1]
		last.Steps = append(last.Steps, s.shown(text, now))
	}
	return all
}

func (s Step) shown(text *texts, now time.Time) step {
	shown := step{Name: cmp.Or(text.Steps[s.Name], s.Name), State: s.State, Status: cmp.Or(text.States[s.State], s.State)}
	switch s.State {
	case "running":
		if elapsed := now.Sub(s.Started); elapsed < ages {
			shown.Seconds, shown.Span = seconds(elapsed), span(elapsed)
		}
	case "done", "failed":
		shown.Span = span(s.Took)
	}
	return shown
}

func seconds(d time.Duration) int { return max(0, int(d/time.Second)) }

// span writes a duration with units that are the same in both languages.
func span(d time.Duration) string {
	s := seconds(d)
	switch {
	case s < 60:
		return strconv.Itoa(s) + " s"
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// countdown is the span until something happens, "" if it should have happened.
func countdown(d time.Duration) string {
	if seconds(d) == 0 {
		return ""
	}
	return span(d)
}

// clock writes a time in the zone of the host, for those whose browser cannot write it in their own; with the date where
// it is not near.
func clock(at, now time.Time) string {
	if now.Sub(at).Abs() < 12*time.Hour {
		return at.Local().Format("15:04 MST")
	}
	return at.Local().Format("2006-01-02, 15:04 MST")
}
