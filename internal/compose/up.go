package compose

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"appliance/internal/remedy"
)

func upOptions(p *Project) api.UpOptions {
	stop := p.StopLimit()
	return api.UpOptions{
		Create: api.CreateOptions{
			Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged,
			Inherit: true, RemoveOrphans: true, QuietPull: true, Timeout: &stop,
		},
		Start: api.StartOptions{Project: p.project},
	}
}

// Up makes the engine run the project as it is declared. What is right already is left alone; when all is, no request
// that changes anything is made.
func (e *Engine) Up(ctx context.Context, p *Project, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := e.bringUp(ctx, service, p, func() bool { return false }); err != nil {
		return explainUp(err)
	}
	return nil
}

// bringUp is the SDK's Up in its two halves. The second is left out when the first has changed nothing and every service
// is ready: it would wait half a second for each dependency that is healthy, and start finished one-shots again.
func (e *Engine) bringUp(ctx context.Context, service api.Compose, p *Project, changed func() bool) error {
	options := upOptions(p)
	if err := service.Create(ctx, p.project, options.Create); err != nil {
		return err
	}
	if !changed() {
		services, err := e.Services(ctx, p)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(services, func(s Service) bool { return !s.Ready }) {
			return nil
		}
	}
	return service.Start(ctx, p.Name(), options.Start)
}

var portTaken = regexp.MustCompile(`(?:Bind for|listen tcp4?6?|listen udp4?6?) ([\[\]\w.:]+:\d+)?.*(?:already allocated|already in use)`)

// explainUp adds the way out to the engine's errors that operators meet most. The engine has only texts for them.
func explainUp(err error) error {
	text := err.Error()
	err = fmt.Errorf("cannot start the services: %w", err)
	switch {
	case portTaken.MatchString(text):
		return remedy.With(err, fmt.Sprintf("free the port %s (`ss -ltnp` says who holds it) or publish another one", portTaken.FindStringSubmatch(text)[1]))
	case strings.Contains(text, "no space left on device"):
		return remedy.With(err, "free space on the engine's disk (`docker system df`)")
	case client.IsErrConnectionFailed(err):
		return lost(err)
	case strings.Contains(text, "would lose data"):
		return remedy.With(err, "put the volume's old settings back, or move its data and remove the volume by hand")
	}
	return remedy.With(err, "look at the service's log (`docker logs CONTAINER`) and mend the compose file")
}

// Start starts the project's containers as they are, in order of dependency; it creates none.
func (e *Engine) Start(ctx context.Context, name string, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Start(ctx, name, api.StartOptions{}); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot start project %s: %w", name, err)
	}
	return nil
}

// Stop stops the project's containers in reverse order of dependency; it does not remove them. A project that has none
// is stopped already.
func (e *Engine) Stop(ctx context.Context, name string, limit time.Duration, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Stop(ctx, name, api.StopOptions{Timeout: &limit}); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot stop project %s: %w", name, err)
	}
	return nil
}

// Down stops and removes the project's containers and networks; volumes and images stay.
func (e *Engine) Down(ctx context.Context, name string, limit time.Duration, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Down(ctx, name, api.DownOptions{Timeout: &limit, RemoveOrphans: true}); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot remove project %s: %w", name, err)
	}
	return nil
}
