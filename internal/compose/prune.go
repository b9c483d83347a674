package compose

import (
	"context"
	"fmt"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"
)

// Leftover is something a project left on the engine that nothing uses.
type Leftover struct {
	Kind string // "container" or "image"
	ID   string
	Name string
}

// Leftovers lists the project's finished one-off containers, and its images that have lost their name to a newer build.
// Volumes are never among them, and neither are the images in keep (by ID).
func (e *Engine) Leftovers(ctx context.Context, project string, keep map[string]bool) ([]Leftover, error) {
	var left []Leftover
	containers, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true,
		Filters: projectFilter(project).Add("label", api.OneoffLabel+"=True").Add("status", "exited", "dead")})
	if err != nil {
		return nil, fmt.Errorf("cannot list finished containers: %w", err)
	}
	for _, c := range containers.Items {
		left = append(left, Leftover{"container", c.ID, c.Names[0]})
	}
	images, err := e.client.ImageList(ctx, client.ImageListOptions{Filters: projectFilter(project).Add("dangling", "true")})
	if err != nil {
		return nil, fmt.Errorf("cannot list dangling images: %w", err)
	}
	for _, image := range images.Items {
		if !keep[image.ID] {
			left = append(left, Leftover{"image", image.ID, image.ID})
		}
	}
	return left, nil
}

// Remove takes a leftover away. Something that is in use after all is left alone by the engine.
func (e *Engine) Remove(ctx context.Context, left Leftover) error {
	var err error
	switch left.Kind {
	case "container":
		_, err = e.client.ContainerRemove(ctx, left.ID, client.ContainerRemoveOptions{})
	case "image":
		_, err = e.client.ImageRemove(ctx, left.ID, client.ImageRemoveOptions{})
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s %s: %w", left.Kind, left.Name, err)
	}
	return nil
}
