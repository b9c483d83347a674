package phases

import (
	"context"
	"errors"
	"fmt"
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
		{Name: "names", Check: w.misnamed, Apply: w.rename},
		{Name: "healthy", Apply: w.awaitHealthy, Limit: limit},
		{Name: "tell", Check: w.servicesUntold, Apply: w.tellServices},
		{Name: "open", Apply: w.openDoors},
	}
}

func (w *walk) up(ctx context.Context) error {
	project, err := w.loadProject(ctx)
	if err != nil {
		return err
	}
	if err := w.startWithCertificate(ctx); err != nil {
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

// misnamed looks for containers that a start which was cut off has left under a temporary name.
func (w *walk) misnamed(ctx context.Context) (string, error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return "", err
	}
	found, err := w.engine.Misnamed(ctx, project.Name())
	if len(found) == 0 {
		return "", err
	}
	return fmt.Sprintf("an earlier start was cut off before it could name %d containers", len(found)), nil
}

func (w *walk) rename(ctx context.Context) error {
	found, err := w.engine.Misnamed(ctx, w.project.Name())
	for _, m := range found {
		err = errors.Join(err, w.engine.Rename(ctx, m))
	}
	return err
}

// openDoors leads visitors to the application, now that it is healthy.
func (w *walk) openDoors(ctx context.Context) error {
	if w.visitors == nil || w.front == nil {
		return nil
	}
	w.visitors.arrived(w.project) // it was read anew since the step of the front
	w.visitors.look(ctx, w.project)
	w.visitors.tell(ctx)
	return w.front.Settle(ctx)
}
