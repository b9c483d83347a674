package phases

import (
	"context"
	"fmt"

	"appliance/internal/api"
	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/internal/systemd"
)

// Events is what happened.
func (a *Appliance) Events() *api.Bus { return a.bus }

// Clear takes the failed flag down, so that the appliance tries again.
func (a *Appliance) Clear() error {
	if state := a.machine.Record().State; state != Failed {
		return fmt.Errorf("cannot clear: %w: the appliance has not failed, its state is %s", api.ErrConflict, state)
	}
	a.ask(Clear)
	return nil
}

// Reload has the appliance walk again from the environment on.
func (a *Appliance) Reload() error {
	if a.machine.Record().State == Failed {
		return remedy.With(fmt.Errorf("cannot reload: %w: the appliance has failed", api.ErrConflict), "mend the cause and run `appliance clear`")
	}
	a.ask(Reload)
	return nil
}

// ask leaves a request for the state that waits for one; a second one of its kind is the same request.
func (a *Appliance) ask(event machine.Event) {
	select {
	case a.wake <- event:
	default:
	}
}

// Reexec ends Run so that the process can be replaced in place.
func (a *Appliance) Reexec() error {
	a.end(ErrReexec)
	return nil
}

// Stop stops the stack and ends. Below a service manager that is its business: it would start us again.
func (a *Appliance) Stop() error {
	if systemd.Managed() {
		return systemd.StopOwnUnit(context.Background())
	}
	a.end(ErrStop)
	return nil
}

// Plan tells what a start now would change. It changes nothing.
func (a *Appliance) Plan(ctx context.Context) (api.Plan, error) { return Plan(ctx, a.cfg) }
