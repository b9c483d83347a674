package phases

import (
	"context"
	"fmt"
	"time"

	"appliance/internal/compose"
	"appliance/internal/machine"
)

// standby rests: the environment says that this machine is not the one to serve. What ran is stopped, so that there are
// never two.
func (a *Appliance) standby(ctx context.Context) (machine.Event, error) {
	if err := a.StopStack(ctx); err != nil {
		return "", fmt.Errorf("cannot go to standby: %w", err)
	}
	a.rest(a.Status().Summary)
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case event := <-a.wake:
			if event == Reload {
				return Start, nil
			}
		}
	}
}

// StopStack stops the containers of the application that last was healthy or is being started, within its stop limit.
func (a *Appliance) StopStack(ctx context.Context) error {
	name, limit := a.walk.stack(ctx, a.lastGood())
	if name == "" {
		return nil // nothing was ever started
	}
	if err := a.cfg.Engine.Ping(ctx); err != nil {
		a.cfg.Log.Info("no engine answers, so nothing is running", "project", name)
		return nil
	}
	a.cfg.Manager.Extend(limit + defaultLimit)
	return a.cfg.Engine.Stop(ctx, name, limit, a.progressed)
}

// RemoveStack stops and removes the containers and networks of the application, without a supervisor.
func RemoveStack(ctx context.Context, cfg Config) error {
	w := &walk{sys: cfg.System, engine: cfg.Engine, log: cfg.Log}
	name, limit := w.stack(ctx, readGood(machine.NewStore(cfg.System, StateDir, cfg.Log)))
	if name == "" {
		return nil // nothing was ever started
	}
	if err := cfg.Engine.Ping(ctx); err != nil {
		return err
	}
	return cfg.Engine.Down(ctx, name, limit, func(p compose.Progress) { cfg.Log.Info(p.Object + " " + p.Text) })
}

// stack names the project that is there to be stopped, and how long that may take: the one declared, or if that cannot
// be read any more the last good one.
func (w *walk) stack(ctx context.Context, good generation) (string, time.Duration) {
	if project, err := w.loadProject(ctx); err == nil {
		return project.Name(), project.StopLimit()
	}
	return good.Project, compose.DefaultStopLimit
}
