package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"appliance/internal/api"
	"appliance/internal/compose"
)

// watchStatus shows the status until it is interrupted: live on a terminal, a line for each change elsewhere.
func (a *app) watchStatus(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	view := a.view()
	defer view.close()
	tick := time.NewTicker(time.Second) // the times shown move on by themselves
	defer tick.Stop()
	changed := make(chan struct{}, 1)
	go a.awaitChanges(ctx, changed)
	for {
		status, err := a.status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		view.show(status)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// awaitChanges makes changed readable after each event, over restarts of the supervisor.
func (a *app) awaitChanges(ctx context.Context, changed chan<- struct{}) {
	for ctx.Err() == nil {
		_ = a.client().Events(ctx, 0, func(api.Event) bool { // without it the tick still shows everything
			select {
			case changed <- struct{}{}:
			default:
			}
			return true
		})
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

type view interface {
	show(api.Status)
	close()
}

func (a *app) view() view {
	if file, ok := a.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(file, "\x1b[?1049h\x1b[?25l") // alternate screen, no cursor
		return &screen{file}
	}
	return &lines{out: a.out}
}

// lines prints what is new.
type lines struct {
	out  io.Writer
	last string
}

func (l *lines) show(s api.Status) {
	if text := plainLine(s); text != l.last {
		fmt.Fprintln(l.out, text)
		l.last = text
	}
}

func (*lines) close() {}

func plainLine(s api.Status) string {
	parts := []string{s.Summary}
	for _, service := range s.Services {
		parts = append(parts, service.Name+"="+describe(service))
	}
	return strings.Join(parts, "  ")
}

// screen paints the whole terminal.
type screen struct{ out *os.File }

func (v *screen) close() { fmt.Fprint(v.out, "\x1b[?25h\x1b[?1049l") }

func (v *screen) show(s api.Status) {
	width, _, err := term.GetSize(int(v.out.Fd()))
	if err != nil {
		width = 80
	}
	text := strings.ReplaceAll(paint(s, width, time.Now()), "\n", "\x1b[K\n")
	if _, err := fmt.Fprint(v.out, "\x1b[H"+text+"\x1b[J"); err != nil && !errors.Is(err, os.ErrClosed) {
		return // the terminal has gone; the signal that follows ends us
	}
}

const barWidth = 20 // characters

// paint renders the status for a terminal of the given width.
func paint(s api.Status, width int, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(clip(fmt.Sprintf(format, args...), width) + "\n")
	}
	line("appliance  %s  %s", strings.ToUpper(s.State), now.Sub(s.Since).Round(time.Second))
	line("%s", s.Summary)
	line("")
	for _, service := range s.Services {
		filled := int(progress(service) * barWidth)
		line("%-16s [%s%s] %s", service.Name, strings.Repeat("█", filled), strings.Repeat("·", barWidth-filled), describe(service))
	}
	line("")
	for _, step := range s.Steps {
		took := step.Took
		if step.State == "running" {
			took = now.Sub(step.Started)
		}
		line("%-9s %-18s %-10s %8s  %s", step.State, step.Phase, step.Name, took.Round(time.Millisecond), firstOf(step.Detail))
	}
	line("")
	line("Ctrl-C ends this view; the appliance goes on.")
	return b.String()
}

func firstOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func clip(text string, width int) string {
	if runes := []rune(text); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// progress is how far a service is on its way to ready, from 0 to 1.
func progress(s compose.Service) float64 {
	switch {
	case s.Ready:
		return 1
	case len(s.Containers) == 0:
		return 0
	}
	switch c := s.Containers[0]; {
	case c.State == "created":
		return 0.25
	case c.State == "running":
		return 0.75
	}
	return 0.5
}

func describe(s compose.Service) string {
	if s.Ready {
		return "ready"
	}
	return s.Why
}
