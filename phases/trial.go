package phases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"appliance/env"
	"appliance/env/source"
	"appliance/internal/api"
	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// trialPath keeps the environment that is being tried.
var trialPath = filepath.Join(StateDir, "trial.yml")

// trialSubject is the record's document on the environment that is being tried, or was tried last.
const trialSubject = "trial"

// trial is an environment in force for a time. It is over when its time is, when it fails, and with the boot of the host in
// which it began: no clock needs to be right for that.
type trial struct {
	SHA256  string        `json:"sha256"`
	Boot    string        `json:"boot"`
	Ends    time.Duration `json:"ends_uptime_ns"` // by the clock that runs since the boot
	Until   time.Time     `json:"until"`          // the same for people
	Outcome string        `json:"outcome,omitempty"`
}

// left is how long the trial still runs; nothing where it is over.
func (t trial) left(sys *system.System) time.Duration {
	if t.Outcome != "" || t.SHA256 == "" {
		return 0
	}
	if boot, err := sys.BootID(); err != nil || boot != t.Boot {
		return 0
	}
	return max(t.Ends-sys.Uptime(), 0)
}

func recallTrial(m memory) (t trial, err error) {
	_, err = m.recall(trialSubject, &t)
	return t, err
}

// tried answers the document that is being tried, nil where none is.
func (w *walk) tried() ([]byte, error) {
	if w.toTry != nil {
		return w.toTry, nil
	}
	t, err := recallTrial(w.memory)
	if err != nil || t.left(w.sys) == 0 {
		return nil, err
	}
	data, err := w.sys.ReadFile(trialPath)
	if err != nil || digest(data) != t.SHA256 {
		w.log.Warn("the environment that is being tried is not there whole: going back", "err", err)
		return nil, nil
	}
	return data, nil
}

// errTrialOver ends the steps of a walk whose environment is being tried.
var errTrialOver = errors.New("the time to try this environment is over")

// withinTrial bounds what is done for an environment that is being tried by the time left for it.
func (w *walk) withinTrial(ctx context.Context) (context.Context, context.CancelFunc) {
	t, err := recallTrial(w.memory)
	if !w.onTrial || err != nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.left(w.sys), errTrialOver)
}

// maxTrial is the longest that an environment can be tried: longer is not trying.
const maxTrial = 24 * time.Hour

// Try puts an environment in force for a time. It answers what that changes. Unless Confirm is called meanwhile, the
// appliance goes back to the environment of its sources: when the time is over, when it fails, and at the next boot.
func (a *Appliance) Try(ctx context.Context, data []byte, during time.Duration) (api.Trial, error) {
	if during <= 0 || during > maxTrial {
		return api.Trial{}, fmt.Errorf("cannot try for %s: expected up to %s", during, maxTrial)
	}
	a.trying.Lock()
	defer a.trying.Unlock()
	again, err := a.mayTry()
	if err != nil {
		return api.Trial{}, err
	}
	changes, err := a.planTrial(ctx, data)
	if err != nil {
		return api.Trial{}, err
	}
	boot, err := a.cfg.System.BootID()
	if err != nil {
		return api.Trial{}, err
	}
	t := trial{SHA256: digest(data), Boot: boot, Ends: a.cfg.System.Uptime() + during, Until: a.cfg.System.Now().Add(during)}
	if err := a.cfg.System.WriteFile(trialPath, data, 0o600); err != nil {
		return api.Trial{}, err
	}
	if err := a.remember(trialSubject, t); err != nil {
		return api.Trial{}, err
	}
	a.cfg.Log.Info("trying an environment", "until", t.Until, "sha256", t.SHA256)
	a.armTrial(t)
	a.ask(again)
	return api.Trial{Version: api.Version, Until: t.Until, Changes: changes}, nil
}

// mayTry says how to walk again from where the appliance is, if it is anywhere.
func (a *Appliance) mayTry() (machine.Event, error) {
	t, err := recallTrial(a)
	if err != nil {
		return "", err
	}
	if t.left(a.cfg.System) > 0 {
		return "", remedy.With(fmt.Errorf("cannot try: %w: another environment is being tried", api.ErrConflict), "run `appliance env confirm` or `appliance env revert` first")
	}
	if !a.Status().Resting {
		return "", remedy.With(fmt.Errorf("cannot try: %w: the appliance is on its way", api.ErrConflict), "wait until it has come to rest (`appliance status --wait`)")
	}
	return a.onward(), nil
}

// onward is the order that the present state obeys by walking again.
func (a *Appliance) onward() machine.Event {
	if a.machine.Record().State == Failed {
		return Clear
	}
	return Reload
}

func (a *Appliance) planTrial(ctx context.Context, data []byte) ([]api.Change, error) {
	a.planning.Lock()
	defer a.planning.Unlock()
	p, err := planFor(ctx, a.cfg, data)
	return p.Changes, err
}

