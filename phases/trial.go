package phases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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
	Begun   time.Duration `json:"begun_uptime_ns"` // by the clock that runs since the boot
	Ends    time.Duration `json:"ends_uptime_ns"`
	Since   time.Time     `json:"since"` // the same for people
	Until   time.Time     `json:"until"`
	Outcome string        `json:"outcome,omitempty"` // "": it is under way
	// Back says that a walk back is owed, out of a failure too that what was tried has led to.
	Back bool `json:"back,omitempty"`
}

func (t trial) open() bool { return t.SHA256 != "" && t.Outcome == "" }

// left is how long the trial still runs; nothing where it is over.
func (t trial) left(sys *system.System) time.Duration {
	if !t.open() {
		return 0
	}
	now := sys.Uptime()
	if boot, err := sys.BootID(); err != nil || boot != t.Boot || now < t.Begun { // the mark of the boot may have lasted longer than it
		return 0
	}
	return max(t.Ends-now, 0)
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
	up, now := a.cfg.System.Uptime(), a.cfg.System.Now()
	t := trial{SHA256: digest(data), Boot: boot, Begun: up, Ends: up + during, Since: now, Until: now.Add(during)}
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
		if now, err := recallTrial(a); err != nil || now.Ends != t.Ends || !now.open() {
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

const confirmed = "confirmed"

// endTrial has the next walk ask the sources again. The caller holds a.trying.
func (a *Appliance) endTrial(outcome string) error {
	t, err := recallTrial(a)
	if err != nil || !t.open() {
		return err
	}
	a.stopTimer()
	a.warn("the trial of an environment is over: " + outcome)
	t.Outcome, t.Back = outcome, outcome != confirmed
	if err := a.remember(trialSubject, t); err != nil {
		return err
	}
	return a.cfg.System.Remove(trialPath)
}

// failedOnTrial says whether the failure on record came of an environment that was being tried, and not before it.
func (a *Appliance) failedOnTrial(t trial) bool {
	rec := a.machine.Record()
	return rec.State == Failed && rec.Failure != nil && !rec.Failure.Last.Before(t.Since)
}

// resumeTrial takes up the trial that the process before has begun, or ends it where the host was booted since, or where what
// was tried has failed.
func (a *Appliance) resumeTrial() {
	a.trying.Lock()
	defer a.trying.Unlock()
	if _, err := a.cfg.System.BootID(); err != nil { // marked before anything relies on which boot this is
		a.warn(err.Error())
	}
	t, err := recallTrial(a)
	switch {
	case err != nil:
	case t.left(a.cfg.System) > 0 && !a.failedOnTrial(t):
		a.armTrial(t)
		return
	case t.left(a.cfg.System) > 0:
		err = a.endTrial("it failed")
	case t.open():
		err = a.endTrial("the host was booted, or its time passed while nobody watched")
	default: // a process that was cut off may not have come to this
		err = a.cfg.System.Remove(trialPath)
	}
	if err != nil {
		a.warn(err.Error())
	}
}

// failedTrial says whether to walk again at once: the environment that has failed was only being tried.
func (a *Appliance) failedTrial(cause string) bool {
	a.trying.Lock()
	defer a.trying.Unlock()
	if a.walk.onTrial {
		if err := a.endTrial("it failed: " + firstLine(cause)); err != nil {
			a.warn(err.Error())
		}
	}
	t, err := recallTrial(a)
	return err == nil && t.Back
}

// walkBack notes that the walk back from what was tried has begun: if it fails, that is a failure of its own.
func (a *Appliance) walkBack() {
	a.trying.Lock()
	defer a.trying.Unlock()
	t, err := recallTrial(a)
	if err == nil && t.Back {
		t.Back = false
		err = a.remember(trialSubject, t)
	}
	if err != nil {
		a.warn(err.Error())
	}
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
	if in, err := readMadeOf(a.cfg.System); err != nil || digest([]byte(in.Layers[0].Data)) != t.SHA256 ||
		!status.Resting || !status.Healthy && status.State != string(Standby) {
		return remedy.With(fmt.Errorf("cannot confirm: %w: the appliance is not healthy yet", api.ErrConflict), "wait until it is (`appliance status --wait`)")
	}
	if err := a.keepTrial(t); err != nil {
		return err
	}
	if err := a.endTrial(confirmed); err != nil {
		return err
	}
	a.ask(Reload)
	return nil
}

// keepTrial writes what was tried to the file that this host's environment is read from first, and keeps what was there.
func (a *Appliance) keepTrial(t trial) error {
	sys := a.cfg.System
	data, err := sys.ReadFile(trialPath)
	if err != nil {
		return fmt.Errorf("cannot read the environment that is being tried: %w", err)
	}
	if digest(data) != t.SHA256 {
		return remedy.With(errors.New("cannot confirm: the environment that is being tried has been changed on the disk"), "run `appliance env revert` and try again")
	}
	home := a.homeOfEnv()
	old, err := readOld(sys, home)
	switch {
	case err != nil:
		return err
	case bytes.Equal(old, data): // a confirmation that was cut off came as far as this: what is kept already is what was there
		return nil
	case old != nil:
		if err := sys.WriteFile(before(home), old, 0o600); err != nil {
			return err
		}
	}
	return sys.WriteFile(home, data, 0o600)
}

// maxOld is the largest file that is kept when another environment takes its place, in bytes. It may be packed or broken.
const maxOld = 64 << 20

// readOld reads the file of an environment as it is, nil where there is none.
func readOld(sys *system.System, home string) ([]byte, error) {
	info, err := sys.Stat(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxOld) {
		err = errors.New("it is no file of a size to be kept")
	}
	var old []byte
	if err == nil {
		old, err = sys.ReadFile(home)
	}
	if err != nil {
		return nil, remedy.With(fmt.Errorf("cannot confirm: cannot keep %s: %w", home, err), "move it away")
	}
	return old, nil
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
