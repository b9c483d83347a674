package page

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// Board shows the present notice to whoever asks. All of its methods are safe for concurrent use.
type Board struct {
	mu      sync.Mutex
	notice  Notice
	ready   bool
	closed  bool
	streams int
	own     map[netip.Addr]int // of those, by visitor
	changed chan struct{}      // closed at the next change

	heartbeat, patience time.Duration
}

// NewBoard answers a board that says the application is starting.
func NewBoard() *Board {
	return &Board{notice: clean(Notice{Situation: Starting, Since: time.Now()}), changed: make(chan struct{}),
		own: map[netip.Addr]int{}, heartbeat: heartbeat, patience: patience}
}

// Set shows another notice. Those who watch are told, unless it is the same.
func (b *Board) Set(n Notice) {
	n = clean(n)
	b.change(func() bool {
		same := reflect.DeepEqual(b.notice, n)
		b.notice = n
		return !same
	})
}

// Ready says whether the application answers now. Pages that wait for it open it then.
func (b *Board) Ready(ready bool) {
	b.change(func() bool {
		same := b.ready == ready
		b.ready = ready
		return !same
	})
}

// Close ends all streams in good order, and those that would begin later; browsers come back a moment after, and then
// meet whoever has taken the sockets over. Pages are served as before.
func (b *Board) Close() {
	b.change(func() bool {
		was := b.closed
		b.closed = true
		return !was
	})
}

// change does something to the board, and wakes those who watch if it says that something is different now.
func (b *Board) change(do func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if do() {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// view is what the board says at one moment.
type view struct {
	Notice
	Ready   bool            `json:"ready"`
	closed  bool            // nobody shall wait here
	changed <-chan struct{} // closed when this is no longer so
}

func (b *Board) look() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	return view{Notice: b.notice, Ready: b.ready, closed: b.closed, changed: b.changed}
}

// ServeHTTP answers in place of the application: 503, as a page, as JSON or as plain text. No method is refused, for it is
// the application that knows which ones it takes.
func (b *Board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := b.look()
	now.Ready = false // not for this visitor
	now.setRetryAfter(w)
	now.write(w, r, http.StatusServiceUnavailable)
}

func (v view) setRetryAfter(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(int(v.retryAfter(time.Now()).Seconds())))
}

// write answers in the form and the language that fit the request.
func (v view) write(w http.ResponseWriter, r *http.Request, status int) {
	a := answer{status: status, language: languageOf(r, v.Language), form: formOf(r)}
	if a.form == formJSON {
		a.body = v.json()
	} else {
		a.show(v.document(a.language, here(r), time.Now()))
	}
	a.send(w, r)
}

// json is the notice as programs read it. The texts in it are valid and the numbers finite, so it can always be written.
func (v view) json() []byte {
	body, err := json.Marshal(v)
	if err != nil { // a year beyond 9999 is the only way here
		return []byte("{}")
	}
	return body
}

// Bounds of Retry-After. It is short where the end is near, and long where somebody has to come first.
const (
	retryStarting = 5 * time.Second
	retryElse     = 30 * time.Second
	retryMost     = time.Hour
)

// retryAfter is when to ask again.
func (n Notice) retryAfter(now time.Time) time.Duration {
	switch {
	case n.NextTry != nil:
		return min(max(n.NextTry.Sub(now).Round(time.Second), retryStarting), retryMost)
	case n.underWay():
		return retryStarting
	}
	return retryElse
}

// repeatable says whether a request may be made again without being asked.
func repeatable(method string) bool { return method == http.MethodGet || method == http.MethodHead }
