package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// gate lets one browser in: the first that shows the token. Other users of this host, pages of other sites and servers
// on other ports of the loopback address stay outside.
type gate struct {
	paper *paper
	inner http.Handler
	token string // in the address that is printed
	pass  string // in the cookie

	// room is the path below which everything lies. A browser sends a cookie to every port of a host; bound to a path
	// that nobody else knows, it is sent to no other server.
	room string

	mu    sync.Mutex
	taken bool
}

const cookieName = "appliance-ui"

func newGate(inner http.Handler, paper *paper) *gate {
	g := &gate{paper: paper, token: rand.Text() + rand.Text(), pass: rand.Text() + rand.Text(), room: "/" + rand.Text() + "/"}
	g.inner = http.StripPrefix(strings.TrimSuffix(g.room, "/"), inner)
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.paper.protect(w.Header())
	switch {
	case !loopbackHost(req.Host): // a name of somebody else that leads here
		g.paper.refuse(w, http.StatusMisdirectedRequest, "This page answers only to the loopback address.")
	case req.URL.Path == "/" && req.Method == http.MethodGet:
		g.door(w, req)
	case !g.inside(req):
		g.paper.refuse(w, http.StatusForbidden, closed)
	case req.Method != http.MethodGet && req.Header.Get("Origin") != "http://"+req.Host:
		g.paper.refuse(w, http.StatusForbidden, "This was not asked for from the page itself.")
	default:
		g.inner.ServeHTTP(w, req)
	}
}

const closed = "The address that `appliance ui` prints opens this page for one browser, one time. Start it again for a new one."

// door takes the token and leads on. It does not redirect: after a link on another site, the browser would keep the
// cookie back on its way.
func (g *gate) door(w http.ResponseWriter, req *http.Request) {
	if !g.take(req.URL.Query().Get("token")) {
		g.paper.refuse(w, http.StatusForbidden, closed)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.pass, Path: g.room, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Referrer-Policy", "no-referrer")
	g.paper.write(w, http.StatusOK, "door", g.room)
}

// take is true for the right token, and only the first time.
func (g *gate) take(token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken || !same(token, g.token) {
		return false
	}
	g.taken = true
	return true
}

func (g *gate) inside(req *http.Request) bool {
	cookie, err := req.Cookie(cookieName)
	return err == nil && same(cookie.Value, g.pass) && strings.HasPrefix(req.URL.Path, g.room)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// loopbackHost says whether a browser that names host means this machine. The port may be another one than ours: that of
// a tunnel.
func loopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	address, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && address.Unmap().IsLoopback()
}
