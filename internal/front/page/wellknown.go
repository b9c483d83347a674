package page

import (
	"fmt"
	"net/http"
	"time"
)

// WellKnownPath is where WellKnown belongs.
const WellKnownPath = "/.well-known/appliance/"

// WellKnown answers load balancers and the page itself below WellKnownPath:
//
//	health        200 while the application answers, else 503 with Retry-After; {"live":true,"ready":…}
//	health/ready  the same
//	health/live   200 as long as anybody is here to say so
//	status        200, the notice; as the page for those who ask for text/html
//	events        the notice now and at each change, as server-sent events "notice", and "ready" while the application answers
//
// A ResponseWriter handed to it has to be the server's own, or to have Unwrap, for events to flow.
func (b *Board) WellKnown() http.Handler {
	mux := http.NewServeMux()
	health := func(w http.ResponseWriter, r *http.Request) {
		now := b.look()
		now.sendHealth(w, r, now.Ready)
	}
	mux.HandleFunc(WellKnownPath+"health", health)
	mux.HandleFunc(WellKnownPath+"health/ready", health)
	mux.HandleFunc(WellKnownPath+"health/live", func(w http.ResponseWriter, r *http.Request) {
		b.look().sendHealth(w, r, true)
	})
	mux.HandleFunc(WellKnownPath+"status", b.status)
	mux.HandleFunc(WellKnownPath+"events", b.events)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { b.Error(w, r, http.StatusNotFound) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !repeatable(r.Method) {
			w.Header().Set("Allow", "GET, HEAD")
			b.Error(w, r, http.StatusMethodNotAllowed)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (v view) sendHealth(w http.ResponseWriter, r *http.Request, good bool) {
	a := answer{status: http.StatusOK, form: formJSON, body: fmt.Appendf(nil, `{"live":true,"ready":%t}`+"\n", v.Ready)}
	if !good {
		a.status = http.StatusServiceUnavailable
		v.setRetryAfter(w)
	}
	a.send(w, r)
}

// status is the notice as JSON, and the page for the page that is already there and wants to follow; "sent" as the query
// says that it is the answer to something that cannot be asked for again.
func (b *Board) status(w http.ResponseWriter, r *http.Request) {
	now := b.look()
	a := answer{status: http.StatusOK, form: formJSON, language: languageOf(r, now.Language)}
	if formOf(r) == formHTML {
		a.form = formHTML
		address := here(r)
		if r.URL.RawQuery == "sent" {
			address = ""
		}
		a.show(now.document(a.language, address, time.Now()))
	} else {
		a.body = now.json()
	}
	a.send(w, r)
}
