package front

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// proxy passes the request on to the application and its answer back.
func (x *exchange) proxy() {
	if changesHTTP(x.in.Header["Upgrade"]) {
		delete(x.in.Header, "Upgrade") // who may not switch is answered as if they had not asked
		delete(x.in.Header, "Http2-Settings")
	}
	p := httputil.ReverseProxy{
		Rewrite: x.rewrite, Transport: x, ErrorHandler: x.fail,
		// For answers of a known length; all others are passed on as they come.
		FlushInterval: 20 * time.Millisecond,
		BufferPool:    buffers, ErrorLog: x.server.errorLog,
	}
	p.ServeHTTP(x, x.in)
}

// rewrite makes the request to the application, of which hop-by-hop fields are gone already. What clients may not say
// is dropped after that and what the front says is set last.
func (x *exchange) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it came; what is odd in it is the application's to judge
	// An application that sends a body all the same must not have it taken for the answer to the next request.
	r.Out.Close = r.In.Method == http.MethodHead
	dropOurs(r.Out.Header)
	x.tell(r.Out.Header)
	if r.In.Trailer != nil {
		dropOurs(r.In.Trailer)
		r.Out.Trailer = r.In.Trailer // is filled when the body ends
	}
}

// RoundTrip implements http.RoundTripper: it asks the backends of the route until one takes the request. A backend that
// could not be reached has seen none of it, so that any request can be given to the next. If there is none left, the
// routes may have changed meanwhile: a container is replaced, and the request was on its way to the one before.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		res, err := x.ask(r)
		if now := x.server.view.Load(); now != x.view && notSent(err) && r.Context().Err() == nil {
			if route := now.route(x.in.URL.Path); now.open && route != nil && len(route.backends) > 0 {
				x.view, x.route = now, route
				continue
			}
		}
		return res, err
	}
}

func (x *exchange) ask(r *http.Request) (res *http.Response, err error) {
	x.route.all(func(b *backend) bool {
		attempt := r
		if r.Body != nil {
			attempt = r.WithContext(r.Context())
			attempt.Body = io.NopCloser(r.Body) // a transport closes it even if it has not touched it
		}
		attempt.URL.Host = b.address
		if res, err = x.route.transport.RoundTrip(attempt); err == nil || !notSent(err) || r.Context().Err() != nil {
			return true
		}
		b.avoid.Store(time.Now().Add(x.server.limits.Avoid).UnixNano())
		return false
	})
	return res, err
}

// fail answers for an application that did not.
func (x *exchange) fail(_ http.ResponseWriter, _ *http.Request, err error) {
	if status := x.ownFault(); status != 0 {
		x.Header().Set("Connection", "close")
		x.server.board.Error(x, x.in, status)
		return
	}
	if x.in.Context().Err() != nil {
		x.status = statusGone
		panic(http.ErrAbortHandler)
	}
	if notSent(err) { // nobody is there, and the engine has not said so yet
		x.server.grumble("cannot reach "+x.route.service, "err", err)
		x.server.board.ServeHTTP(x, x.in)
		return
	}
	status := http.StatusBadGateway
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		status = http.StatusGatewayTimeout
	}
	x.server.grumble("cannot get an answer of "+x.route.service, "status", status, "err", err)
	x.server.board.Error(x, x.in, status)
}

// ownFault is the status for a request whose body did not come as it should; 0 if it is not to blame.
func (x *exchange) ownFault() int {
	switch w := x.watch; {
	case w == nil:
		return 0
	case w.stalled.Load():
		return http.StatusRequestTimeout
	case w.broken.Load():
		return http.StatusBadRequest
	}
	return 0
}

// pool keeps buffers for bodies.
type pool struct{ sync.Pool }

var buffers = &pool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}

// Get implements httputil.BufferPool.
func (p *pool) Get() []byte { return p.Pool.Get().(*[32 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }
