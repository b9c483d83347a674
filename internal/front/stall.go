package front

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// watch ends an exchange whose client neither sends nor takes a byte, while we wait for it to. What the kernel sees (a
// connection that takes nothing) is not its business; it is for bodies that do not come and for streams of HTTP/2,
// which can stand still on a connection that does not.
//
// Deadlines cannot simply be set ahead with each byte: they also run out while it is the application that is silent.
type watch struct {
	x       *exchange
	control *http.ResponseController
	body    io.ReadCloser
	timer   *time.Timer
	limit   time.Duration
	reading atomic.Int64 // since when we wait for a byte of the client, as Unix nanoseconds; 0: we do not
	writing atomic.Int64 // since when we wait for it to take some
	ended   atomic.Bool  // the body has been read
	broken  atomic.Bool  // the body could not be read
	stalled atomic.Bool  // the client was found to stand still

	mu      sync.Mutex // what control works on belongs to the handler and is gone with it
	stopped bool
}

func startWatch(x *exchange) {
	w := &watch{x: x, control: http.NewResponseController(x.ResponseWriter), limit: x.server.limits.Stall, body: x.in.Body}
	if x.in.Body == http.NoBody {
		w.ended.Store(true)
	} else {
		x.in = x.in.WithContext(x.in.Context()) // net/http looks at the body of its own request again
		x.in.Body = w
		// Else net/http reads on its own what is left of the body as soon as the application begins to answer, and what it
		// reads is missing from what the application gets. HTTP/2 has never been otherwise.
		_ = w.control.EnableFullDuplex()
	}
	x.watch = w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.limit/2, w.look)
}

// Read implements io.Reader, for the request's body.
func (w *watch) Read(p []byte) (int, error) {
	w.reading.Store(time.Now().UnixNano())
	n, err := w.body.Read(p)
	w.reading.Store(0)
	switch {
	case err == io.EOF:
		w.ended.Store(true)
		dropOurs(w.x.in.Trailer) // it has come with the end
	case err != nil:
		w.broken.Store(true)
	}
	return n, err
}

// Close implements io.Closer.
func (w *watch) Close() error { return w.body.Close() }

func (w *watch) beginWrite() { w.writing.Store(time.Now().UnixNano()) }
func (w *watch) endWrite()   { w.writing.Store(0) }

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	now := time.Now()
	if since := w.reading.Load(); since != 0 && now.Sub(time.Unix(0, since)) >= w.limit {
		w.stalled.Store(true)
		_ = w.control.SetReadDeadline(time.Unix(1, 0))
		return
	}
	if w.x.conn.http2 {
		end := now
		if since := w.writing.Load(); since != 0 {
			end = time.Unix(0, since)
		}
		_ = w.control.SetWriteDeadline(end.Add(w.limit))
	}
	w.timer.Reset(w.limit / 4)
}

// stop ends the watch. What is left of the body is read and dropped by net/http, but not for ever.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
	if w.leaves() && !w.x.upgraded {
		end := time.Now().Add(w.limit)
		w.x.conn.bodyEnd.Store(end.UnixNano())
		_ = w.control.SetReadDeadline(end)
	}
}

// leaves says whether a part of the body is still on the connection. If it does not come in time, what comes later must not
// be taken for a request: an answer before the end of the body is the last one there.
func (w *watch) leaves() bool { return w != nil && !w.x.conn.http2 && !w.ended.Load() }
