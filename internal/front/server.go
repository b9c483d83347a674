package front

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"appliance/internal/front/page"
)

// Config is what a Server is made of. The zero value of every field is good.
type Config struct {
	Log    *slog.Logger
	Access io.Writer // one line for each request, in writes of many; nil keeps none
	Limits Limits
	Now    func() time.Time // by which client certificates are judged
}

// Server answers visitors by the State that was applied last. Before the first it shows that the appliance starts.
type Server struct {
	log      *slog.Logger
	errorLog *log.Logger
	limits   Limits
	now      func() time.Time
	access   *accessLog
	board    *page.Board
	known    http.Handler // /.well-known/appliance/
	tls      *tls.Config

	applying   sync.Mutex
	transports map[time.Duration]*http.Transport // under applying
	view       atomic.Pointer[view]

	conns         *conns
	requests      atomic.Int64
	plain, secure *lane        // for HTTP/1.1
	base          *http.Server // what HTTP/2 goes by
	h2            *http2.Server
	goAway        *http.Server
	draining      atomic.Bool
	drained       chan struct{} // closed when draining begins

	mu         sync.Mutex
	listeners  []net.Listener
	accepting  sync.WaitGroup // one for each of them
	complained map[string]time.Time
}

// lane is an http.Server for the connections of one kind.
type lane struct {
	queue  *queue
	server *http.Server
	idle   time.Duration // for how long a connection may wait for a request
}

// NewServer makes a server, which runs until it has been drained.
func NewServer(config Config) *Server {
	s := &Server{
		log: config.Log, limits: config.Limits.withDefaults(), now: config.Now, board: page.NewBoard(),
		transports: map[time.Duration]*http.Transport{}, drained: make(chan struct{}), complained: map[string]time.Time{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.errorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	s.access = newAccessLog(config.Access)
	s.known = s.board.WellKnown()
	s.conns = newConns(s.limits.Connections, s.limits.PerAddress)
	s.tls = s.newTLS()
	s.view.Store(&view{clients: &clients{}, tlsPort: 443})
	if err := s.speakHTTP2(); err != nil {
		s.log.Error("cannot speak HTTP/2", "err", err) // only of a server that has been configured otherwise
	}
	s.plain, s.secure = s.newLane(), s.newLane()
	for _, l := range []*lane{s.plain, s.secure} {
		go func() { _ = l.server.Serve(l.queue) }()
	}
	return s
}

func (s *Server) newLane() *lane {
	return &lane{idle: s.limits.Idle, queue: newQueue(), server: s.newHTTP()}
}

func (s *Server) newHTTP() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.HeaderTime,
		ReadTimeout:       s.limits.Stall, // of what net/http answers itself; an exchange lifts it
		IdleTimeout:       s.limits.Park,
		MaxHeaderBytes:    s.limits.Header - 4096, // net/http adds as much
		ErrorLog:          s.errorLog,
		ConnState:         noteState,
		ConnContext:       withConn,
		// Requests for "*" are ours to answer too: net/http would wait for their bodies without an end.
		DisableGeneralOptionsHandler: true,
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// speakHTTP2 prepares the protocol. Shutting a server down is the only way to have all clients told to go away, and would
// close connections that idle at once: so goAway is there to be shut down, and has never a connection.
func (s *Server) speakHTTP2() error {
	s.base = s.newHTTP()
	s.base.IdleTimeout = s.limits.Idle // drowsy sees to the memory
	s.base.ReadTimeout = 0             // the watch sees to bodies
	s.base.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 250, MaxReadFrameSize: 16 << 10}
	// Of a stream that lives longer, the exchange moves the deadline; what remains after its end is for the last bytes.
	s.base.WriteTimeout = s.limits.Stall
	s.h2, s.goAway = &http2.Server{IdleTimeout: s.limits.Idle}, &http.Server{}
	return http2.ConfigureServer(s.goAway, s.h2)
}

func (s *Server) serveHTTP2(c net.Conn) {
	d := &drowsy{Conn: c, own: connOf(c), after: s.limits.Park}
	s.h2.ServeConn(d, &http2.ServeConnOpts{Context: withConn(context.Background(), d), BaseConfig: s.base, Handler: s})
	_ = d.Close()
}

// ServePlain answers without TLS: challenges of an ACME authority, load balancers, and the way to TLS. It returns nil
// once the server drains.
func (s *Server) ServePlain(l net.Listener) error {
	return s.accept(l, func(c *conn) { s.plain.visit(c) })
}

// ServeTLS answers with TLS. It returns nil once the server drains.
func (s *Server) ServeTLS(l net.Listener) error {
	return s.accept(l, func(c *conn) { go s.handshake(c) })
}

// listens keeps l to be closed when draining begins, and says whether that is still to come.
func (s *Server) listens(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	return true
}

// Drain stops accepting and serves what has begun to its end. Clients are told to go with the next answer they get;
// a connection that idles stays open for some seconds first, since a request may be on its way. It ends when all have
// gone, or when ctx does, which closes what is left; then the error is ctx's. The access log may take a second longer.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	first := s.draining.CompareAndSwap(false, true)
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners = nil
	s.mu.Unlock()
	if first {
		close(s.drained)
		s.board.Close()
	}
	s.accepting.Wait() // what they have accepted counts from now on
	_ = s.goAway.Shutdown(ctx)
	err := s.outlast(ctx)
	s.conns.closeAll()
	for _, l := range []*lane{s.plain, s.secure} {
		if first {
			close(l.queue.ended)
		}
		_ = l.server.Close()
	}
	s.applying.Lock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
	s.applying.Unlock()
	s.access.close(ctx)
	return err
}

// outlast waits until all connections have gone, and closes those that idle for too long.
func (s *Server) outlast(ctx context.Context) error {
	empty := s.conns.empty()
	look := time.NewTicker(max(s.limits.DrainIdle/10, time.Millisecond))
	defer look.Stop()
	began := time.Now()
	for {
		select {
		case <-empty:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-look.C:
			if now.Sub(began) > s.limits.DrainIdle {
				s.conns.closeIdle(now.Add(-s.limits.DrainIdle))
			}
		}
	}
}

// rest waits, or until draining begins.
func (s *Server) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.drained:
	}
}

// grumble warns, of the same thing at most every ten seconds: what strangers can cause must not fill the journal.
func (s *Server) grumble(what string, args ...any) {
	now := time.Now()
	s.mu.Lock()
	fresh := now.Sub(s.complained[what]) < 10*time.Second
	if !fresh {
		s.complained[what] = now
	}
	s.mu.Unlock()
	if !fresh {
		s.log.Warn(what, args...)
	}
}
