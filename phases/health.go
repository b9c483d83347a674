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

// health is one look at the application.
type health struct {
	services []compose.Service
	trouble  []string // what is not right, one line a service or route
	hopeless bool     // and will not become right by itself
	absent   bool     // a service has no container
}

func (h health) ok() bool { return len(h.trouble) == 0 }

func (h health) String() string { return strings.Join(h.trouble, "; ") }

// lookLimit is how long an engine may take to tell how everything is doing; one that accepts and never answers is away.
const lookLimit = 30 * time.Second

// look asks the engine for every service, and once they are all ready the routes for their health.
func (w *walk) look(ctx context.Context) (health, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var h health
	project, err := w.loadProject(ctx)
	if err != nil {
		return h, err
	}
	if h.services, err = w.engine.Services(ctx, project); err != nil {
		return h, err
	}
	for _, service := range h.services {
		if !service.Ready {
			h.trouble = append(h.trouble, fmt.Sprintf("service %s: %s", service.Name, service.Why))
			h.hopeless = h.hopeless || service.Hopeless
			h.absent = h.absent || len(service.Containers) == 0
		}
	}
	if !h.ok() {
		return h, nil
	}
	for _, route := range project.Routes {
		if err := w.engine.Probe(ctx, route, h.services); err != nil {
			h.trouble = append(h.trouble, err.Error())
		}
	}
	return h, nil
}

// ErrUnhealthy says that the application was out of health for too long.
var ErrUnhealthy = errors.New("the application is not healthy")

func unhealthy(h health, limit time.Duration) error {
	what := "within " + limit.String()
	if h.hopeless {
		what = "any more"
	}
	err := remedy.With(fmt.Errorf("%w and will not be %s: %s", ErrUnhealthy, what, h), "look at the service's log (`docker logs CONTAINER`)")
	return remedy.Passing(err)
}

// How often to look again without being told to: a route tells nobody when its answer changes, and a container that has
// been restarted is believed again after a while. The engine tells of everything else.
const (
	routePause     = 100 * time.Millisecond
	containerPause = time.Second
)

// awaitHealthy waits until every service is ready and every route answers, until nothing can become right any more, or
// until ctx ends.
func (w *walk) awaitHealthy(ctx context.Context) error {
	h, err := w.look(ctx)
	if w.services(h.services); err != nil || h.ok() {
		return err
	}
	watched, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	lost := w.watchChanges(watched, w.project.Name(), changed)
	for !h.ok() {
		pause := containerPause
		if allReady(h.services) {
			pause = routePause
		}
		select {
		case <-changed:
		case <-time.After(pause):
		case err := <-lost:
			if ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
		}
		if h.hopeless || ctx.Err() != nil {
			return unhealthy(h, w.project.StartLimit())
		}
		next, err := w.look(ctx)
		if ctx.Err() != nil {
			return unhealthy(h, w.project.StartLimit())
		}
		if err != nil {
			return err
		}
		h = next
		w.services(h.services)
	}
	return nil
}

func allReady(services []compose.Service) bool {
	return !slices.ContainsFunc(services, func(s compose.Service) bool { return !s.Ready })
}

// watchChanges makes changed readable after each event of the project. The returned channel tells when the engine went
// away.
func (w *walk) watchChanges(ctx context.Context, project string, changed chan<- struct{}) <-chan error {
	lost := make(chan error, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default: // it is readable already
		}
	}
	go func() { lost <- w.engine.Watch(ctx, project, func(compose.Event) { wake() }) }()
	return lost
}
