package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accept takes connections in until the server drains, and starts each.
func (s *Server) accept(l net.Listener, start func(*conn)) error {
	if !s.listens(l) {
		return l.Close() // it drained before it began
	}
	defer s.accepting.Done()
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		if err != nil {
			if s.draining.Load() {
				return nil
			}
			if !passes(err) {
				return fmt.Errorf("cannot accept connections on %s: %w", l.Addr(), err)
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.grumble("cannot accept a connection", "err", err, "pause", pause)
			s.conns.makeRoom()
			s.rest(pause)
			continue
		}
		pause = 0
		s.take(c, start)
	}
}

func (s *Server) take(c net.Conn, start func(*conn)) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		_ = c.Close()
		return
	}
	known, refused := s.conns.add(tcp)
	if refused != "" {
		_ = tcp.SetLinger(0) // nothing of it shall stay, not even in the kernel
		_ = tcp.Close()
		s.grumble("connections are refused", "why", refused, "open", s.conns.count())
		return
	}
	endStalls(tcp, s.limits.Stall)
	start(known)
}

// endStalls has the kernel end the connection once its peer takes no byte of what is waiting for it for so long, whether
// we are in the middle of a write or have long done our part.
func endStalls(tcp *net.TCPConn, after time.Duration) {
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
		})
	}
}

// passes says whether a listener can be expected to work again after err.
func passes(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno.Temporary() || errno == unix.ENOBUFS || errno == unix.ENOMEM || errno == unix.EPERM)
}

// handshake makes TLS of a connection, in a goroutine of its own: the stack it needs is given back before the connection
// begins to wait for requests.
func (s *Server) handshake(c *conn) {
	_ = c.SetDeadline(time.Now().Add(s.limits.Handshake))
	t := tls.Server(c, s.tls)
	if err := t.Handshake(); err != nil {
		tellPlain(err)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	c.tls = t
	switch t.ConnectionState().NegotiatedProtocol {
	case protocolACME: // the handshake was the answer
		_ = t.Close()
	case "h2":
		c.http2 = true
		go s.serveHTTP2(t)
	default:
		s.secure.visit(t)
	}
}

// tellPlain answers who talks HTTP where TLS is spoken.
func tellPlain(err error) {
	var plain tls.RecordHeaderError
	if !errors.As(err, &plain) || plain.Conn == nil {
		return
	}
	switch word := string(plain.RecordHeader[:]); {
	case strings.HasPrefix(word, "GET /"), strings.HasPrefix(word, "HEAD "), strings.HasPrefix(word, "POST "),
		strings.HasPrefix(word, "PUT /"), strings.HasPrefix(word, "OPTIO"):
		const body = "This port speaks HTTPS.\n"
		_, _ = fmt.Fprintf(plain.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// queue hands connections that are ready for requests to an http.Server.
type queue struct {
	ready chan net.Conn
	ended chan struct{}
}

func newQueue() *queue { return &queue{make(chan net.Conn), make(chan struct{})} }

func (q *queue) put(c net.Conn) {
	select {
	case q.ready <- c:
	case <-q.ended:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.ready:
		return c, nil
	case <-q.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; what is queued is ended by whoever ends its connections.
func (q *queue) Close() error { return nil }

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
