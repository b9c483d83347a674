package nginx

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"appliance/internal/remedy"
)

// How nginx asks visitors for certificates.
const (
	ClientsNone     = ""         // it does not
	ClientsOptional = "optional" // who shows one must show a good one
	ClientsRequired = "required"
)

// Wish is the site that nginx is to show.
type Wish struct {
	Names      []string // of the site
	Clients    string   // ClientsNone, ClientsOptional or ClientsRequired
	Revocation bool     // there are lists of revoked client certificates; nginx takes nobody's without one if told of them
	Routes     []Route  // not for a template of the operator, which has its own
}

// Route leads requests below a path to a port that a service publishes on this host.
type Route struct {
	Path    string         // "/" or "/app"; "/app" fits "/app" and "/app/…", not "/apple"
	Address netip.AddrPort // as published: an unspecified address is reached by loopback
	Timeout time.Duration  // how long the application may be silent; 0 is nginx's minute
}

// bundle is as nginx's configuration names it: always whole, whatever the application has written last.
const bundle = "/app/etc/cert/clients/bundle.pem"

//go:embed identity.conf
var identityText string

var identityTemplate = template.Must(template.New("identity").Parse(identityText))

// identity is what the template shows. All of it has been checked to be plain words of nginx's syntax.
type identity struct {
	Names, Verify string
	Revocation    bool
	Locations     []location
}

type location struct {
	Match   string
	Address string // "": there is nothing
	Seconds int
}

// They are compiled when they are needed, as are those of challenges: half a megabyte that most commands need not take.
var (
	siteName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	})
	sitePath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/?$`) })
)

// render answers the identity as text. Nothing of the wish can be more than the word it stands for.
func (s *Server) render(w Wish) ([]byte, error) {
	id := identity{Verify: map[string]string{ClientsNone: "off", ClientsOptional: "optional", ClientsRequired: "on"}[w.Clients], Revocation: w.Revocation}
	if id.Verify == "" {
		return nil, fmt.Errorf("cannot tell nginx of client certificates: %q is no way to ask for them", w.Clients)
	}
	if len(w.Names) == 0 {
		return nil, fmt.Errorf("cannot tell nginx of the site: it has no name")
	}
	for _, name := range w.Names {
		if len(name) > 253 || !siteName().MatchString(name) {
			return nil, remedy.With(fmt.Errorf("cannot tell nginx of the site: %q is no name of one", name), "correct appliance.domain and appliance.ssl.acme.names")
		}
	}
	id.Names = strings.Join(w.Names, " ")
	own, err := s.read(TemplateFile)
	if err != nil {
		return nil, err
	}
	if own != nil {
		words := []string{"##ALLOWED_HOSTS##", id.Names, "##VERIFY_CLIENT##", id.Verify}
		if w.Revocation { // the predecessor's names; what the application writes there may be torn, and nginx would not start
			words = append(words, "/app/etc/ca.cert.pem", bundle, "/app/etc/crl.pem", bundle)
		}
		return []byte(strings.NewReplacer(words...).Replace(string(own))), nil
	}
	if id.Locations, err = locations(w.Routes); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := identityTemplate.Execute(&text, id); err != nil {
		return nil, fmt.Errorf("cannot render %s: %w", IdentityFile, err)
	}
	return text.Bytes(), nil
}

// locations are in an order of their own, so that the same routes make the same text.
func locations(routes []Route) ([]location, error) {
	var all []location
	root := false
	for _, route := range routes {
		if !strings.HasPrefix(route.Path, "/") || !sitePath().MatchString(route.Path) || strings.Contains(route.Path+"/", "/../") || strings.Contains(route.Path+"/", "/./") {
			return nil, remedy.With(fmt.Errorf("cannot tell nginx of the path %q: it is not made of letters, digits and . _ ~ - / alone", route.Path),
				"correct the path in x-appliance.routes, or write "+TemplateFile)
		}
		address, err := reachable(route)
		if err != nil {
			return nil, err
		}
		to := location{Address: address, Seconds: int(route.Timeout.Seconds())}
		if to.Seconds <= 0 {
			to.Seconds = 60
		}
		prefix := strings.TrimSuffix(route.Path, "/")
		if prefix == "" {
			root, to.Match = true, "/"
			all = append(all, to)
			continue
		}
		for _, match := range []string{"= " + prefix, "^~ " + prefix + "/"} { // or /app would fit /apple
			to.Match = match
			all = append(all, to)
		}
	}
	if !root {
		all = append(all, location{Match: "/"})
	}
	slices.SortFunc(all, func(a, b location) int { return strings.Compare(a.Match, b.Match) })
	for i := 1; i < len(all); i++ {
		if all[i].Match == all[i-1].Match {
			return nil, fmt.Errorf("cannot tell nginx of the routes: two have the path of location %s", all[i].Match)
		}
	}
	return all, nil
}

func reachable(route Route) (string, error) {
	address := route.Address
	if !address.IsValid() || address.Port() == 0 || address.Addr().Zone() != "" {
		return "", remedy.With(fmt.Errorf("cannot lead nginx to the path %q: its service publishes no port on this host", route.Path),
			`publish it on loopback ("127.0.0.1:8080:8080" below ports of the service), or set appliance.front to builtin, which needs no published port`)
	}
	switch address.Addr() {
	case netip.IPv4Unspecified():
		address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port())
	case netip.IPv6Unspecified():
		address = netip.AddrPortFrom(netip.IPv6Loopback(), address.Port())
	}
	return address.String(), nil
}
