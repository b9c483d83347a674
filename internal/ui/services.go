package ui

import (
	"cmp"
	"slices"
	"time"

	"appliance/internal/compose"
)

// serviceRow is one container of a service, or a service that has none.
type serviceRow struct {
	Service, Container string
	State, Tone        string
	Why                string
	Up                 time.Time // when it started; zero: it is not up
	Restarts           int
	Image              string
}

// serviceRows lists what needs a look first. While the appliance walks, the turn of a one-shot may not have come yet.
func serviceRows(services []compose.Service, walks bool) (rows []serviceRow) {
	for _, s := range services {
		tone := good
		switch {
		case s.Hopeless, !s.Ready && len(s.Containers) == 0:
			tone = bad
		case !s.Ready:
			tone = busy
		}
		switch {
		case len(s.Containers) == 0 && s.OneShot && !s.Ready && !s.Hopeless && walks:
			rows = append(rows, serviceRow{Service: s.Name, State: "not yet", Tone: quiet})
		case len(s.Containers) == 0:
			rows = append(rows, serviceRow{Service: s.Name, State: "absent", Tone: tone, Why: s.Why})
		}
		for _, c := range s.Containers {
			rows = append(rows, containerRow(s, c, tone))
		}
	}
	urgent := []string{bad, warn, busy, good, quiet}
	slices.SortStableFunc(rows, func(a, b serviceRow) int {
		return cmp.Compare(slices.Index(urgent, a.Tone), slices.Index(urgent, b.Tone))
	})
	return rows
}

func containerRow(s compose.Service, c compose.ContainerInfo, tone string) serviceRow {
	row := serviceRow{Service: s.Name, Container: c.Name, Tone: tone, Why: s.Why, Restarts: c.Restarts, Image: c.Image}
	row.State = cmp.Or(c.Health, c.State)
	switch {
	case c.State == "running":
		row.Up = c.Started
	case s.Ready && c.State == "exited":
		row.State, row.Tone = "done", quiet // a one-shot
	default:
		row.State = c.State
		if tone == busy && (c.State == "exited" || c.State == "dead") {
			row.Tone = bad
		}
	}
	if c.Health == "unhealthy" {
		row.Tone = bad
	}
	return row
}
