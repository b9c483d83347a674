package phases

import (
	"context"
	"time"

	"appliance/internal/api"
)

// run brings the application up and believes in it only when it is healthy.
func run(w *walk) []Step {
	limit := 10 * time.Minute
	if w.project != nil {
		limit = w.project.StartLimit()
	}
	return []Step{
		{Name: "up", Apply: w.up, Plan: w.planUp, Limit: limit},
		{Name: "healthy", Apply: w.awaitHealthy, Limit: limit},
	}
}

func (w *walk) up(ctx context.Context) error {
	project, err := w.loadProject(ctx)
	if err != nil {
		return err
	}
	return w.engine.Up(ctx, project, w.progress)
}

func (w *walk) planUp(ctx context.Context) ([]api.Change, error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return nil, err
	}
	planned, err := w.engine.Plan(ctx, project)
	changes := make([]api.Change, len(planned))
	for i, change := range planned {
		changes[i] = api.Change{Action: change.Action + " " + change.Object, Why: change.Why}
	}
	return changes, err
}
