package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"appliance/internal/remedy"
)

// ErrNoFile says that a directory holds no compose file.
var ErrNoFile = errors.New("there is no compose file")

// Project is a compose project with the appliance's extension.
type Project struct {
	Extension
	project *types.Project
	roles   map[string]role
}

// Load reads the project in dir, its variables replaced by vars (and by a .env file beside it, which vars win over). It
// asks no engine and no network. The project's name is the one in the file, else that of the directory. Errors name file, line and column.
func Load(ctx context.Context, dir string, vars map[string]string) (*Project, error) {
	files, err := composeFiles(dir)
	if err != nil {
		return nil, err
	}
	env := make([]string, 0, len(vars))
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, key+"="+vars[key])
	}
	options, err := cli.NewProjectOptions(files, cli.WithWorkingDirectory(dir), cli.WithEnv(env), cli.WithEnvFiles(), cli.WithDotEnv,
		cli.WithDefaultProfiles())
	if err != nil {
		return nil, fmt.Errorf("cannot read the compose project in %s: %w", dir, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, explainLoad(files, err)
	}
	if len(project.Services) == 0 {
		return nil, remedy.With(fmt.Errorf("cannot run %s: it declares no services", files[0]), "add a service to the file")
	}
	ext, err := parseExtension(project.Extensions["x-appliance"], func(s string) bool { _, ok := project.Services[s]; return ok })
	if err != nil {
		return nil, explainLoad(files, err)
	}
	label(project, ext)
	pullOnce(project)
	project = project.WithoutUnnecessaryResources()
	return &Project{Extension: ext, project: project, roles: roles(project, ext)}, nil
}

// composeFiles finds the file of the project and its override, in dir alone: the SDK would go up to "/".
func composeFiles(dir string) ([]string, error) {
	var found []string
	for _, names := range [][]string{cli.DefaultFileNames, cli.DefaultOverrideFileNames} {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err == nil {
				found = append(found, path)
				break
			} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
				return nil, fmt.Errorf("cannot read the compose project: %w", err)
			}
		}
		if len(found) == 0 {
			return nil, remedy.With(fmt.Errorf("cannot read the compose project in %s: %w", dir, ErrNoFile),
				"put the application's "+cli.DefaultFileNames[0]+" there")
		}
	}
	return found, nil
}

// label marks the services as the SDK expects to find their containers again.
func label(project *types.Project, ext Extension) {
	for name, service := range project.Services {
		service.CustomLabels = map[string]string{
			api.ProjectLabel:     project.Name,
			api.ServiceLabel:     name,
			api.VersionLabel:     api.ComposeVersion,
			api.WorkingDirLabel:  project.WorkingDir,
			api.ConfigFilesLabel: strings.Join(project.ComposeFiles, ","),
			api.OneoffLabel:      "False",
		}
		if slices.Contains(ext.OneShots, name) {
			service.CustomLabels[oneShotLabel] = "True"
		}
		project.Services[name] = service
	}
}

// pullOnce makes the pull policies that ask the registry again and again ("always", "daily", …) ask it only for an image
// that is missing: a start must not need the registry, and bring no other images than those that were prepared for it.
func pullOnce(project *types.Project) {
	for name, service := range project.Services {
		if policy, _, _ := service.GetPullPolicy(); policy == types.PullPolicyAlways || policy == types.PullPolicyRefresh {
			service.PullPolicy = types.PullPolicyMissing
			project.Services[name] = service
		}
	}
}

// Name is the project's name on the engine.
func (p *Project) Name() string { return p.project.Name }

// ServiceNames lists the services in alphabetical order.
func (p *Project) ServiceNames() []string { return p.project.ServiceNames() }

// WriterNames lists the services that are to be stopped when there is no more room for data: those that the extension names,
// or else those that no other service depends on.
func (p *Project) WriterNames() []string {
	if len(p.Writers) > 0 {
		return p.Writers
	}
	needed := map[string]bool{}
	for _, service := range p.project.Services {
		for name := range service.DependsOn {
			needed[name] = true
		}
	}
	return slices.DeleteFunc(p.ServiceNames(), func(name string) bool { return needed[name] })
}

// StartLimit is how long a start may take until everything is healthy.
func (p *Project) StartLimit() time.Duration { return time.Duration(p.StartTimeout) }

// UnhealthyLimit is how long the project may be out of health before that is a failure.
func (p *Project) UnhealthyLimit() time.Duration { return time.Duration(p.UnhealthyTimeout) }

// StopLimit is the longest that one container may take to stop.
func (p *Project) StopLimit() time.Duration {
	limit := time.Duration(p.StopTimeout)
	for _, service := range p.project.Services {
		grace := engineStopLimit
		if service.StopGracePeriod != nil {
			grace = time.Duration(*service.StopGracePeriod)
		}
		limit = max(limit, grace)
	}
	return limit
}

// engineStopLimit is the engine's own for a container that does not say: 10 seconds.
const engineStopLimit = 10 * time.Second

// URLs lists where the routes' services are published on the host, as far as they are.
func (p *Project) URLs() []string {
	var urls []string
	for _, route := range p.Routes {
		for _, port := range p.project.Services[route.Service].Ports {
			if port.Published == "" || port.Target != uint32(route.Port) {
				continue
			}
			host := port.HostIP
			if host == "" || host == "0.0.0.0" {
				host = "127.0.0.1"
			}
			urls = append(urls, fmt.Sprintf("http://%s:%s/%s", host, port.Published, strings.TrimPrefix(route.Path, "/")))
		}
	}
	return urls
}

// Publishes names the service that takes a TCP port of the host for itself, "" where none does.
func (p *Project) Publishes(port uint16) string {
	for _, name := range p.ServiceNames() {
		for _, published := range p.project.Services[name].Ports {
			if published.Published == strconv.Itoa(int(port)) && (published.Protocol == "" || published.Protocol == "tcp") {
				return name
			}
		}
	}
	return ""
}

// Published is where the port of a route is published on this host, as "127.0.0.1:8080"; "" where it is not.
func (p *Project) Published(r Route) string {
	for _, port := range p.project.Services[r.Service].Ports {
		if port.Published != "" && port.Protocol != "udp" && port.Target == uint32(r.Port) {
			return net.JoinHostPort(cmp.Or(port.HostIP, "0.0.0.0"), port.Published)
		}
	}
	return ""
}
