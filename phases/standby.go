package phases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"appliance/internal/compose"
	"appliance/internal/machine"
)

// standby rests: the environment says that this machine is not the one to serve. What runs is stopped, and stays so
// whatever an engine that comes back starts again, so that there are never two.
func (a *Appliance) standby(ctx context.Context) (machine.Event, error) {
	if err := errors.Join(a.intend(false), a.visitors.rests()); err != nil {
		a.warn(err.Error()) // it is stopped all the same
	}
	if err := a.walk.keepEnv(); err != nil {
		a.warn(fmt.Sprintf("a start without the network would not find its environment: %v", err))
	}
	for {
		pause := calmPause
		if err := a.StopStack(ctx); err != nil && ctx.Err() == nil {
			pause = worriedPause
			a.troubled(fmt.Sprintf("the application may still run: %v", err))
		} else {
			a.troubled("")
		}
		a.rest(a.Status().Summary)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case event := <-a.wake:
			if event == Reload {
				return Start, nil
			}
		case <-time.After(pause):
		}
	}
}

// troubled notes what is wrong with a state that stays, and says so once.
func (a *Appliance) troubled(text string) {
	a.mu.Lock()
	known := a.trouble
	a.trouble = text
	a.mu.Unlock()
	if text != known && text != "" {
		a.warn(text)
	}
}

// StopStack stops whatever runs of the application, each container within its own limit.
func (a *Appliance) StopStack(ctx context.Context) error {
	names, set, limit, err := a.walk.stacks(ctx, a.lastGood())
	if err != nil {
		return err
	}
	for _, name := range names {
		running, runErr := a.cfg.Engine.Running(ctx, name)
		if runErr != nil {
			return errors.Join(err, runErr)
		}
		if running == 0 {
			continue
		}
		// Containers are stopped one after the other where they depend on each other.
		bounded, cancel := context.WithTimeout(ctx, time.Duration(running)*limit+defaultLimit)
		a.cfg.Manager.Extend(limit + defaultLimit)
		err = errors.Join(err, a.cfg.Engine.Stop(bounded, name, set, func(p compose.Progress) {
			a.cfg.Manager.Extend(limit + defaultLimit)
			a.progressed(p)
		}))
		cancel()
	}
	return err
}

// RemoveStack stops and removes the containers and networks of the application, without a supervisor.
func RemoveStack(ctx context.Context, cfg Config) error {
	store := storedMemory{machine.NewStore(cfg.System, StateDir, cfg.Log)}
	w := &walk{memory: store, sys: cfg.System, engine: cfg.Engine, log: cfg.Log}
	names, set, _, err := w.stacks(ctx, readGood(store))
	for _, name := range names {
		err = errors.Join(err, cfg.Engine.Down(ctx, name, set, func(p compose.Progress) { cfg.Log.Info(p.Object + " " + p.Text) }))
	}
	return err
}

// stacks names the projects that came from the application's directory: the one declared, the last good one, and what
// the engine knows of from under another name. set is how long the vendor lets each container take to stop, 0 where that
// is the container's own matter; limit is how long one may take at the most.
func (w *walk) stacks(ctx context.Context, good generation) (names []string, set, limit time.Duration, err error) {
	limit = compose.DefaultStopLimit
	known := map[string]bool{}
	if good.Project != "" {
		known[good.Project] = true
	}
	if project, err := w.loadProject(ctx); err == nil {
		known[project.Name()], set, limit = true, time.Duration(project.StopTimeout), project.StopLimit()
	}
	if err := w.engine.Ping(ctx); err != nil {
		if len(known) == 0 {
			return nil, set, limit, nil // nothing was ever started
		}
		return nil, set, limit, fmt.Errorf("cannot tell what runs: %w", err)
	}
	found, err := w.engine.ProjectsAt(ctx, w.sys.Path(AppDir))
	for _, name := range found {
		known[name] = true
	}
	return slices.Sorted(maps.Keys(known)), set, limit, err
}
