package phases

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"appliance/env"
	"appliance/internal/api"
	"appliance/internal/cert"
	"appliance/internal/compose"
	"appliance/internal/front"
	"appliance/internal/front/worker"
	"appliance/internal/nginx"
	"appliance/internal/remedy"
)

// servingMark says that the application has proved itself in this boot. A supervisor that ends leaves in it where the
// application was found last, for the one that takes over: the engine may be away then.
const servingMark = "/run/appliance/serving"

// visitors decides what visitors get to see, and tells whoever answers them. It is safe for concurrent use.
type visitors struct {
	a      *Appliance
	wake   chan struct{} // something changed
	routed chan struct{} // there may be another project
	reread chan struct{} // certificates of visitors may be asked for in another way
	server *nginx.Server // of the host: its files have one writer
	opened func()        // says that visitors are received; before that no challenge can be answered
	open   <-chan struct{}

	mu      sync.Mutex
	mode    string // env.FrontBuiltin, …; "" is not known yet
	left    bool   // a web server of the host answers no more, and may still have our page
	site    env.Site
	domain  string
	project *compose.Project
	next    *compose.Project // is prepared while project goes on serving
	own     map[string]bool  // IDs of project's containers, from before next moved a port
	serving bool             // the application has proved itself and is meant to serve
	leaving bool             // it is being stopped
	leftAt  time.Time
	walked  bool // the steps before the front's have been taken: /data is the right one
	state   front.State
	trouble string   // why visitors cannot be answered
	warned  []string // of the files of the application, before they are followed
}

func newVisitors(a *Appliance) *visitors {
	open := make(chan struct{})
	v := &visitors{a: a, server: nginx.New(nginx.Config{System: a.cfg.System}), open: open, opened: sync.OnceFunc(func() { close(open) }),
		wake: make(chan struct{}, 1), routed: make(chan struct{}, 1), reread: make(chan struct{}, 1), serving: a.cfg.System.Exists(servingMark),
		left:  a.cfg.System.Exists(nginx.IdentityFile), // it was one before this process
		state: front.State{Challenges: map[string]string{}, ALPN: map[string]front.KeyPair{}}}
	if found, err := a.cfg.System.ReadFile(servingMark); err == nil {
		_ = json.Unmarshal(found, &v.state.Routes) // an empty one knows of none
	}
	return v
}

// handOn leaves in servingMark where the application is.
func (v *visitors) handOn() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.serving || v.leaving || len(v.state.Routes) == 0 {
		return
	}
	found, err := json.Marshal(v.state.Routes)
	if err == nil {
		err = v.a.cfg.System.WriteFile(servingMark, found, 0o644)
	}
	if err != nil {
		v.a.cfg.Log.Warn("the next supervisor has to ask the engine where the application is", "err", err)
	}
}

// takeOver empties servingMark once it is read: what is in it counts for one successor. A supervisor that is killed has not
// written what has changed since, and an address may be somebody else's by then.
func (v *visitors) takeOver() {
	if !v.serving || len(v.state.Routes) == 0 {
		return
	}
	if err := v.a.cfg.System.WriteFile(servingMark, nil, 0o644); err != nil {
		v.a.warn(err.Error())
	}
}

// poke has visitors told what has changed, soon.
func (v *visitors) poke() { signal(v.wake) }

// change alters what visitors get to see.
func (v *visitors) change(alter func()) {
	v.mu.Lock()
	alter()
	v.mu.Unlock()
	v.poke()
}

// run tells of changes until ctx ends.
func (v *visitors) run(ctx context.Context) {
	for {
		v.tell(ctx)
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		}
	}
}

// tell hands the present state to whoever answers.
func (v *visitors) tell(ctx context.Context) {
	status := v.a.Status()
	notice := v.notice(status)
	v.mu.Lock()
	v.state.Notice = notice
	v.state.Open = v.serving && !v.leaving
	open := v.state.Open && v.reached(status)
	v.submit()
	v.mu.Unlock()
	if !v.external() {
		v.leaveServer()
		return
	}
	if err := v.tellServer(ctx, notice, open); err != nil && ctx.Err() == nil {
		v.setTrouble(err)
		return
	}
	v.setTrouble(nil)
}

// setTrouble notes why visitors are not answered as they should be, and says it once.
func (v *visitors) setTrouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
		if todo := remedy.Of(err); todo != "" {
			text += "; to do: " + todo
		}
	}
	text = v.a.hide(text)
	v.mu.Lock()
	known := v.trouble
	v.trouble = text
	v.mu.Unlock()
	if text != known && text != "" {
		v.a.warn(text)
	}
}

// submit tells the worker. The caller holds the lock.
func (v *visitors) submit() {
	if v.a.cfg.Front == nil {
		return
	}
	s := v.state
	s.Challenges, s.ALPN = maps.Clone(s.Challenges), maps.Clone(s.ALPN) // others may add to them meanwhile
	v.a.cfg.Front.Tell(s)
}

