package compose

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"
)

// ProjectsAt names the projects that have containers, running or not, which were made from the compose file in dir. The
// directory is compared as it was written down then, to the letter.
func (e *Engine) ProjectsAt(ctx context.Context, dir string) ([]string, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true,
		Filters: client.Filters{}.Add("label", api.WorkingDirLabel+"="+dir)})
	if err != nil {
		return nil, lost(fmt.Errorf("cannot list the projects of %s: %w", dir, err))
	}
	var names []string
	for _, c := range list.Items {
		if name := c.Labels[api.ProjectLabel]; name != "" && c.Labels[api.WorkingDirLabel] == dir {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Strangers names the other projects that came from this project's directory: what it was called before, and so on the
// same data.
func (e *Engine) Strangers(ctx context.Context, p *Project) ([]string, error) {
	names, err := e.ProjectsAt(ctx, p.project.WorkingDir)
	return slices.DeleteFunc(names, func(name string) bool { return name == p.Name() }), err
}
