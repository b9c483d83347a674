package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Service is how one service of the project is doing.
type Service struct {
	Name       string          `json:"name"`
	Ready      bool            `json:"ready"`
	Why        string          `json:"why,omitempty"` // it is not ready
	Hopeless   bool            `json:"hopeless,omitempty"`
	OneShot    bool            `json:"one_shot,omitempty"` // it is to end, and not to stay
	Containers []ContainerInfo `json:"containers,omitempty"`
}

// ContainerInfo is one container of a service.
type ContainerInfo struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Image    string     `json:"image"`
	ImageID  string     `json:"image_id"`
	State    string     `json:"state"`
	Health   string     `json:"health,omitempty"`
	ExitCode int        `json:"exit_code"`
	Restarts int        `json:"restarts"`
	Started  time.Time  `json:"started"`
	Address  netip.Addr `json:"address,omitzero"`
	OnHost   bool       `json:"on_host,omitempty"` // it has the host's network (network_mode: host), and so no address
}

// settle is how long a container that has been restarted must stay up before it is believed again: a crash loop shows
// "running" most of the time.
const settle = 10 * time.Second

// Services tells how each service of the project is doing, in alphabetical order.
func (e *Engine) Services(ctx context.Context, p *Project) ([]Service, error) {
	found, err := e.containers(ctx, p.Name())
	if err != nil {
		return nil, err
	}
	services := make([]Service, 0, len(p.project.Services))
	for _, name := range p.ServiceNames() {
		service := Service{Name: name, Containers: found[name], OneShot: p.roles[name].oneShot}
		service.judge(p.project.Services[name], p.roles[name], e.cfg.System.Now())
		services = append(services, service)
	}
	return services, nil
}

// judge says whether the service is as it should be, by health and not by time passed.
func (s *Service) judge(spec types.ServiceConfig, role role, now time.Time) {
	if len(s.Containers) < spec.GetScale() {
		s.Why = "it has no container"
		return
	}
	for _, c := range s.Containers {
		s.Why, s.Hopeless = c.trouble(role, restartPolicy(spec), now)
		if s.Why != "" {
			return
		}
	}
	s.Ready = true
}

// trouble says what keeps the container from being ready, and whether it will stay so: no restart is coming.
func (c ContainerInfo) trouble(role role, policy container.RestartPolicy, now time.Time) (why string, hopeless bool) {
	age := now.Sub(c.Started) // negative where the clock was set back
	switch {
	case c.State == "exited" && c.ExitCode == 0 && role.mayEnd(policy):
		return "", false // a one-shot that has done its work
	case c.State == "exited" || c.State == "dead":
		return fmt.Sprintf("it ended with status %d", c.ExitCode), !c.restarts(policy)
	case c.State != "running":
		return "it is " + c.State, false
	case role.oneShot:
		return "it has not ended yet", false
	case c.Health == string(container.Unhealthy):
		return "its health check fails", false
	case c.Health == string(container.Starting):
		return "its health check has not passed yet", false
	case c.Restarts > 0 && age >= 0 && age < settle:
		return fmt.Sprintf("it has just been restarted (%d times)", c.Restarts), false
	}
	return "", false
}

// mayEnd says whether an end with status 0 is all that is wanted of the service.
func (r role) mayEnd(policy container.RestartPolicy) bool {
	return r.oneShot || !r.stays && (policy.IsNone() || policy.IsOnFailure())
}

// restarts says whether the engine will start the container again that has ended.
func (c ContainerInfo) restarts(policy container.RestartPolicy) bool {
	if policy.IsOnFailure() {
		return c.ExitCode != 0 && (policy.MaximumRetryCount == 0 || c.Restarts < policy.MaximumRetryCount)
	}
	return !policy.IsNone()
}

// containers describes the project's containers, by service.
func (e *Engine) containers(ctx context.Context, project string) (map[string][]ContainerInfo, error) {
	list, err := e.inspectAll(ctx, project)
	if err != nil {
		return nil, err
	}
	found := map[string][]ContainerInfo{}
	for _, c := range list {
		name := c.Config.Labels[api.ServiceLabel]
		found[name] = append(found[name], describeContainer(c))
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b ContainerInfo) int { return strings.Compare(a.Name, b.Name) })
	}
	return found, nil
}

