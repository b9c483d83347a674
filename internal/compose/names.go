package compose

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"
)

// Misnamed is a container that stands in for the one it was to replace: the SDK creates a replacement under a temporary
// name, and whoever cut it off then has never given it the real one. The SDK itself would keep it so for good.
type Misnamed struct{ ID, Name, Want string }

// temporaryName is how the SDK calls a replacement: the short ID of the container it replaces, then that one's name.
var temporaryName = regexp.MustCompile(`^[0-9a-f]{12}_(.+)$`)

// Misnamed lists the project's containers that still have a temporary name which is free to be mended.
func (e *Engine) Misnamed(ctx context.Context, project string) ([]Misnamed, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: projectFilter(project)})
	if err != nil {
		return nil, fmt.Errorf("cannot list the containers of %s: %w", project, err)
	}
	taken := map[string]bool{}
	for _, c := range list.Items {
		taken[canonicalName(c.Names)] = true
	}
	var found []Misnamed
	for _, c := range list.Items {
		name := canonicalName(c.Names)
		match := temporaryName.FindStringSubmatch(name)
		if match != nil && c.Labels[api.ContainerReplaceLabel] != "" && !taken[match[1]] {
			found = append(found, Misnamed{c.ID, name, match[1]})
		}
	}
	return found, nil
}

// canonicalName is the name that is no link to another container.
func canonicalName(names []string) string {
	for _, name := range names {
		if own := strings.TrimPrefix(name, "/"); !strings.Contains(own, "/") {
			return own
		}
	}
	return ""
}

// Rename gives a container the name it should have.
func (e *Engine) Rename(ctx context.Context, m Misnamed) error {
	if _, err := e.client.ContainerRename(ctx, m.ID, client.ContainerRenameOptions{NewName: m.Want}); err != nil {
		return fmt.Errorf("cannot rename container %s to %s: %w", m.Name, m.Want, err)
	}
	return nil
}
