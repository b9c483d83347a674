package phases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/machine"
	"appliance/internal/system"
)

// FailedFlag says that the appliance has failed and why. Removing it is the order to try again.
const FailedFlag = "/run/appliance-failed"

// flagSubject is the record's document on the flag that was raised last.
const flagSubject = "flag"

type raisedFlag struct {
	Boot string    `json:"boot"`
	Last time.Time `json:"failure"` // of which failure, by its time
}

// failed keeps the flag raised until somebody takes it down. What still runs goes on running.
func (a *Appliance) failed(ctx context.Context) (machine.Event, error) {
	failure := failureOf(a.machine.Record())
	if a.failedTrial(failure.Cause) {
		return Clear, nil
	}
	watch, err := watchDir(a.cfg.System, filepath.Dir(FailedFlag)) // before the flag is there: no removal is missed
	if err != nil {
		a.warn(fmt.Sprintf("looking for the removal of %s now and then: %v", FailedFlag, err))
	} else {
		defer watch.Close()
	}
	down, err := a.raiseFlag(failure)
	if err != nil {
		a.warn(err.Error())
	}
	raised := err == nil || a.cfg.System.Exists(FailedFlag) // there may have been no room for it; then only Clear is an order
	a.cfg.Log.Error("the appliance has failed", "phase", failure.Phase, "step", failure.Step, "cause", failure.Cause, "todo", failure.ToDo)
	a.rest(a.Status().Summary)
	ctx, leave := context.WithCancel(ctx)
	restored := a.restore(ctx)
	defer func() { leave(); <-restored }() // the next try must not meet it half-way
	again := a.nextTry(failure)
	for !down {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-again:
			a.warn("trying again by itself: the cause may have passed")
			return Clear, a.lowerFlag()
		case event := <-a.wake:
			if event != Clear {
				continue
			}
			return Clear, a.lowerFlag()
		case <-removals(watch):
		case <-time.After(10 * time.Second):
		}
		down = raised && !a.cfg.System.Exists(FailedFlag)
	}
	a.cfg.Log.Info("the failed flag was removed: trying again")
	return Clear, nil
}

// lowerFlag takes the flag down. The order to try again stands even where that cannot be done.
func (a *Appliance) lowerFlag() error {
	if err := a.cfg.System.Remove(FailedFlag); err != nil {
		a.warn(err.Error())
	}
	return nil
}

// nextTry tells when to try again without a person: for a cause that may pass by itself, after a minute, and then after
// twice as long each time, up to an hour. Nil for any other: a person has to mend it.
func (a *Appliance) nextTry(failure api.Failure) <-chan time.Time {
	if failure.NextTry == nil {
		return nil
	}
	return time.After(failure.NextTry.Sub(a.cfg.System.Now()))
}

// pauseBefore is how long to wait after so many tries of something that may pass by itself.
func pauseBefore(tries int) time.Duration {
	return min(time.Minute<<min(tries-1, 6), time.Hour)
}

// restore starts what the last process stopped, when this one has not got as far as bringing anything up itself: neither
// a reboot nor a bad environment is a reason for an application that still works to stay away. A host that was put on
// standby stays so, and on a full disk whoever writes is stopped, by whomever it was started: the engine does so at a boot, and
// when it is started again. The returned channel is closed when it is over.
func (a *Appliance) restore(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	good := a.lastGood()
	idle := a.touched || good.Project == "" || !a.intended()
	err := a.walk.dataStands(ctx)
	if err != nil && !idle {
		a.warn(err.Error())
	}
	full := errors.Is(err, errFull)
	go func() {
		defer close(over)
		switch {
		case !full && (idle || err != nil):
		case patiently(ctx, a.walk.engineWait, a.cfg.Engine.Ping) != nil:
			if ctx.Err() == nil { // nobody waits any more otherwise
				a.warn("the application cannot be looked after: the engine does not answer")
			}
		case full:
			a.stopWriters(ctx)
		default:
			a.bringBack(ctx, good)
		}
	}()
	return over
}

// bringBack starts what ran last as it was, told apart from the status line, which stays the failure.
func (a *Appliance) bringBack(ctx context.Context, good generation) {
	err := a.cfg.Engine.Start(ctx, good.Project, func(p compose.Progress) { a.tell(p) })
	if err == nil && len(good.Routes) > 0 {
		err = a.leadTo(ctx, good)
	}
	if err == nil {
		err = a.visitors.proved() // it had, and a process in our place goes on with it
	}
	if err != nil && ctx.Err() == nil {
		a.warn(fmt.Sprintf("the application cannot be left serving: %v", err))
	}
}

// leadTo has visitors led to what ran last: the project at hand may be another, or none that could be read.
func (a *Appliance) leadTo(ctx context.Context, good generation) error {
	project, err := a.cfg.Engine.Recall(ctx, good.Project, good.Routes)
	if err == nil {
		a.visitors.arrived(project)
	}
	return err
}

// raiseFlag writes the flag, unless it was raised for this very failure in this boot already: if it is not there then,
// somebody took it down while nobody looked.
func (a *Appliance) raiseFlag(failure api.Failure) (down bool, err error) {
	sys := a.cfg.System
	boot, err := sys.BootID()
	if err != nil {
		return false, err
	}
	raised, want := raisedFlag{}, raisedFlag{boot, failure.Last}
	if _, err := a.recall(flagSubject, &raised); err != nil {
		a.cfg.Log.Warn("cannot read which flag was raised", "err", err)
	}
	if raised.Boot == want.Boot && raised.Last.Equal(want.Last) {
		return !sys.Exists(FailedFlag), nil
	}
	data, err := json.MarshalIndent(failure, "", "  ")
	if err != nil {
		return false, fmt.Errorf("cannot encode the failed flag: %w", err)
	}
	if err := sys.WriteFile(FailedFlag, append(data, '\n'), 0o644); err != nil {
		return false, err
	}
	return false, a.remember(flagSubject, want)
}

func watchDir(sys *system.System, dir string) (*fsnotify.Watcher, error) {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watch.Add(sys.Path(dir)); err != nil {
		watch.Close()
		return nil, err
	}
	return watch, nil
}

func removals(watch *fsnotify.Watcher) <-chan fsnotify.Event {
	if watch == nil {
		return nil
	}
	return watch.Events
}

// failureOf puts the record's failure in the words of the API. A failure without a remedy of its own gets the one that
// always helps.
func failureOf(rec machine.Record) api.Failure {
	f := rec.Failure
	if f == nil {
		f = &machine.Failure{State: rec.State, Cause: "unknown: the record of the failure was lost", First: rec.Since, Last: rec.Since, Tries: 1}
	}
	todo := "run `appliance clear`"
	if f.Remedy != "" {
		todo = f.Remedy + "; then run `appliance clear`"
	}
	failure := api.Failure{Version: api.Version, Phase: string(f.State), Step: f.Step, Cause: f.Cause,
		First: f.First, Last: f.Last, Tries: f.Tries, ToDo: todo}
	if f.MayPass {
		next := f.Last.Add(pauseBefore(f.Tries))
		failure.NextTry = &next
	}
	return failure
}
