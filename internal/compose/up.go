package compose

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"appliance/internal/remedy"
)

// upOptions make the engine hold what is declared.
func upOptions(p *Project) api.CreateOptions {
	return api.CreateOptions{
		Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged,
		Inherit: true, RemoveOrphans: true, QuietPull: true, Timeout: limitOrOwn(time.Duration(p.StopTimeout)),
	}
}

// healOptions make the engine hold what is missing, and leave what is there as it is.
func healOptions(p *Project) api.CreateOptions {
	options := upOptions(p)
	options.Recreate, options.RecreateDependencies = api.RecreateNever, api.RecreateNever
	options.RemoveOrphans, options.IgnoreOrphans = false, true
	return options
}

// limitOrOwn is a limit as the SDK takes it: nil leaves each container its own.
func limitOrOwn(limit time.Duration) *time.Duration {
	if limit == 0 {
		return nil
	}
	return &limit
}

// Up makes the engine run the project as it is declared. What is right already is left alone; when all is, no request
// that changes anything is made. One-shots that are done are not run again unless they changed.
func (e *Engine) Up(ctx context.Context, p *Project, report func(Progress)) error {
	return e.up(ctx, p, upOptions(p), report)
}

// Heal brings back what is missing or stopped of a project that was brought up before. Containers that are there stay the
// ones they are, whatever has become of their image and settings since.
func (e *Engine) Heal(ctx context.Context, p *Project, report func(Progress)) error {
	return e.up(ctx, p, healOptions(p), report)
}

func (e *Engine) up(ctx context.Context, p *Project, options api.CreateOptions, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := e.bringUp(ctx, service, p, options); err != nil {
		return explainUp(err)
	}
	return nil
}

// bringUp is the SDK's Up in its two halves. The second is only for what is not ready: of all services it would wait half
// a second for each dependency that is healthy, and start finished one-shots again.
func (e *Engine) bringUp(ctx context.Context, service api.Compose, p *Project, options api.CreateOptions) error {
	if err := service.Create(ctx, p.project, options); err != nil {
		return err
	}
	return e.startUnready(ctx, service, p)
}

func (e *Engine) startUnready(ctx context.Context, service api.Compose, p *Project) error {
	services, err := e.Services(ctx, p)
	if err != nil {
		return err
	}
	project := p.unready(services)
	if len(project.Services) == 0 {
		return nil
	}
	return service.Start(ctx, p.Name(), api.StartOptions{Project: project})
}

var portTaken = regexp.MustCompile(`(?:Bind for|listen tcp4?6?|listen udp4?6?) ([\[\]\w.:]+:\d+)?.*(?:already allocated|already in use)`)

// explainUp adds the way out to the engine's errors that operators meet most. The engine has only texts for them.
func explainUp(err error) error {
	text := err.Error()
	err = fmt.Errorf("cannot start the services: %w", shortened{err})
	switch {
	case portTaken.MatchString(text):
		return remedy.With(err, fmt.Sprintf("free the port %s (`ss -ltnp` says who holds it) or publish another one", portTaken.FindStringSubmatch(text)[1]))
	case strings.Contains(text, "no space left on device"):
		return remedy.Passing(remedy.With(err, "free space on the engine's disk (`docker system df`)"))
	case client.IsErrConnectionFailed(err):
		return lost(err)
	case strings.Contains(text, "would lose data"):
		return remedy.With(err, "put the volume's old settings back, or move its data and remove the volume by hand")
	}
	return remedy.With(err, "look at the service's log (`docker logs CONTAINER`) and mend the compose file")
}

// Start starts the project's containers as they are, in order of dependency; it creates none, and leaves one-shots that
// are done. It asks only the engine: the project's files may be gone.
func (e *Engine) Start(ctx context.Context, name string, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	project, err := e.remembered(ctx, name)
	if err == nil {
		err = e.startUnready(ctx, service, project)
	}
	if err != nil {
		return fmt.Errorf("cannot start project %s: %w", name, err)
	}
	return nil
}

// Stop stops the project's containers in reverse order of dependency; it does not remove them. A project that has none
// is stopped already. A container that has not ended within limit is killed; with limit 0 each has its own.
func (e *Engine) Stop(ctx context.Context, name string, limit time.Duration, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Stop(ctx, name, api.StopOptions{Timeout: limitOrOwn(limit)}); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot stop project %s: %w", name, err)
	}
	return nil
}

// StopWriters stops the services that write, and leaves those that only keep what others write. The limits are their own.
func (e *Engine) StopWriters(ctx context.Context, p *Project, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	options := api.StopOptions{Timeout: limitOrOwn(time.Duration(p.StopTimeout)), Services: p.WriterNames()}
	if err := service.Stop(ctx, p.Name(), options); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot stop who writes in project %s: %w", p.Name(), err)
	}
	return nil
}

// Down stops and removes the project's containers and networks; volumes and images stay. The limit is as for Stop.
func (e *Engine) Down(ctx context.Context, name string, limit time.Duration, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Down(ctx, name, api.DownOptions{Timeout: limitOrOwn(limit), RemoveOrphans: true}); err != nil && !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("cannot remove project %s: %w", name, err)
	}
	return nil
}
