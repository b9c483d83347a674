package ui

import (
	"net/http"
	"sync"
	"time"
)

// idle calls end when no request has been under way for the limit.
type idle struct {
	limit time.Duration

	mu    sync.Mutex
	under int // way
	timer *time.Timer
}

// newIdle returns one whose time runs from now on. A limit of 0 never ends.
func newIdle(limit time.Duration, end func()) *idle {
	i := &idle{limit: limit}
	if limit > 0 {
		i.timer = time.AfterFunc(limit, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.under == 0 {
				end()
			}
		})
	}
	return i
}

type idleKey struct{}

// counted has the idle of the server that a request came by, if there is one, watch it.
func counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if i, ok := req.Context().Value(idleKey{}).(*idle); ok {
			i.watch(next).ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func (i *idle) watch(next http.Handler) http.Handler {
	if i.limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		i.count(1)
		defer i.count(-1)
		next.ServeHTTP(w, req)
	})
}

func (i *idle) count(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.under += n
	i.timer.Reset(i.limit)
}
