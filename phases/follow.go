package phases

import (
	"context"
	"slices"
	"time"

	"appliance/internal/compose"
	"appliance/internal/front"
)

// How often to look for the containers behind the routes without being told to. A health address tells nobody when its
// answer changes.
const (
	followPause  = 30 * time.Second
	probePause   = 5 * time.Second
	doubtPause   = time.Second
	probeLimit   = 5 * time.Second
	probesFailed = 2 // in a row, before a container counts as out of health: one may be a moment of load
)

// follow keeps the routes' backends those containers that answer, whatever is done to them by whom.
func (v *visitors) follow(ctx context.Context) {
	for ctx.Err() == nil {
		project := v.following()
		if project == nil {
			if !pause(ctx, v.routed, followPause) {
				return
			}
			continue
		}
		v.followProject(ctx, project)
	}
}

// following is the project whose containers visitors are led to, nil where there is none.
func (v *visitors) following() *compose.Project {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.project == nil || len(v.project.Routes) == 0 {
		return nil
	}
	return v.project
}

// followProject looks after each event of the engine, until the project is another one or the engine goes away.
func (v *visitors) followProject(ctx context.Context, project *compose.Project) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	lost := v.watchChanges(ctx, project, changed)
	look := &lookout{v: v, project: project, doubts: map[string]int{}}
	for v.following() == project {
		wait := look.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-lost: // the backends stay: an engine that is upgraded may leave the containers running
			pause(ctx, v.routed, doubtPause)
			return
		case <-changed:
			look.stale = true
		case <-v.routed:
			look.stale = true
		case <-time.After(wait):
		}
	}
}

// watchChanges makes changed readable after each event of the project, and the result when the engine went away.
func (v *visitors) watchChanges(ctx context.Context, project *compose.Project, changed chan<- struct{}) <-chan error {
	lost := make(chan error, 1)
	go func() {
		lost <- v.a.cfg.Engine.Watch(ctx, project.Name(), func(compose.Event) { signal(changed) })
	}()
	return lost
}

// signal makes a channel of one place readable.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits for something to happen, for d at the most, and says whether there is a point in going on.
func pause(ctx context.Context, happened <-chan struct{}, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-happened:
	case <-time.After(d):
	}
	return true
}

// lookout knows the containers behind the routes of a project.
type lookout struct {
	v        *visitors
	project  *compose.Project
	services []compose.Service // as the engine told last
	told     time.Time
	stale    bool           // something has happened since
	doubts   map[string]int // path of a route and address, and how often in a row it has failed
}

// refresh leads visitors to the containers that answer now, and says when to look again.
func (l *lookout) refresh(ctx context.Context) time.Duration {
	if now := time.Now(); l.stale || now.Sub(l.told) >= followPause {
		looking, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		services, err := l.v.a.cfg.Engine.Services(looking, l.project)
		if err != nil {
			return doubtPause // the events tell whether the engine is away
		}
		l.services, l.told, l.stale = services, now, false
	}
	l.v.meet(l.project, l.services)
	l.v.lead(l.project, l.believed()) // a container that hangs must not keep visitors from all the others
	next := followPause
	backends := make([][]string, len(l.project.Routes))
	for i, route := range l.project.Routes {
		if route.Health != "" {
			next = min(next, probePause)
		}
		for _, address := range l.v.backends(route, l.services) {
			if l.answers(ctx, route, address) {
				backends[i] = append(backends[i], address)
			}
			if l.doubts[route.Path+address] > 0 {
				next = doubtPause
			}
		}
	}
	l.v.lead(l.project, backends)
	return next
}

// meet notes which containers are the project's: all of them, until one that moves a port is prepared.
func (v *visitors) meet(project *compose.Project, services []compose.Service) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.project != project || slices.ContainsFunc(project.Routes, v.moves) {
		return
	}
	v.own = map[string]bool{}
	for _, s := range services {
		for _, c := range s.Containers {
			v.own[c.ID] = true
		}
	}
}

// moves says whether the project that is prepared does not lead to where the route does. The caller holds the lock.
func (v *visitors) moves(route compose.Route) bool {
	return v.next != nil && !slices.ContainsFunc(v.next.Routes, func(r compose.Route) bool {
		return r.Service == route.Service && r.Port == route.Port
	})
}

// backends lists where the route's containers answer. Of one that is about to move, those that come are left out, whatever
// address they have: they are the next project's, and what they have at the port of before may be not for visitors.
func (v *visitors) backends(route compose.Route, services []compose.Service) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.moves(route) {
		return route.Backends(services)
	}
	stay := slices.Clone(services)
	for i, s := range stay {
		stay[i].Containers = slices.DeleteFunc(slices.Clone(s.Containers), func(c compose.ContainerInfo) bool { return !v.own[c.ID] })
	}
	return route.Backends(stay)
}

// believed lists for each route the containers that nobody has to be asked about, or that have answered until now.
func (l *lookout) believed() [][]string {
	backends := make([][]string, len(l.project.Routes))
	for i, route := range l.project.Routes {
		for _, address := range l.v.backends(route, l.services) {
			if route.Health == "" || l.doubts[route.Path+address] < probesFailed && l.v.leadsTo(route, address) {
				backends[i] = append(backends[i], address)
			}
		}
	}
	return backends
}

// answers says whether the container at address answers for the route. One that did is believed until it fails twice.
func (l *lookout) answers(ctx context.Context, route compose.Route, address string) bool {
	if route.Health == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if compose.ProbeAddress(ctx, route, address) == nil {
		delete(l.doubts, route.Path+address)
		return true
	}
	l.doubts[route.Path+address]++
	return l.doubts[route.Path+address] < probesFailed && l.v.leadsTo(route, address)
}

func (v *visitors) leadsTo(route compose.Route, address string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.state.Routes, func(r front.Route) bool {
		return r.Path == route.Path && slices.Contains(r.Backends, address)
	})
}

// look leads visitors to the containers that answer now, once.
func (v *visitors) look(ctx context.Context, project *compose.Project) {
	l := &lookout{v: v, project: project, doubts: map[string]int{}}
	l.refresh(ctx)
}

// lead has visitors led to backends, one list a route.
func (v *visitors) lead(project *compose.Project, backends [][]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.project != project {
		return
	}
	routes, differs := slices.Clone(v.state.Routes), false
	for i := range routes {
		differs = differs || !slices.Equal(routes[i].Backends, backends[i])
		routes[i].Backends = backends[i]
	}
	if v.state.Routes = routes; differs {
		v.poke()
	}
}
