package phases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/compose"
	"appliance/internal/remedy"
)

// ForceUpdateFlag asks for every image to be built anew at the next start; it is removed when that is done.
const ForceUpdateFlag = "/app/etc/flags/force.update.ecs"

// EngineWait is how long to wait for an engine where nobody says: it may start beside us at boot.
const EngineWait = 90 * time.Second

const (
	portsWait   = 3 * time.Second // the engine lets go of a port a moment after the container has ended
	imagesLimit = time.Hour       // a build on a small host, a pull over a thin line
)

// prepareECS gets the application ready to start while the old one still serves.
func prepareECS(w *walk) []Step {
	return []Step{
		{Name: "project", Check: w.readProject},
		{Name: "engine", Check: w.awaitEngine, Limit: w.engineWait + defaultLimit},
		{Name: "name", Check: w.namedAlike},
		{Name: "ports", Check: w.awaitPorts, Apply: w.freePorts, Limit: 5 * time.Minute},
		{Name: "images", Check: w.imagesMissing, Apply: w.fetchImages, Limit: imagesLimit},
	}
}

func (w *walk) readProject(ctx context.Context) (string, error) {
	w.project = nil // it may have changed since the last walk
	_, err := w.loadProject(ctx)
	return "", err
}

// awaitEngine waits until the engine answers: at boot it may come up after us.
func (w *walk) awaitEngine(ctx context.Context) (string, error) {
	if err := patiently(ctx, w.engineWait, w.engine.Ping); err != nil {
		return "", remedy.Passing(fmt.Errorf("%w (waited %s for it)", err, w.engineWait))
	}
	return "", nil
}

// namedAlike refuses a project that runs under another name already: two stacks would work on the same data.
func (w *walk) namedAlike(ctx context.Context) (string, error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return "", err
	}
	others, err := w.engine.Strangers(ctx, project)
	if err != nil || len(others) == 0 {
		return "", err
	}
	return "", remedy.With(fmt.Errorf("cannot run project %s: containers of %s came from %s too, and both would work on the same data",
		project.Name(), strings.Join(others, ", "), AppDir),
		"give the project its old name back, or take the old containers away with `appliance stop --remove` and start again")
}

// awaitPorts makes sure that what the project publishes is not held by somebody else, before anything of it is touched:
// the engine would find out only when the old container is gone. It finds work only where the engine itself is the one.
func (w *walk) awaitPorts(ctx context.Context) (string, error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return "", err
	}
	taken := patiently(ctx, portsWait, func(ctx context.Context) error { return w.engine.PortsFree(ctx, project) })
	if taken == nil {
		return "", nil
	}
	stale, err := w.engine.StalePorts(ctx, project)
	if err != nil || len(stale) == 0 {
		return "", errors.Join(taken, err)
	}
	return fmt.Sprintf("port %s: %v", strings.Join(stale, ", "), compose.ErrStalePort), nil
}

// freePorts restarts an engine that does not let go of ports after an unclean end. The application is down then anyway.
func (w *walk) freePorts(ctx context.Context) error {
	restart := "restart the engine (`systemctl restart docker`)"
	if !w.sys.Real() {
		return remedy.With(fmt.Errorf("cannot free the ports: %w, and an engine is not restarted for a directory", compose.ErrStalePort), restart)
	}
	if _, err := w.sys.Command(ctx, "systemctl", "restart", "docker.service"); err != nil {
		return remedy.With(err, restart)
	}
	if err := patiently(ctx, w.engineWait, w.engine.Ping); err != nil {
		return err
	}
	again, err := w.awaitPorts(ctx)
	if again != "" {
		err = remedy.With(fmt.Errorf("cannot free the ports by a restart of the engine: %s", again), "reboot the host")
	}
	return err
}

// patiently asks again and again until the answer is no error, for as long as limit.
func patiently(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	end := time.After(limit)
	err := ask(ctx)
	for pause := 100 * time.Millisecond; err != nil; pause = min(2*pause, 2*time.Second) {
		select {
		case <-ctx.Done():
			return err
		case <-end:
			return err
		case <-time.After(pause):
			err = ask(ctx)
		}
	}
	return nil
}

func (w *walk) imagesMissing(ctx context.Context) (string, error) {
	build, pull, err := w.wantedImages(ctx)
	if err != nil {
		return "", err
	}
	var why []string
	if len(build) > 0 {
		why = append(why, fmt.Sprintf("to build for %s", strings.Join(build, ", ")))
	}
	if len(pull) > 0 {
		why = append(why, fmt.Sprintf("to pull for %s", strings.Join(pull, ", ")))
	}
	return strings.Join(why, "; "), nil
}

func (w *walk) wantedImages(ctx context.Context) (build, pull []string, err error) {
	project, err := w.loadProject(ctx)
	if err != nil {
		return nil, nil, err
	}
	if build, pull, err = w.engine.MissingImages(ctx, project); err != nil {
		return nil, nil, err
	}
	if w.sys.Exists(ForceUpdateFlag) {
		build = project.Builds()
	}
	return build, pull, nil
}

func (w *walk) fetchImages(ctx context.Context) error {
	build, pull, err := w.wantedImages(ctx)
	if err != nil {
		return err
	}
	if len(pull)+len(build) > 0 {
		if err := w.roomForImages(ctx, build, pull); err != nil {
			return err
		}
	}
	if len(pull) > 0 {
		if err := w.engine.Pull(ctx, w.project, pull, w.progress); err != nil {
			return remedy.Passing(err)
		}
	}
	if len(build) > 0 {
		if err := w.engine.Build(ctx, w.project, slices.Compact(build), w.progress); err != nil {
			return err
		}
	}
	return w.sys.Remove(ForceUpdateFlag)
}
