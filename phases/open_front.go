package phases

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
	"appliance/internal/compose"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// site is what the steps of the front work with.
type site struct {
	set     env.Settings
	project *compose.Project // nil: none that could be read; prepare-ecs says why
	mode    string
	plain   []string // addresses to listen on
	tls     []string
}

func (w *walk) site(ctx context.Context) (site, error) {
	doc, err := w.environment()
	if err != nil {
		return site{}, err
	}
	s := site{set: doc.Settings()}
	if project, err := w.loadProject(ctx); err == nil {
		s.project = project
	}
	s.mode = frontMode(s.set.Site, s.project)
	s.listen(w.sys)
	return s, nil
}

// listen fills in where visitors are to be received. The well-known ports of the host are not for a directory that
// stands for one.
func (s *site) listen(sys *system.System) {
	if s.mode == env.FrontBuiltin && (s.set.Site.ListenSet || sys.Real()) {
		s.plain, s.tls = s.set.Site.Plain, s.set.Site.TLS
	}
}

// frontDiffers looks whether visitors are received where and how the environment says.
func (w *walk) frontDiffers(ctx context.Context) (string, error) {
	s, err := w.site(ctx)
	if err != nil {
		return "", err
	}
	if err := s.conflict(); err != nil {
		return "", err
	}
	if w.visitors != nil {
		w.visitors.change(func() { w.visitors.walked = true })
		w.visitors.known(s.set, s.project)
	}
	if w.front != nil && !w.front.Listens(s.plain, s.tls) {
		return "visitors are to be received at " + addresses(s), nil
	}
	if s.mode == env.FrontExternal {
		why, err := w.external(s).missing(ctx)
		return why, w.received(why != "", err)
	}
	return "", w.received(false, nil)
}

// received notes that visitors are received where they are to be, unless there is work yet.
func (w *walk) received(work bool, err error) error {
	if w.visitors != nil && !work && err == nil {
		w.visitors.opened()
	}
	return err
}

func addresses(s site) string {
	all := append(slices.Clone(s.plain), s.tls...)
	if len(all) == 0 {
		return "no address"
	}
	return strings.Join(all, ", ")
}

// openFront receives visitors there.
func (w *walk) openFront(ctx context.Context) error {
	s, err := w.site(ctx)
	if err != nil {
		return err
	}
	if w.front != nil {
		if err := w.front.Listen(s.plain, s.tls); err != nil {
			return err
		}
	}
	if s.mode == env.FrontExternal {
		return w.received(false, w.external(s).apply(ctx))
	}
	return w.received(false, w.front.Settle(ctx))
}

// conflict says that the application takes an address itself that the front is to have.
func (s site) conflict() error {
	if s.project == nil {
		return nil
	}
	for _, address := range append(slices.Clone(s.plain), s.tls...) {
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("cannot listen on %q: %w", address, err)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("cannot listen on %q: %w", address, err)
		}
		if service := s.project.Publishes(uint16(port)); service != "" {
			return remedy.With(fmt.Errorf("cannot receive visitors at %s: service %s publishes port %d itself", address, service, port),
				"take the port out of the compose file (x-appliance.routes leads visitors to the service), or name other addresses in appliance.listen, or set appliance.front to off")
		}
	}
	return nil
}
