package phases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ForceUpdateFlag asks for every image to be built anew at the next start; it is removed when that is done.
const ForceUpdateFlag = "/app/etc/flags/force.update.ecs"

const (
	engineLimit = 90 * time.Second // an engine that starts beside us
	imagesLimit = time.Hour        // a build on a small host, a pull over a thin line
)

// prepareECS gets the application ready to start while the old one still serves.
func prepareECS(w *walk) []Step {
	return []Step{
		{Name: "project", Check: w.readProject},
		{Name: "engine", Check: w.awaitEngine, Limit: engineLimit},
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
	err := w.engine.Ping(ctx)
	for pause := 100 * time.Millisecond; err != nil; pause = min(2*pause, 2*time.Second) {
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(pause):
			err = w.engine.Ping(ctx)
		}
	}
	return "", nil
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
	if len(pull) > 0 {
		if err := w.engine.Pull(ctx, w.project, pull, w.progress); err != nil {
			return err
		}
	}
	if len(build) > 0 {
		if err := w.engine.Build(ctx, w.project, slices.Compact(build), w.progress); err != nil {
			return err
		}
	}
	return w.sys.Remove(ForceUpdateFlag)
}