// armTrial goes back when the time of a trial is over.
func (a *Appliance) armTrial(t trial) {
	a.trialTimer = time.AfterFunc(t.left(a.cfg.System), func() {
		a.trying.Lock()
		defer a.trying.Unlock()
		if now, err := recallTrial(a); err != nil || now.Ends != t.Ends || now.Outcome != "" {
			return // confirmed or reverted meanwhile
		}
		if err := a.endTrial("nobody confirmed it in time"); err != nil {
			a.warn(err.Error())
		}
		a.ask(a.onward())
	})
}

func (a *Appliance) stopTimer() {
	if a.trialTimer != nil {
		a.trialTimer.Stop()
	}
}

// disarmTrial leaves the trial to whoever reads its record next.
func (a *Appliance) disarmTrial() {
	a.trying.Lock()
	defer a.trying.Unlock()
	a.stopTimer()
}

// endTrial has the next walk ask the sources again. The caller holds a.trying.
func (a *Appliance) endTrial(outcome string) error {
	t, err := recallTrial(a)
	if err != nil || t.SHA256 == "" || t.Outcome != "" {
		return err
	}
	a.stopTimer()
	a.warn("the trial of an environment is over: " + outcome)
	t.Outcome = outcome
	if err := a.remember(trialSubject, t); err != nil {
		return err
	}
	return a.cfg.System.Remove(trialPath)
}

// resumeTrial takes up the trial that the process before has begun, or ends it where the host was booted since.
func (a *Appliance) resumeTrial() {
	a.trying.Lock()
	defer a.trying.Unlock()
	if _, err := a.cfg.System.BootID(); err != nil { // marked before anything relies on which boot this is
		a.warn(err.Error())
	}
	t, err := recallTrial(a)
	if err == nil && t.left(a.cfg.System) > 0 {
		a.armTrial(t)
		return
	}
	if err == nil {
		err = a.endTrial("the host was booted, or its time passed while nobody watched")
	}
	if err != nil {
		a.warn(err.Error())
	}
}

// failedTrial goes back when the environment that failed was only being tried.
func (a *Appliance) failedTrial(cause string) bool {
	if !a.walk.onTrial {
		return false
	}
	a.trying.Lock()
	defer a.trying.Unlock()
	if err := a.endTrial("it failed: " + firstLine(cause)); err != nil {
		a.warn(err.Error())
	}
	return true
}

// Confirm makes the environment that is being tried the one of this host.
func (a *Appliance) Confirm() error {
	a.trying.Lock()
	defer a.trying.Unlock()
	t, err := recallTrial(a)
	if err != nil {
		return err
	}
	status := a.Status()
	if t.left(a.cfg.System) == 0 {
		return fmt.Errorf("cannot confirm: %w: no environment is being tried", api.ErrConflict)
	}
	if !status.Resting || !status.Healthy && status.State != string(Standby) {
		return remedy.With(fmt.Errorf("cannot confirm: %w: the appliance is not healthy yet", api.ErrConflict), "wait until it is (`appliance status --wait`)")
	}
	if err := a.keepTrial(); err != nil {
		return err
	}
	if err := a.endTrial("confirmed"); err != nil {
		return err
	}
	a.ask(Reload)
	return nil
}

// keepTrial writes what was tried to the file that this host's environment is read from first, and keeps what was there.
func (a *Appliance) keepTrial() error {
	sys := a.cfg.System
	data, err := sys.ReadFile(trialPath)
	if err != nil {
		return fmt.Errorf("cannot read the environment that is being tried: %w", err)
	}
	home := a.homeOfEnv()
	old, err := source.File(sys, home, env.MaxSize)
	if err == nil {
		err = sys.WriteFile(before(home), old.Data, 0o600)
	} else if source.IsAbsent(err) {
		err = nil
	}
	if err != nil {
		return err
	}
	return sys.WriteFile(home, data, 0o600)
}

// homeOfEnv is the file that this host's environment is read from first.
func (a *Appliance) homeOfEnv() string {
	if path := os.Getenv("ENV_YML"); path != "" && a.cfg.System.Exists(path) {
		return path
	}
	return EnvPath
}

// before is where the file of an environment goes when another one takes its place.
func before(home string) string { return home + ".before" }

// Revert goes back from the environment that is being tried.
func (a *Appliance) Revert() error {
	a.trying.Lock()
	defer a.trying.Unlock()
	t, err := recallTrial(a)
	if err != nil {
		return err
	}
	if t.left(a.cfg.System) == 0 {
		return fmt.Errorf("cannot revert: %w: no environment is being tried", api.ErrConflict)
	}
	if err := a.endTrial("reverted by the operator"); err != nil {
		return err
	}
	a.ask(a.onward())
	return nil
}

// trialOf tells of the environment that is being tried, or was tried last.
func trialOf(rec machine.Record) *api.Trial {
	var t trial
	if _, err := rec.Get(trialSubject, &t); err != nil || t.SHA256 == "" {
		return nil
	}
	return &api.Trial{Version: api.Version, Until: t.Until, Outcome: t.Outcome}
}
