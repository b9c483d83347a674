package compose

import (
	"context"
	"fmt"

	"github.com/moby/moby/client"
)

// Running counts the project's containers that run.
func (e *Engine) Running(ctx context.Context, project string) (int, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{Filters: projectFilter(project)})
	if err != nil {
		return 0, lost(fmt.Errorf("cannot list the running containers of %s: %w", project, err))
	}
	return len(list.Items), nil
}
