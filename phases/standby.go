package phases

import (
	"context"
	"fmt"

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
	name, limit := a.stackName(ctx)
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
