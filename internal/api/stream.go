package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// events streams the events as server-sent events, each under its kind.
func (s *Server) events(w http.ResponseWriter, req *http.Request) {
	stream(s, w, req, s.backend.Events().After, func(e Event) (uint64, string) { return e.ID, e.Kind })
}

// lines streams the supervisor's own log.
func (s *Server) lines(w http.ResponseWriter, req *http.Request) {
	stream(s, w, req, s.ownLog.After, func(l LogLine) (uint64, string) { return l.ID, "line" })
}

// stream sends what is kept behind Last-Event-ID and then, unless the query has follow=0, what comes.
func stream[T any](s *Server, w http.ResponseWriter, req *http.Request, after func(uint64) ([]T, <-chan struct{}), name func(T) (id uint64, kind string)) {
	last, _ := strconv.ParseUint(req.Header.Get("Last-Event-ID"), 10, 64) // none or nonsense: from the start
	follow := req.URL.Query().Get("follow") != "0"
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	for {
		items, more := after(last)
		for _, item := range items {
			id, kind := name(item)
			data, err := json.Marshal(item)
			if err != nil {
				s.log.Error("cannot encode what is to be streamed", "kind", kind, "err", err)
				return
			}
			if _, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", id, kind, data); err != nil {
				return // the listener has gone
			}
			last = id
		}
		if flush.Flush() != nil || !follow {
			return
		}
		select {
		case <-req.Context().Done():
			return
		case <-s.closing:
			return
		case <-more:
		}
	}
}
