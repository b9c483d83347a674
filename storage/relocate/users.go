package relocate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

const (
	stopLimit  = 10 * time.Minute // an engine gives each container its time
	startLimit = 10 * time.Minute
	endLimit   = 10 * time.Second // of processes, once their units are down
)

// stop stops who uses From. Who is to be started again is on record before.
func (t *moving) stop(ctx context.Context) error {
	if t.stopped {
		return t.save(t.journal)
	}
	if t.Config.Units != nil && len(t.Move.Units) > 0 {
		active, err := t.Config.Units.Active(ctx, t.Move.Units)
		if err != nil {
			return err
		}
		t.journal.Units = slices.Compact(slices.Sorted(slices.Values(append(active, t.journal.Units...))))
	}
	if err := t.save(t.journal); err != nil {
		return err
	}
	t.stopped, t.started = true, false // from here on some may be
	if t.Config.Units == nil || len(t.journal.Units) == 0 {
		return nil
	}
	names := strings.Join(t.journal.Units, " ")
	if err := t.System.Observe("unit", "stop "+names); err != nil {
		return err
	}
	t.Log.Info("stopping who uses "+t.From, "units", names)
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return t.Config.Units.Stop(ctx, t.journal.Units)
}

// startAgain starts those that were active before, also those that another process has stopped and not started again. The end
// of ctx does not hinder it.
func (t *moving) startAgain(ctx context.Context) error {
	if t.started || t.Config.Units == nil || len(t.journal.Units) == 0 {
		return nil
	}
	names := strings.Join(t.journal.Units, " ")
	if t.between || !t.System.Exists(t.From) {
		return fmt.Errorf("%s: not started, as what is at %s may not last", names, t.From)
	}
	t.started = true
	if err := t.System.Observe("unit", "start "+names); err != nil {
		return err
	}
	t.Log.Info("starting who uses "+t.From, "units", names)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if err := t.Config.Units.Start(ctx, t.journal.Units); err != nil {
		return remedy.With(err, fmt.Sprintf("see why (`systemctl status %s`)", names))
	}
	return nil
}

// unused fails when something is mounted below a place, or somebody has something of it in use. It waits a little for processes that
// are about to end.
func (t *moving) unused(ctx context.Context, at string) error {
	mounts, err := t.System.MountsBelow(at)
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return remedy.With(fmt.Errorf("something is mounted at %s", few(mounts)), "stop who has mounted it, and unmount it")
	}
	end := time.After(t.endLimit)
	tick := time.NewTicker(t.endLimit / 100)
	defer tick.Stop()
	for {
		users, err := t.System.UsersBelow(at)
		if t.journal.Action == Rename { // a mount of it, of a container, goes along
			users = slices.DeleteFunc(users, func(user system.Process) bool { return user.Mount })
		}
		if err != nil || len(users) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end:
			return stillThere(users)
		case <-tick.C:
		}
	}
}

func stillThere(users []system.Process) error {
	var names []string
	for _, user := range users {
		names = append(names, user.String())
	}
	return remedy.With(errors.New("somebody still works there: "+few(names)+" in use"), "stop them; of a container, `docker stop` it")
}

// few is a list that fits a line.
func few(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
