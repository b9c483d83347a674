package phases

import (
	"context"
	"fmt"
	"time"

	"appliance/internal/api"
	"appliance/internal/machine"
	"appliance/internal/remedy"
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

// Reexec ends Run so that the process can be replaced in place. What cannot take our place does not.
func (a *Appliance) Reexec() error {
	if a.cfg.Replaceable != nil {
		if err := a.cfg.Replaceable(a.ended); err != nil {
			return err
		}
	}
	a.end(ErrReexec)
	return nil
}

// leaveLimit is how long a web server of the host may take to hear of a stop.
const leaveLimit = 10 * time.Second

// Leave tells visitors that the application is being stopped. It is for when Run has ended.
func (a *Appliance) Leave(ctx context.Context) {
	a.visitors.change(func() { a.visitors.leaving, a.visitors.leftAt = true, a.cfg.System.Now() })
	if err := a.cfg.System.Remove(servingMark); err != nil { // the next start has to prove itself
		a.warn(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	a.visitors.tell(ctx)
}

// managerLimit is how long the service manager may take to answer.
const managerLimit = 5 * time.Second

// Stop stops the stack and ends. Below a service manager that is its business: it would start us again.
func (a *Appliance) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), managerLimit)
	defer cancel()
	managed, err := a.cfg.Manager.StopUnit(ctx)
	if !managed {
		a.end(ErrStop)
	}
	return err
}

// Plan tells what a start now would change. It changes nothing. One plan is made at a time: each loads the project anew.
func (a *Appliance) Plan(ctx context.Context) (api.Plan, error) {
	a.planning.Lock()
	defer a.planning.Unlock()
	return Plan(ctx, a.cfg)
}

// ClearRecord clears a failure while no supervisor runs, and says whether there was one: the next supervisor tries again.
func ClearRecord(cfg Config) (failed bool, err error) {
	store := machine.NewStore(cfg.System, StateDir, cfg.Log)
	rec, err := store.Load()
	if err != nil {
		return false, err
	}
	if rec.State == Failed {
		rec.State, rec.On, rec.Since = Boot, Clear, cfg.System.Now()
		if err := store.Save(&rec); err != nil {
			return true, err
		}
		failed = true
	}
	return failed, cfg.System.Remove(FailedFlag)
}
