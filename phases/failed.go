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
	for !down {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case event := <-a.wake:
			if event != Clear {
				continue
			}
			if err := a.cfg.System.Remove(FailedFlag); err != nil {
				a.warn(err.Error()) // the order stands all the same
			}
			return Clear, nil
		case <-removals(watch):
		case <-time.After(10 * time.Second):
		}
		down = raised && !a.cfg.System.Exists(FailedFlag)
	}
	a.cfg.Log.Info("the failed flag was removed: trying again")
	return Clear, nil
}

// restore starts what the last process stopped, when this one began as failed: a reboot is no reason for an application
// that still works to stay away. The returned channel is closed when it is over.
func (a *Appliance) restore(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	good := a.lastGood()
	if a.walked || good.Project == "" {
		close(over)
		return over
	}
	go func() {
		defer close(over)
		err := patiently(ctx, a.walk.engineWait, a.cfg.Engine.Ping)
		if err == nil { // told apart from the status line, which stays the failure
			err = a.cfg.Engine.Start(ctx, good.Project, func(p compose.Progress) { a.tell(p) })
		}
		if err != nil && ctx.Err() == nil {
			a.warn(fmt.Sprintf("the application cannot be left serving: %v", err))
		}
	}()
	return over
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
	if _, err := a.machine.Record().Get(flagSubject, &raised); err != nil {
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
	var encode error
	err = a.machine.Update(func(rec *machine.Record) { encode = rec.Put(flagSubject, want) })
	return false, errors.Join(err, encode)
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
	return api.Failure{Version: api.Version, Phase: string(f.State), Step: f.Step, Cause: f.Cause,
		First: f.First, Last: f.Last, Tries: f.Tries, ToDo: todo}
}
