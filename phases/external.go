package phases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"appliance/env"
	"appliance/internal/cert/clientca"
	"appliance/internal/compose"
	"appliance/internal/front/page"
	"appliance/internal/nginx"
	"appliance/internal/remedy"
)

// external is a web server of the host that receives visitors in our place.
type external struct {
	server *nginx.Server
	wish   nginx.Wish
}

func (w *walk) external(s site) external {
	bundle, _ := clientca.Files{System: w.sys}.Load() // its warnings are the front's to give
	server := nginx.New(nginx.Config{System: w.sys})
	if w.visitors != nil {
		server = w.visitors.server
		s.project = w.visitors.leads(s.project)
	}
	return external{server, nginxWish(s, bundle)}
}

// leads is the project that visitors are led to: the one that serves, until the next one is healthy.
func (v *visitors) leads(next *compose.Project) *compose.Project {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.goesOn() {
		return v.project
	}
	return next
}

// nginxWish puts a site into the words of nginx, which reaches services by the ports that they publish.
func nginxWish(s site, bundle clientca.Bundle) nginx.Wish {
	wish := nginx.Wish{Names: s.set.Site.Names, Clients: s.set.Site.Clients, Revocation: len(bundle.CRLs) > 0}
	if s.project == nil {
		return wish
	}
	for _, route := range s.project.Routes {
		address, err := netip.ParseAddrPort(s.project.Published(route))
		if err != nil {
			address = netip.AddrPort{} // it is published nowhere: nginx has nothing to lead to, and says so
		}
		wish.Routes = append(wish.Routes, nginx.Route{Path: route.Path, Address: address, Timeout: route.Wait()})
	}
	return wish
}

func (e external) missing(ctx context.Context) (string, error) { return e.server.Missing(ctx, e.wish) }

func (e external) apply(ctx context.Context) error { return e.server.Apply(ctx, e.wish) }

// leaveServer takes away what would have a web server go on showing our page, once it is the operator's alone.
func (v *visitors) leaveServer() {
	v.mu.Lock()
	left := v.left
	v.left = false
	v.mu.Unlock()
	if !left {
		return
	}
	if err := errors.Join(v.server.HidePage(), v.server.Challenges(nil)); err != nil {
		v.a.warn(err.Error())
	}
}

// tellServer has nginx show the page while the front would be closed, and read what it has not read yet.
func (v *visitors) tellServer(ctx context.Context, notice page.Notice, open bool) error {
	v.mu.Lock()
	ready := v.walked
	challenges := maps.Clone(v.state.Challenges)
	s := site{set: env.Settings{Site: v.site, Domain: v.domain}, project: v.project}
	v.mu.Unlock()
	var err error
	if open {
		err = v.server.HidePage()
	} else {
		err = v.server.ShowPage(page.File(notice))
	}
	if err != nil || !ready {
		return err
	}
	if err := v.server.Challenges(challenges); err != nil {
		return err
	}
	bundle, _ := clientca.Files{System: v.a.cfg.System}.Load() // as above
	e := external{v.server, nginxWish(s, bundle)}
	why, err := e.missing(ctx)
	if why == "" || err != nil {
		return err
	}
	if err := e.apply(ctx); err != nil {
		return remedy.With(fmt.Errorf("nginx goes on with what it has: %w", err), remedy.Of(err))
	}
	return nil
}
