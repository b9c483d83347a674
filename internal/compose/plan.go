package compose

import (
	"context"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
)

// Change is one thing that Up would do, and why.
type Change struct {
	Object string `json:"object"`
	Action string `json:"action"` // "create", "recreate", "start", "remove", "stop"
	Why    string `json:"why"`
}

// Reader opens the same engine so that nothing on it can be changed: the transport denies every request that might.
func (e *Engine) Reader() (*Engine, error) {
	cfg := e.cfg
	cfg.Host, cfg.ReadOnly = e.Host(), true
	return Open(cfg)
}

// Plan tells what Up would change. It runs the SDK's own planner, so it is what Up would do. Ask a Reader, and it cannot
// happen.
func (e *Engine) Plan(ctx context.Context, p *Project) ([]Change, error) {
	seen := &changes{}
	service, err := e.service(&reporter{report: seen.add}, sdk.WithDryRun)
	if err != nil {
		return nil, err
	}
	project, err := p.project.WithProfiles(nil) // a copy: the dry run must leave no mark on the project
	if err != nil {
		return nil, fmt.Errorf("cannot plan: %w", err)
	}
	dry := &Project{Extension: p.Extension, project: project, roles: p.roles}
	if err := e.bringUp(ctx, service, dry, upOptions(dry)); err != nil {
		return nil, fmt.Errorf("cannot plan: %w", err)
	}
	for i := range seen.list {
		if seen.list[i].Why, err = e.why(ctx, project, seen.list[i]); err != nil {
			return nil, err
		}
	}
	return seen.list, nil
}

// changes gathers the actions that the SDK announces, the first for each object.
type changes struct{ list []Change }

var actions = map[string]string{
	api.StatusCreating: "create", "Recreate": "recreate", api.StatusStarting: "start",
	api.StatusRemoving: "remove", api.StatusStopping: "stop",
}

func (c *changes) add(p Progress) {
	action, ok := actions[strings.TrimSpace(strings.TrimPrefix(p.Text, "DRY-RUN MODE - "))]
	if !ok {
		return
	}
	object := strings.TrimSpace(p.Object)
	if name := temporaryName.FindStringSubmatch(strings.TrimPrefix(object, "Container ")); name != nil {
		object = "Container " + name[1] // a part of its replacement
	}
	for _, known := range c.list {
		if known.Object == object {
			return
		}
	}
	c.list = append(c.list, Change{Object: object, Action: action})
}

// why explains a change by what differs between the project and the engine.
func (e *Engine) why(ctx context.Context, project *types.Project, change Change) (string, error) {
	kind, name, _ := strings.Cut(change.Object, " ")
	switch {
	case change.Action == "create":
		return "there is none", nil
	case change.Action == "start":
		return "it does not run", nil
	case kind != "Container":
		return "its settings changed", nil
	}
	inspect, err := e.client.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot inspect container %s: %w", name, err)
	}
	labels := inspect.Container.Config.Labels
	service, declared := project.Services[labels[api.ServiceLabel]]
	if !declared {
		return "no service declares it", nil
	}
	var reasons []string
	if hash, err := sdk.ServiceHash(service); err == nil && hash != labels[api.ConfigHashLabel] {
		reasons = append(reasons, "its settings changed")
	}
	if image, err := e.client.ImageInspect(ctx, api.GetImageNameOrDefault(service, project.Name)); err == nil && image.ID != inspect.Container.Image {
		reasons = append(reasons, fmt.Sprintf("its image changed from %.19s to %.19s", inspect.Container.Image, image.ID))
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "something it depends on changed")
	}
	return strings.Join(reasons, " and "), nil
}