// inspectAll inspects the containers of the project's services. One that goes away meanwhile is left out.
func (e *Engine) inspectAll(ctx context.Context, project string) ([]container.InspectResponse, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: projectFilter(project)})
	if err != nil {
		return nil, lost(fmt.Errorf("cannot list the containers of %s: %w", project, err))
	}
	var found []container.InspectResponse
	for _, summary := range list.Items {
		if summary.Labels[api.OneoffLabel] == "True" || summary.Labels[api.HookLabel] != "" {
			continue
		}
		inspect, err := e.client.ContainerInspect(ctx, summary.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, lost(fmt.Errorf("cannot inspect container %s: %w", summary.ID[:12], err))
		}
		if inspect.Container.Config != nil {
			found = append(found, inspect.Container)
		}
	}
	return found, nil
}

func projectFilter(project string) client.Filters {
	return client.Filters{}.Add("label", api.ProjectLabel+"="+project)
}

func describeContainer(c container.InspectResponse) ContainerInfo {
	info := ContainerInfo{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), ImageID: c.Image, Restarts: c.RestartCount}
	if c.Config != nil {
		info.Image = c.Config.Image
	}
	info.OnHost = c.HostConfig != nil && c.HostConfig.NetworkMode.IsHost()
	if c.State != nil {
		info.State, info.ExitCode = string(c.State.Status), c.State.ExitCode
		info.Started, _ = time.Parse(time.RFC3339Nano, c.State.StartedAt)
		if c.State.Health != nil && c.State.Health.Status != container.NoHealthcheck {
			info.Health = string(c.State.Health.Status)
		}
	}
	if c.NetworkSettings != nil {
		info.Address = addressIn(c.NetworkSettings.Networks)
	}
	return info
}

// addressIn is where a container is reached from the host: always the same of several networks, IPv6 where there is no IPv4.
func addressIn(networks map[string]*network.EndpointSettings) (found netip.Addr) {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		switch n := networks[name]; {
		case n == nil:
		case n.IPAddress.IsValid():
			return n.IPAddress
		case !found.IsValid():
			found = n.GlobalIPv6Address
		}
	}
	return found
}

// ErrNotAnswering says that a route's health address gave no good answer.
var ErrNotAnswering = errors.New("no good answer")

// Probe asks the health address of the route, at the containers themselves and not through a published port.
func (e *Engine) Probe(ctx context.Context, route Route, services []Service) error {
	if route.Health == "" {
		return nil
	}
	i := slices.IndexFunc(services, func(s Service) bool { return s.Name == route.Service })
	if i < 0 || len(services[i].Containers) == 0 {
		return fmt.Errorf("%w: service %s has no container", ErrNotAnswering, route.Service)
	}
	for _, c := range services[i].Containers {
		address, ok := c.answersAt(route.Port)
		if !ok {
			return fmt.Errorf("%w: container %s of service %s has no address", ErrNotAnswering, c.Name, route.Service)
		}
		if err := ProbeAddress(ctx, route, address); err != nil {
			return fmt.Errorf("%w: %s of service %s: %v", ErrNotAnswering, route.Health, route.Service, err)
		}
	}
	return nil
}

// answersAt tells where a port of the container is reached from the host, without any published port.
func (c ContainerInfo) answersAt(port Port) (string, bool) {
	host := c.Address.String()
	switch {
	case c.Address.IsValid():
	case c.OnHost && c.State == string(container.StateRunning):
		host = "127.0.0.1"
	default: // whoever has that port of the host would answer for it
		return "", false
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), true
}

// Backends lists where the route's service answers now: its containers that run and are not out of health.
func (r Route) Backends(services []Service) []string {
	var addresses []string
	for _, s := range services {
		if s.Name != r.Service {
			continue
		}
		for _, c := range s.Containers {
			well := c.State == string(container.StateRunning) && (c.Health == "" || c.Health == string(container.Healthy))
			if address, ok := c.answersAt(r.Port); ok && well {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

var prober = &http.Client{
	Timeout:       5 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ProbeAddress asks the health address of the route at one of its Backends.
func ProbeAddress(ctx context.Context, route Route, address string) error {
	url := "http://" + address + "/" + strings.TrimPrefix(route.Health, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := prober.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}
