package front

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// visit is a connection as net/http has it for HTTP/1.1. While a connection waits for its next request, net/http keeps
// 8 kB of buffers and 8 kB of stack for it, half a gigabyte for the browsers that a large site has waiting. So it is
// given up by net/http after a moment without a request, and parked: what is left is TLS, and a goroutine that waits.
type visit struct {
	net.Conn // *conn, or *tls.Conn over one
	own      *conn
	lane     *lane
	room     int         // of net/http's buffer, all of which its first read asks for
	begun    atomic.Bool // something of the next request was read
	over     atomic.Bool // net/http gave it up while there was nothing to read
}

// visit gives c to net/http.
func (l *lane) visit(c net.Conn) { l.queue.put(&visit{Conn: c, own: connOf(c), lane: l}) }

// Read implements net.Conn. A client may have sent the first bytes of a request together with the one before: net/http has
// them in its buffer then, and asks for less than all of it. They would be lost if it gave the connection up.
func (v *visit) Read(p []byte) (int, error) {
	if v.room == 0 {
		v.room = len(p)
	}
	n, err := v.Conn.Read(p)
	pause := n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && v.own.idle.Load() != 0 && !v.begun.Load()
	if pause && len(p) < v.room {
		_ = v.Conn.SetReadDeadline(time.Now().Add(v.lane.server.ReadHeaderTimeout))
		n, err = v.Conn.Read(p)
	}
	switch {
	case n > 0:
		v.begun.Store(true)
	case pause && len(p) == v.room:
		v.over.Store(true)
	}
	return n, err
}

// SetReadDeadline implements net.Conn. What is left of a body has to come in time, also after net/http has lifted the
// deadline, as it does when it ends a read that is under way.
func (v *visit) SetReadDeadline(t time.Time) error {
	if end := v.own.bodyEnd.Load(); end != 0 && t.IsZero() {
		t = time.Unix(0, end)
	}
	return v.Conn.SetReadDeadline(t)
}

// Close implements net.Conn; net/http calls it.
func (v *visit) Close() error {
	if v.over.CompareAndSwap(true, false) {
		go v.park()
		return nil
	}
	return v.Conn.Close()
}

// CloseWrite says that nothing more will be sent.
func (v *visit) CloseWrite() error {
	if half, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// park waits until there is something to read. No record can be waiting within TLS: a read has just found that there is
// none, and part of one is followed by the rest.
func (v *visit) park() {
	end := time.Unix(0, v.own.idle.Load()).Add(v.lane.idle)
	if err := errors.Join(v.Conn.SetDeadline(time.Time{}), v.own.SetReadDeadline(end), v.own.readable()); err != nil {
		_ = v.Conn.Close()
		return
	}
	_ = v.own.SetReadDeadline(time.Time{})
	v.lane.visit(v.Conn)
}

// readable waits for a byte, or the end, without taking it.
func (c *conn) readable() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
}

// drowsy is a connection as HTTP/2 has it, which cannot be given up for a while: but whoever reads from it waits near the
// top of the stack after a moment, so that the next collection of garbage takes the rest of the stack back.
type drowsy struct {
	net.Conn
	own   *conn
	after time.Duration
}

// Read implements net.Conn.
func (d *drowsy) Read(p []byte) (int, error) {
	for {
		_ = d.own.SetReadDeadline(time.Now().Add(d.after))
		n, err := d.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		_ = d.own.SetReadDeadline(time.Time{})
		if err := d.own.readable(); err != nil {
			return 0, err
		}
	}
}