// known takes over what the environment says of the site, and which project there is; nil is none that could be read.
func (v *visitors) known(set env.Settings, project *compose.Project) {
	v.change(func() {
		v.site, v.domain = set.Site, set.Domain
		before := v.mode
		v.mode = frontMode(set.Site, project)
		v.left = v.left && v.mode != env.FrontExternal || before == env.FrontExternal && v.mode != before
		if set.Site.Clients == front.ClientsRequired { // from now on; which authority is good is read again soon
			v.state.Clients.Mode = front.ClientsRequired
		}
		handed := v.mode == env.FrontExternal && before != v.mode // to who needs the ports that only the next one may publish
		switch {
		case project == nil:
		case handed, !v.goesOn():
			v.project, v.next = project, nil
		default:
			v.next = project
		}
		v.state.Names = set.Site.Names
		v.state.TLSPort = tlsPort(set.Site.TLS)
		v.state.Routes = v.routes(v.state.Routes)
	})
	signal(v.routed)
	signal(v.reread)
}

// goesOn says whether the application that has proved itself goes on serving while the next one is prepared: visitors are
// led to where it is, and not yet to where the next one will be. The caller holds the lock.
func (v *visitors) goesOn() bool {
	return v.serving && v.mode != env.FrontOff && v.project != nil && len(v.project.Routes) > 0
}

// reached says whether a web server of the host finds somebody behind the routes. It does not look for itself: without our
// page visitors would see its own. The caller holds the lock.
func (v *visitors) reached(s api.Status) bool {
	if len(v.state.Routes) == 0 { // an operator's template leads where we do not know
		return s.Healthy || !s.Resting
	}
	return slices.ContainsFunc(v.state.Routes, func(r front.Route) bool { return len(r.Backends) > 0 })
}

// arrived opens the front to a project that is healthy.
func (v *visitors) arrived(project *compose.Project) {
	v.change(func() {
		v.serving, v.leaving = true, false
		v.project, v.next = project, nil
		v.state.Routes = v.routes(v.state.Routes)
	})
	signal(v.routed)
}

// frontMode is who answers. A project that names no routes has nothing for the builtin front, unless it is asked for.
func frontMode(site env.Site, project *compose.Project) string {
	if site.Front == env.FrontBuiltin && !site.FrontSet && project != nil && len(project.Routes) == 0 {
		return env.FrontOff
	}
	return site.Front
}

// routes lists the project's routes, each with the backends it is known to have: none at another port, where its containers
// may have something that is not for visitors.
func (v *visitors) routes(before []front.Route) []front.Route {
	if v.project == nil {
		return nil
	}
	routes := make([]front.Route, len(v.project.Routes))
	for i, r := range v.project.Routes {
		routes[i] = front.Route{Path: r.Path, Service: r.Service, Timeout: r.Wait()}
		for _, old := range before {
			if old.Path == r.Path && old.Service == r.Service {
				routes[i].Backends = atPort(old.Backends, r.Port)
			}
		}
	}
	return routes
}

func atPort(addresses []string, port compose.Port) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(address string) bool {
		_, text, err := net.SplitHostPort(address)
		return err != nil || text != strconv.Itoa(int(port))
	})
}

// tlsPort is where visitors without TLS are sent to; 0 where there is no TLS.
func tlsPort(addresses []string) uint16 {
	for _, address := range addresses {
		if at, err := netip.ParseAddrPort(address); err == nil {
			return at.Port()
		}
		if at, err := netip.ParseAddrPort("0.0.0.0" + address); err == nil {
			return at.Port()
		}
	}
	return 0
}

// certified has visitors shown the certificate, and the services that need to know told of it.
func (v *visitors) certified(c cert.Certificate) {
	v.change(func() { v.state.Certificate = &front.KeyPair{Key: c.Key, Chain: c.Chain} })
}

// proved opens the front: the application is healthy.
func (v *visitors) proved() error {
	v.serve()
	if v.a.cfg.System.Exists(servingMark) {
		return nil
	}
	return v.a.cfg.System.WriteFile(servingMark, nil, 0o644)
}

// serve opens the front to those routes whose containers answer.
func (v *visitors) serve() { v.change(func() { v.serving, v.leaving = true, false }) }

// rests closes the front: the application is not meant to serve.
func (v *visitors) rests() error {
	v.change(func() { v.serving = false })
	return v.a.cfg.System.Remove(servingMark)
}

// describe tells the operator who answers visitors.
func (v *visitors) describe() *api.Front {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mode == "" {
		return nil
	}
	f := &api.Front{Mode: v.mode, Trouble: v.trouble}
	if v.mode == env.FrontBuiltin && v.a.cfg.Front != nil {
		for _, s := range v.a.cfg.Front.Sockets() {
			f.Listening = append(f.Listening, s.String())
		}
		f.PID = v.a.cfg.Front.PID()
	}
	return f
}

// urls lists where visitors find the routes.
func (v *visitors) urls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mode != env.FrontBuiltin || v.a.cfg.Front == nil {
		return nil
	}
	var found []string
	for _, s := range v.a.cfg.Front.Sockets() {
		at, err := netip.ParseAddrPort(s.Address)
		if err != nil || s.Kind != worker.TLS && v.state.TLSPort != 0 {
			continue
		}
		host, port := v.domain, fmt.Sprintf(":%d", at.Port())
		if at.Addr().IsLoopback() {
			host = at.Addr().String()
			if at.Addr().Is6() {
				host = "[" + host + "]"
			}
		}
		if s.Kind == worker.TLS && at.Port() == 443 || s.Kind == worker.Plain && at.Port() == 80 {
			port = ""
		}
		for _, r := range v.state.Routes {
			found = append(found, s.Kind+"://"+host+port+r.Path)
		}
	}
	return slices.Compact(found)
}
