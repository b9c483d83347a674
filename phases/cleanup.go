package phases

import (
	"context"
	"errors"
	"fmt"

	"appliance/internal/compose"
)

// cleanup takes away what a good start left over. It never touches volumes, nor what the last good generation needs.
func cleanup(w *walk) []Step {
	return []Step{
		{Name: "leftovers", Check: w.leftoversWaiting, Apply: w.removeLeftovers},
		movedStep(w),
		{Name: "old keys", Check: w.oldKeys, Apply: w.forgetKeys},
	}
}

func (w *walk) leftovers(ctx context.Context) ([]compose.Leftover, error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return nil, err
	}
	return w.engine.Leftovers(ctx, project.Name(), w.kept())
}

func (w *walk) leftoversWaiting(ctx context.Context) (string, error) {
	left, err := w.leftovers(ctx)
	if len(left) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d finished containers and unnamed images", len(left)), nil
}

// removeLeftovers goes on past what cannot be removed: rubbish that stays is no reason to fail a healthy appliance.
func (w *walk) removeLeftovers(ctx context.Context) error {
	left, err := w.leftovers(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range left {
		failed = append(failed, w.engine.Remove(ctx, l))
	}
	if err := errors.Join(failed...); err != nil {
		w.log.Warn("some leftovers stay", "err", err)
	}
	return nil
}
