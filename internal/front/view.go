package front

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// view is a State made ready for use. It never changes.
type view struct {
	names       []string // lower case
	certificate *tls.Certificate
	pair        *KeyPair // certificate's
	alpn        map[string]*tls.Certificate
	challenges  map[string]string
	open        bool
	routes      []*route // longest path first
	clients     *clients
	tlsPort     uint16
}

// Apply makes state what the server goes by, for everything that begins from now on. Of a part that is no good, the one
// before is kept and the error says so; the others are in force.
func (s *Server) Apply(state State) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	before := s.view.Load()
	next := &view{open: state.Open, tlsPort: state.TLSPort, challenges: state.Challenges, alpn: map[string]*tls.Certificate{}}
	for _, name := range state.Names {
		next.names = append(next.names, hostOnly(name))
	}
	var errs []error
	bad := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	bad(next.setCertificate(state.Certificate, before))
	for name, pair := range state.ALPN {
		c, err := tls.X509KeyPair(pair.Chain, pair.Key)
		if err != nil {
			bad(fmt.Errorf("cannot use the challenge certificate of %q: %w", name, err))
			continue
		}
		next.alpn[hostOnly(name)] = &c
	}
	bad(next.setRoutes(s, state.Routes, before))
	bad(next.setClients(s, state.Clients, before))
	s.view.Store(next)
	s.board.Set(state.Notice)
	s.board.Ready(next.open && len(next.routes) > 0 && !slices.ContainsFunc(next.routes, func(r *route) bool { return len(r.backends) == 0 }))
	return errors.Join(errs...)
}

func (v *view) setCertificate(pair *KeyPair, before *view) error {
	if pair == nil {
		return nil
	}
	if before.pair != nil && string(pair.Chain) == string(before.pair.Chain) && string(pair.Key) == string(before.pair.Key) {
		v.certificate, v.pair = before.certificate, before.pair
		return nil
	}
	c, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		v.certificate, v.pair = before.certificate, before.pair
		return fmt.Errorf("cannot use the certificate, the one before stays: %w", err)
	}
	v.certificate, v.pair = &c, pair
	return nil
}

func (v *view) setClients(s *Server, wish Clients, before *view) error {
	if before.clients.of(wish) {
		v.clients = before.clients
		return nil
	}
	c, err := newClients(wish, s.now)
	if err != nil {
		v.clients = before.clients
		return fmt.Errorf("cannot check client certificates as told, what was told before stays: %w", err)
	}
	if c.asks() {
		c.tls = asking(s.tls, c)
	}
	v.clients = c
	return nil
}

// defaultTimeout is for a route that says nothing.
const defaultTimeout = 5 * time.Minute

func (v *view) setRoutes(s *Server, wishes []Route, before *view) error {
	var routes []*route
	for _, wish := range wishes {
		if !strings.HasPrefix(wish.Path, "/") {
			v.routes = before.routes
			return fmt.Errorf("cannot use the routes, those before stay: path %q of service %s does not begin with a slash", wish.Path, wish.Service)
		}
		r := &route{
			path: strings.TrimRight(wish.Path, "/"), service: wish.Service,
			transport: s.transport(cmp.Or(wish.Timeout, defaultTimeout)),
		}
		for _, address := range wish.Backends {
			if err := checkAddress(address); err != nil {
				v.routes = before.routes
				return fmt.Errorf("cannot use the routes, those before stay: backend %q of service %s: %w", address, wish.Service, err)
			}
			r.backends = append(r.backends, before.backend(address))
		}
		routes = append(routes, r)
	}
	slices.SortStableFunc(routes, func(a, b *route) int { return cmp.Compare(len(b.path), len(a.path)) })
	v.routes = routes
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return errors.New("want an address and a port")
	}
	return nil
}

// backend is the one of that address, with what is known about it already.
func (v *view) backend(address string) *backend {
	for _, r := range v.routes {
		for _, b := range r.backends {
			if b.address == address {
				return b
			}
		}
	}
	return &backend{address: address}
}

// route is the one with the longest path that fits, or nil.
func (v *view) route(path string) *route {
	for _, r := range v.routes {
		if rest, ok := strings.CutPrefix(path, r.path); ok && (rest == "" || rest[0] == '/') {
			return r
		}
	}
	return nil
}

// hostOnly is a host without its port and its trailing dot, in lower case.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
