package front

import (
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// exchange is a request and its answer. It stands between the handlers and the server's ResponseWriter, and notes what
// goes by.
type exchange struct {
	http.ResponseWriter
	server   *Server
	conn     *conn
	in       *http.Request
	view     *view
	verdict  *verdict // nil: no certificates are asked for
	route    *route
	watch    *watch // nil: the kernel watches well enough
	started  time.Time
	status   int
	bytes    int64
	upgraded bool
}

// ServeHTTP answers a request, whatever it came by.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, server: s, in: r, view: s.view.Load(), started: time.Now()}
	x.conn, _ = r.Context().Value(connKey{}).(*conn)
	if !x.conn.http2 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	if r.Body != http.NoBody || x.conn.http2 {
		startWatch(x)
	}
	defer x.end()
	all, own := s.requests.Add(1), x.conn.crowd.requests.Add(1)
	if all > int64(s.limits.Requests) || own > int64(s.limits.RequestsPerAddress) {
		s.grumble("requests are refused", "why", "too many are under way")
		x.Header().Set("Retry-After", "5")
		x.server.board.Error(x, r, http.StatusServiceUnavailable)
		return
	}
	x.answer()
}

const (
	acmePath  = "/.well-known/acme-challenge/"
	knownPath = "/.well-known/appliance/"
)

// answer says who answers what. The first two are for machines that have neither TLS nor a certificate yet.
func (x *exchange) answer() {
	path := x.in.URL.Path
	switch {
	case strings.HasPrefix(path, acmePath):
		x.answerChallenge(path[len(acmePath):])
	case strings.HasPrefix(path, knownPath):
		x.server.known.ServeHTTP(x, x.in)
	case x.in.Method == http.MethodConnect:
		x.server.board.Error(x, x.in, http.StatusMethodNotAllowed)
	case x.in.URL.Opaque != "", path == "*": // "x:secret": a target without a path, which no route can be found for
		x.server.board.Error(x, x.in, http.StatusBadRequest)
	case !httpguts.ValidHostHeader(x.in.Host): // net/http lets one of an absolute target through that is none
		x.server.board.Error(x, x.in, http.StatusBadRequest)
	case x.conn.tls == nil && x.view.tlsPort != 0:
		x.redirect()
	default:
		x.site()
	}
}

func (x *exchange) answerChallenge(token string) {
	answer, ok := x.view.challenges[token]
	if !ok {
		http.NotFound(x, x.in)
		return
	}
	x.Header().Set("Content-Type", "application/octet-stream")
	_, _ = x.Write([]byte(answer))
}

// site is the application, or what there is to say in its place.
func (x *exchange) site() {
	if c := x.view.clients; c.asks() {
		if x.verdict = c.check(x.conn); x.verdict.refused != "" {
			x.refuse()
			return
		}
	}
	x.route = x.view.route(x.in.URL.Path)
	switch {
	case !x.view.open || len(x.view.routes) == 0 || x.route != nil && len(x.route.backends) == 0:
		x.server.board.ServeHTTP(x, x.in)
	case x.route == nil:
		x.server.board.Error(x, x.in, http.StatusNotFound)
	default:
		x.proxy()
	}
}

// refuse turns away who has no good certificate, and ends the connection: a browser chooses one when it connects.
func (x *exchange) refuse() {
	x.Header().Set("Connection", "close")
	x.Header().Set("X-Client-Certificate", x.verdict.refused)
	x.server.board.Error(x, x.in, http.StatusForbidden)
}

// WriteHeader implements http.ResponseWriter. While the server drains, an answer ends its connection, and so does one that
// is given before the request has come to its end.
func (x *exchange) WriteHeader(status int) {
	if status == http.StatusContinue {
		return // net/http says so itself, once, when the application's 100 has us read the body
	}
	if status >= 200 && x.status == 0 {
		x.status = status
		if x.server.draining.Load() || x.watch.leaves() {
			x.Header().Set("Connection", "close")
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.watch != nil {
		x.watch.beginWrite()
		defer x.watch.endWrite()
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// FlushError is for http.ResponseController. It is where a small write waits for the client.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.watch != nil {
		x.watch.beginWrite()
		defer x.watch.endWrite()
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// statusGone is noted for clients that did not wait for their answer; nobody is sent it.
const statusGone = 499

func (x *exchange) end() {
	x.server.requests.Add(-1)
	x.conn.crowd.requests.Add(-1)
	broken := recover()
	switch {
	case x.status == 0 && broken != nil:
		x.status = statusGone
	case x.status == 0:
		x.WriteHeader(http.StatusOK)
	}
	if x.watch != nil {
		x.watch.stop()
	}
	if broken != nil && broken != http.ErrAbortHandler { //nolint:errorlint // a value that was panicked with
		x.server.grumble("a request made the front panic", "panic", broken, "stack", string(debug.Stack()))
	}
	x.server.access.note(x)
	if broken != nil {
		panic(broken)
	}
}
