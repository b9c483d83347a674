package ui

import (
	"strings"
	"time"

	"appliance/internal/api"
)

// timeline is the walk through the phases, drawn to scale: one bar a step, each beginning where the one before ends.
type timeline struct {
	Phases []stretch
	Total  time.Duration
}

// stretch is one phase of it.
type stretch struct {
	Name string
	Took time.Duration
	Bars []bar
}

// bar is one step. From and Width are in percent of the whole walk.
type bar struct {
	Name, State string
	Why         string `json:",omitempty"` // there was work, or it failed
	From, Width float64
	Took        time.Duration
	Running     bool
	Started     time.Time
}

const thinnest = 0.6 // percent: narrower bars could not be seen

// newTimeline draws the steps. Waiting between them, and a clock that was set meanwhile, is left out.
func newTimeline(steps []api.Step, now time.Time) timeline {
	var t timeline
	took := make([]time.Duration, len(steps))
	for i, s := range steps {
		took[i] = s.Took
		if s.State == "running" {
			took[i] = now.Sub(s.Started).Truncate(time.Second)
		}
		took[i] = max(0, took[i])
		t.Total += took[i]
	}
	whole := float64(max(t.Total, time.Millisecond))
	begun := time.Duration(0)
	for i, s := range steps {
		if n := len(t.Phases); n == 0 || t.Phases[n-1].Name != s.Phase {
			t.Phases = append(t.Phases, stretch{Name: s.Phase})
		}
		phase := &t.Phases[len(t.Phases)-1]
		b := bar{Name: s.Name, State: s.State, Took: took[i], Started: s.Started, Running: s.State == "running"}
		b.Width = min(100, max(thinnest, 100*float64(took[i])/whole))
		b.From = min(100-b.Width, 100*float64(begun)/whole)
		b.Why, _, _ = strings.Cut(s.Detail, "\n")
		phase.Bars, phase.Took = append(phase.Bars, b), phase.Took+took[i]
		begun += took[i]
	}
	return t
}
