package compose

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
)

// oneShotLabel marks the containers of the services that x-appliance.oneshots names, for when only the engine can be asked.
const oneShotLabel = "appliance.oneshot"

// role is what is known of a service's purpose: whether it has to end, or to stay.
type role struct {
	oneShot bool // it is done when it has ended with status 0
	stays   bool // something needs it running, so that an end is never good
}

// roles tells the purpose of each service as far as it is declared: who is waited for until it has ended is a one-shot,
// and who is reached from outside or must be healthy for others is not.
func roles(project *types.Project, ext Extension) map[string]role {
	found := map[string]role{}
	mark := func(name string, set func(*role)) {
		r := found[name]
		set(&r)
		found[name] = r
	}
	oneShot, stays := func(r *role) { r.oneShot = true }, func(r *role) { r.stays = true }
	for name, service := range project.Services {
		if len(service.Ports) > 0 {
			mark(name, stays)
		}
		for other, dependency := range service.DependsOn {
			switch dependency.Condition {
			case types.ServiceConditionCompletedSuccessfully:
				mark(other, oneShot)
			case types.ServiceConditionHealthy:
				mark(other, stays)
			}
		}
	}
	for _, route := range ext.Routes {
		mark(route.Service, stays)
	}
	for _, name := range ext.OneShots {
		mark(name, oneShot)
	}
	return found
}

// restartPolicy is what the engine does when a container of the service ends.
func restartPolicy(service types.ServiceConfig) container.RestartPolicy {
	condition, attempts, _ := strings.Cut(service.Restart, ":")
	count, _ := strconv.Atoi(attempts)
	if service.Deploy != nil && service.Deploy.RestartPolicy != nil {
		policy := service.Deploy.RestartPolicy
		condition, count = policy.Condition, 0
		if policy.MaxAttempts != nil {
			count = int(*policy.MaxAttempts)
		}
	}
	switch condition {
	case "none", "":
		condition = types.RestartPolicyNo
	case "any":
		condition = types.RestartPolicyAlways
	}
	return container.RestartPolicy{Name: container.RestartPolicyMode(condition), MaximumRetryCount: count}
}

// unready is a copy of the project without the services that need no start, and without the edges that lead to them.
// Those are the ready ones. But where nothing of the project runs it was stopped as a whole, and then a service that has
// ended with status 0 was no one-shot unless it is declared as one.
func (p *Project) unready(services []Service) *types.Project {
	running := false
	for _, service := range services {
		for _, c := range service.Containers {
			running = running || c.State == "running" || c.State == "restarting"
		}
	}
	var leave []string
	for _, service := range services {
		if service.Ready && (running || p.roles[service.Name].oneShot) {
			leave = append(leave, service.Name)
		}
	}
	return p.project.WithServicesDisabled(leave...)
}

// Recall is the project of containers that are there, with the routes that it had: who reads neither its file nor the environment
// leads visitors to it with that.
func (e *Engine) Recall(ctx context.Context, name string, routes []Route) (*Project, error) {
	project, err := e.remembered(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("cannot tell what project %s was: %w", name, err)
	}
	project.Routes = routes
	return project, nil
}

// remembered is the project as far as its containers tell of it: enough to start them again in order.
func (e *Engine) remembered(ctx context.Context, name string) (*Project, error) {
	found, err := e.inspectAll(ctx, name)
	if err != nil {
		return nil, err
	}
	project := &types.Project{Name: name, Services: types.Services{}}
	var ext Extension
	for _, c := range found {
		labels, service := c.Config.Labels, types.ServiceConfig{Name: c.Config.Labels[api.ServiceLabel]}
		if known, ok := project.Services[service.Name]; ok {
			service = known
		}
		count := 1
		if service.Scale != nil {
			count += *service.Scale
		}
		service.SetScale(count)
		service.DependsOn = dependencies(labels[api.DependenciesLabel])
		if c.HostConfig != nil {
			policy := c.HostConfig.RestartPolicy
			service.Restart = fmt.Sprintf("%s:%d", policy.Name, policy.MaximumRetryCount)
			if len(c.HostConfig.PortBindings) > 0 {
				service.Ports = []types.ServicePortConfig{{}}
			}
		}
		if labels[oneShotLabel] != "" {
			ext.OneShots = append(ext.OneShots, service.Name)
		}
		project.Services[service.Name] = service
	}
	for _, service := range project.Services {
		for other := range service.DependsOn {
			if _, ok := project.Services[other]; !ok { // its container is gone, and nothing can be said of it
				delete(service.DependsOn, other)
			}
		}
	}
	return &Project{Extension: ext, project: project, roles: roles(project, ext)}, nil
}

// dependencies reads the SDK's label: "store:service_healthy:false,migrate:service_completed_successfully:false".
func dependencies(label string) types.DependsOnConfig {
	found := types.DependsOnConfig{}
	for edge := range strings.SplitSeq(label, ",") {
		parts := append(strings.Split(edge, ":"), types.ServiceConditionStarted)
		if parts[0] != "" {
			found[parts[0]] = types.ServiceDependency{Condition: parts[1], Required: true}
		}
	}
	return found
}
