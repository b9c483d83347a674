package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"appliance/internal/remedy"
)

// MissingImages lists the services whose image is not on the engine: those to build, and those to pull.
func (e *Engine) MissingImages(ctx context.Context, p *Project) (build, pull []string, err error) {
	present := map[string]bool{}
	for _, name := range p.ServiceNames() {
		service := p.project.Services[name]
		image := api.GetImageNameOrDefault(service, p.Name())
		there, known := present[image]
		if !known {
			if there, err = e.hasImage(ctx, image); err != nil {
				return nil, nil, err
			}
			present[image] = there
		}
		switch {
		case there:
		case service.Build != nil:
			build = append(build, name)
		default:
			pull = append(pull, name)
		}
	}
	return build, pull, nil
}

func (e *Engine) hasImage(ctx context.Context, image string) (bool, error) {
	_, err := e.client.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, lost(fmt.Errorf("cannot look for image %s: %w", image, err))
	}
	return true, nil
}

// Builds lists the services that are built from source.
func (p *Project) Builds() []string {
	return slices.DeleteFunc(p.ServiceNames(), func(name string) bool { return p.project.Services[name].Build == nil })
}

// Build builds the images of the named services.
func (e *Engine) Build(ctx context.Context, p *Project, services []string, report func(Progress)) error {
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	tail := &tailWriter{}
	if err := service.Build(ctx, p.project, api.BuildOptions{Services: services, Progress: "plain", Out: tail}); err != nil {
		return orLost(err, fmt.Errorf("cannot build %v: %w", services, shortened{fmt.Errorf("%w\n%s", err, tail)}), "mend the Dockerfile or its context; what runs goes on running")
	}
	return nil
}

// Pull fetches the images of the named services.
func (e *Engine) Pull(ctx context.Context, p *Project, services []string, report func(Progress)) error {
	project, err := p.project.WithSelectedServices(services, types.IgnoreDependencies)
	if err != nil {
		return fmt.Errorf("cannot pull %v: %w", services, err)
	}
	service, err := e.service(&reporter{report: report})
	if err != nil {
		return err
	}
	if err := service.Pull(ctx, project, api.PullOptions{Quiet: true}); err != nil {
		var images []string
		for _, name := range services {
			images = append(images, p.project.Services[name].Image)
		}
		slices.Sort(images)
		return orLost(err, fmt.Errorf("cannot pull %s: %s", strings.Join(slices.Compact(images), ", "), linesOnce(err)),
			"check the image's name, the registry and the way to it, or load the image with `docker load`")
	}
	return nil
}

// orLost gives told the remedy, unless its cause is an engine that went away.
func orLost(cause, told error, way string) error {
	if client.IsErrConnectionFailed(cause) {
		way = startEngine
	}
	return remedy.With(told, way)
}

// linesOnce is the text of an error without the lines it repeats: the SDK tells of each image twice.
func linesOnce(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// ImageNeed estimates how many bytes the images of the named services take once they are there: as many as those that are there
// under the same name with another tag. It also tells where on this host the engine keeps images, as the engine calls it;
// "" where the engine is on another host.
func (e *Engine) ImageNeed(ctx context.Context, p *Project, services []string) (root string, bytes uint64, err error) {
	if !strings.HasPrefix(e.Host(), "unix:") {
		return "", 0, nil
	}
	info, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", 0, lost(fmt.Errorf("cannot tell where the engine keeps images: %w", err))
	}
	counted := map[string]bool{}
	for _, name := range services {
		image := api.GetImageNameOrDefault(p.project.Services[name], p.Name())
		if counted[image] {
			continue
		}
		counted[image] = true
		repository, _, _ := strings.Cut(image, "@")
		if slash, colon := strings.LastIndex(repository, "/"), strings.LastIndex(repository, ":"); colon > slash {
			repository = repository[:colon]
		}
		list, err := e.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", repository)})
		if err != nil {
			return "", 0, lost(fmt.Errorf("cannot look for images of %s: %w", repository, err))
		}
		largest := int64(0)
		for _, at := range list.Items {
			largest = max(largest, at.Size)
		}
		bytes += uint64(largest)
	}
	return info.Info.DockerRootDir, bytes, nil
}
