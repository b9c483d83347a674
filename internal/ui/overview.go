package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"appliance/internal/api"
)

// look is all that the supervisor says of one moment.
type look struct {
	now         time.Time
	status      api.Status
	trouble     string // why there is no status
	certificate certificateView
	storage     storageView
	mayAct      bool
}

// limit is how long the supervisor may take for one page.
const limit = 10 * time.Second

func (v *View) look(ctx context.Context) look {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l := look{now: v.cfg.Now(), mayAct: v.cfg.MayAct()}
	var err error
	l.status, err = v.cfg.Supervisor.Status(ctx)
	l.trouble = textOf(err)
	certificate, err := v.cfg.Supervisor.Certificate(ctx)
	l.certificate = newCertificateView(certificate, textOf(err), l.now)
	l.certificate.Renewable = l.certificate.Renewable && l.status.Supervisor != nil && l.mayAct
	storage, err := v.cfg.Supervisor.Storage(ctx)
	l.storage = newStorageView(storage, textOf(err))
	return l
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sections are the parts of the page that change on their own; the order is that of the page. What is in them is shown
// by the template of that name, and sent anew when it differs from what was sent before: so it holds moments, and no
// time that has passed since.
func (l look) sections() []section {
	return []section{
		{"verdict", newVerdict(l.status, l.trouble)},
		{"warnings", l.status.Warnings},
		{"actions", actionsFor(l.status, l.mayAct)},
		{"steps", newTimeline(l.status.Steps, l.now)},
		{"services", serviceRows(l.status.Services, walks(l.status))},
		{"certificate", l.certificate},
		{"storage", l.storage},
		{"facts", l.status},
	}
}

type section struct {
	Name string
	Data any
}

// fingerprint is equal for sections that look the same.
func (s section) fingerprint() string {
	if status, ok := s.Data.(api.Status); ok { // of all that is in it, this is shown
		s.Data = []any{status.Env, status.Front, status.Supervisor, status.URLs}
	}
	data, err := json.Marshal(s.Data)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// page is the whole of it.
type page struct {
	Host     string
	Now      time.Time
	Zone     string
	Notice   notice
	Sections map[string]any
	Events   []api.Event // newest first
	Lines    []api.LogLine
	Silence  silence
	After    position
}

// silence is why a list may be empty.
type silence struct{ Events, Lines string }

func emptyFor(err error) string {
	if err != nil {
		return "Nothing can be shown: " + err.Error() + "."
	}
	return "Nothing yet."
}

// notice is how what was just asked for has ended.
type notice struct {
	Text, ToDo string
	Tone       string
}

// As many as one page shows; view.js keeps to the same bounds.
const (
	eventsShown = 200
	linesShown  = 400
)

func (v *View) show(w http.ResponseWriter, req *http.Request, said notice) {
	look := v.look(req.Context())
	p := page{Host: v.cfg.Host, Now: look.now, Zone: look.now.Local().Format("MST"), Notice: said, Sections: map[string]any{}}
	for _, s := range look.sections() {
		p.Sections[s.Name] = s.Data
	}
	ctx, cancel := context.WithTimeout(req.Context(), limit)
	defer cancel()
	var noEvents, noLines error
	p.Events, noEvents = v.cfg.Supervisor.PastEvents(ctx)
	p.Lines, noLines = v.cfg.Supervisor.PastLog(ctx)
	p.Silence = silence{emptyFor(noEvents), emptyFor(noLines)}
	if n := len(p.Events); n > 0 {
		p.After.event = p.Events[n-1].ID
	}
	if n := len(p.Lines); n > 0 {
		p.After.line = p.Lines[n-1].ID
	}
	p.Events, p.Lines = newest(p.Events, eventsShown), newest(p.Lines, linesShown)
	code := http.StatusOK
	if said.Tone == bad {
		code = http.StatusConflict
	}
	v.paper.write(w, code, "page", p)
}

// newest returns the last n, the newest first.
func newest[T any](items []T, n int) []T {
	items = slices.Clone(items[max(0, len(items)-n):])
	slices.Reverse(items)
	return items
}

// plan shows what a start now would change.
func (v *View) plan(w http.ResponseWriter, req *http.Request) {
	plan, err := v.cfg.Supervisor.Plan(req.Context())
	v.paper.write(w, http.StatusOK, "plan", struct {
		Host   string
		Plan   api.Plan
		Notice notice
	}{v.cfg.Host, plan, failed(err)})
}
