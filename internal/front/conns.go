package front

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of a client. It counts itself out when it is closed, by whomever.
type conn struct {
	*net.TCPConn
	all    *conns
	tls    *tls.Conn  // over it, or nil
	http2  bool       // is spoken on it; a request can say so ("PRI * HTTP/2.0") where it is not
	text   string     // the client's address
	place  netip.Addr // what it counts for
	crowd  *crowd     // all that count for the same
	closed atomic.Bool
	// idle is since when nothing is under way, as Unix nanoseconds, 0 while something is.
	idle atomic.Int64
	// bodyEnd is by when the rest of a body that nobody wants must have come, as Unix nanoseconds, or 0. It is the last.
	bodyEnd atomic.Int64
	// verdict on the client certificate that was shown, for the clients it was made by.
	verdict atomic.Pointer[verdict]
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.all.remove(c)
	}
	return c.TCPConn.Close()
}

// crowd is what the connections of one place have open.
type crowd struct {
	connections int // under conns.mu
	requests    atomic.Int64
}

// conns are the open connections.
type conns struct {
	most, perPlace int
	reserve        time.Duration // how long an idle connection is spared when there is no room

	mu     sync.Mutex
	open   map[*conn]struct{}
	places map[netip.Addr]*crowd
	swept  time.Time
	gone   chan struct{} // closed when the last one has gone, if somebody waits
}

func newConns(most, perPlace int) *conns {
	return &conns{
		most: most, perPlace: perPlace, reserve: 10 * time.Second,
		open: map[*conn]struct{}{}, places: map[netip.Addr]*crowd{},
	}
}

// add takes a connection in, or answers why there is no room for it.
func (s *conns) add(tcp *net.TCPConn) (c *conn, refused string) {
	address := netip.Addr{}
	if remote, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		address = remote.AddrPort().Addr().Unmap()
	}
	c = &conn{TCPConn: tcp, all: s, text: address.WithZone("").String(), place: placeOf(address)}
	c.idle.Store(time.Now().UnixNano())
	s.mu.Lock()
	full := len(s.open) >= s.most
	if c.crowd = s.places[c.place]; c.crowd == nil {
		c.crowd = &crowd{}
	}
	crowded := c.crowd.connections >= s.perPlace
	if !full && !crowded {
		s.open[c] = struct{}{}
		s.places[c.place] = c.crowd
		c.crowd.connections++
	}
	s.mu.Unlock()
	switch {
	case crowded:
		return nil, "too many connections of one address"
	case full && s.makeRoom():
		return s.add(tcp)
	case full:
		return nil, "too many connections"
	}
	return c, ""
}

// placeOf is the address, or of IPv6 the network that a single subscriber has.
func placeOf(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	if p, err := a.WithZone("").Prefix(64); err == nil {
		return p.Addr()
	}
	return a
}

// makeRoom closes connections on which nothing has happened for a while, and says whether there were any. Looking at
// all of them is dear: once a second is enough.
func (s *conns) makeRoom() bool {
	now := time.Now()
	s.mu.Lock()
	fresh := now.Sub(s.swept) < time.Second
	if !fresh {
		s.swept = now
	}
	s.mu.Unlock()
	return !fresh && s.closeIdle(now.Add(-s.reserve)) > 0
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if c.crowd.connections--; c.crowd.connections <= 0 {
		delete(s.places, c.place)
	}
	if len(s.open) == 0 && s.gone != nil {
		close(s.gone)
		s.gone = nil
	}
}

func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// closeIdle closes those that have been idle since before then, and says how many.
func (s *conns) closeIdle(before time.Time) int {
	return s.closeWhere(func(c *conn) bool {
		since := c.idle.Load()
		return since != 0 && since < before.UnixNano()
	})
}

func (s *conns) closeAll() { s.closeWhere(func(*conn) bool { return true }) }

func (s *conns) closeWhere(which func(*conn) bool) int {
	var chosen []*conn
	s.mu.Lock()
	for c := range s.open {
		if which(c) {
			chosen = append(chosen, c)
		}
	}
	s.mu.Unlock()
	for _, c := range chosen {
		_ = c.Close()
	}
	return len(chosen)
}

// empty answers a channel that is closed once no connection is open.
func (s *conns) empty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = make(chan struct{})
	}
	gone := s.gone
	if len(s.open) == 0 {
		close(s.gone)
		s.gone = nil
	}
	return gone
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connOf(c))
}

func connOf(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case *visit:
		return c.own
	case *drowsy:
		return c.own
	case *tls.Conn:
		return connOf(c.NetConn())
	}
	return nil
}

func noteState(c net.Conn, state http.ConnState) {
	own := connOf(c)
	switch state {
	case http.StateIdle:
		if v, ok := c.(*visit); ok {
			v.begun.Store(false)
		}
		own.idle.Store(time.Now().UnixNano())
	case http.StateActive, http.StateHijacked:
		own.idle.Store(0)
	}
}
