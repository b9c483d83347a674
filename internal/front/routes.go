package front

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// route is a Route made ready for use.
type route struct {
	path      string // without a slash at its end
	service   string
	backends  []*backend
	turn      atomic.Uint32
	transport *http.Transport
}

// backend is a container that answers.
type backend struct {
	address string
	avoid   atomic.Int64 // until then, as Unix nanoseconds: it did not let us in
}

// all calls try with the backends in turn, those that refused lately last, until it says that that was it.
func (r *route) all(try func(*backend) bool) {
	n := uint32(len(r.backends))
	first, now := r.turn.Add(1), time.Now().UnixNano()
	var refused []*backend
	for i := range n {
		switch b := r.backends[(first+i)%n]; {
		case b.avoid.Load() > now:
			refused = append(refused, b)
		case try(b):
			return
		}
	}
	for _, b := range refused {
		if try(b) {
			return
		}
	}
}

// transport is the one for routes with that timeout. It is called with s.applying held.
func (s *Server) transport(timeout time.Duration) *http.Transport {
	if t := s.transports[timeout]; t != nil {
		return t
	}
	dialer := &net.Dialer{Timeout: s.limits.Dial, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { // a backend that takes no byte hangs as well
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(min(timeout, time.Hour).Milliseconds()))
		})
	}}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		MaxIdleConnsPerHost:    512,
		// Shorter than application servers keep theirs: a request that cannot be repeated must not meet a connection that is
		// being closed from the other side.
		IdleConnTimeout:    1500 * time.Millisecond,
		DisableCompression: true,
	}
	s.transports[timeout] = t
	return t
}

// notSent says that a backend could not be reached, so that it has seen nothing of the request.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
