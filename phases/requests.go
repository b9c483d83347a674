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

// ask leaves a request for the state that waits for one. The latest one counts: one of before may have been for a state
// that has been left meanwhile.
func (a *Appliance) ask(event machine.Event) {
	for {
		select {
		case a.wake <- event:
			return
		default:
		}
		a.answered()
	}
}

// answered takes the request that waits away, if there is one.
func (a *Appliance) answered() {
	select {
	case <-a.wake:
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
