package page

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// Limits of the streams.
const (
	maxStreams = 256              // at once; each costs a connection and a goroutine
	maxOwn     = 16               // of those for one visitor, who could hold them all; whoever is one too many asks instead
	heartbeat  = 15 * time.Second // so that nobody on the way takes a silent stream for a dead one
	patience   = 10 * time.Second // with a reader that does not read
	pace       = 200 * time.Millisecond
)

// When a browser comes back after its stream has ended.
const (
	backSoon  = time.Second      // somebody else has taken over
	backLater = 10 * time.Second // there is no room; the stream is then a slow way of asking again and again
)

// events streams the notice. Whoever is slow misses what was between, and gets what is now.
func (b *Board) events(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	protect(h)
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // for an nginx before us
	if r.Method == http.MethodHead {
		return
	}
	s := stream{w: w, control: http.NewResponseController(w), patience: b.patience}
	_ = s.control.SetReadDeadline(time.Time{}) // nothing more is to be read, and that may take as long as it likes
	from := placeOf(r.RemoteAddr)
	room := b.enter(from)
	if room {
		defer b.leave(from)
	}
	s.follow(r, b, room)
}

// placeOf is whom a stream counts for: an address, or of IPv6 the network that a single subscriber has.
func placeOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil { // no server's request
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if network, err := address.Prefix(64); err == nil && address.Is6() {
		return network.Addr()
	}
	return address
}

// enter says whether there is room for another stream.
func (b *Board) enter(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams == maxStreams || b.own[from] == maxOwn {
		return false
	}
	b.streams++
	b.own[from]++
	return true
}

func (b *Board) leave(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams--
	if b.own[from]--; b.own[from] == 0 {
		delete(b.own, from)
	}
}

// stream is one connection that is told.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

func (s stream) follow(r *http.Request, b *Board, room bool) {
	back := backSoon
	if !room {
		back = backLater
	}
	beat := time.NewTicker(b.heartbeat)
	defer beat.Stop()
	for {
		now := b.look()
		if s.tell(now, back) != nil || now.closed || !room || s.rest(r.Context(), now.changed, beat.C) != nil {
			return
		}
		select { // several changes in a row are one
		case <-r.Context().Done():
			return
		case <-time.After(pace):
		}
	}
}

// rest keeps the stream alive until something is different.
func (s stream) rest(ctx context.Context, changed <-chan struct{}, beat <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			return nil
		case <-beat:
			if err := s.send([]byte(": still here\n\n")); err != nil {
				return err
			}
		}
	}
}

// tell sends the notice. JSON has no line ends of its own, so one line of data holds it, whatever is in its texts.
func (s stream) tell(v view, back time.Duration) error {
	name := "notice"
	if v.Ready {
		name = "ready"
	}
	return s.send(fmt.Appendf(nil, "retry: %d\nevent: %s\ndata: %s\n\n", back.Milliseconds(), name, bytes.TrimSpace(v.json())))
}

func (s stream) send(text []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.patience)) // where it is not supported the server's own limit holds
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	err := s.control.Flush()
	_ = s.control.SetWriteDeadline(time.Time{}) // a stream of HTTP/2 is ended by it although nothing waits to be written
	return err
}
