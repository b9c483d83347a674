package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/client"
)

// Reload has the running containers of a service read again what they read when they start.
func (e *Engine) Reload(ctx context.Context, p *Project, r Reload) error {
	found, err := e.containers(ctx, p.Name())
	for _, c := range found[r.Service] {
		if c.State != "running" {
			continue
		}
		how := cmp.Or(r.Signal, "restart")
		if r.Signal != "" {
			_, signalErr := e.client.ContainerKill(ctx, c.ID, client.ContainerKillOptions{Signal: r.Signal})
			err = errors.Join(err, wrapReload(how, c.Name, signalErr))
			continue
		}
		_, restartErr := e.client.ContainerRestart(ctx, c.ID, client.ContainerRestartOptions{})
		err = errors.Join(err, wrapReload(how, c.Name, restartErr))
	}
	return err
}

func wrapReload(how, name string, err error) error {
	if err == nil {
		return nil
	}
	return lost(fmt.Errorf("cannot reload container %s (%s): %w", name, how, err))
}
