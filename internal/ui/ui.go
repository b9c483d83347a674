// Package ui is the operator's view of an appliance in a browser on the same host. It is a client of the API like the
// command line, keeps nothing of its own, and may do what the user may who runs it.
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"appliance/internal/api"
)

// Supervisor is what the view asks: the client of the API. Status answers from the record, without Supervisor, where
// nobody runs. The methods must be safe for concurrent use.
type Supervisor interface {
	Status(ctx context.Context) (api.Status, error)
	Plan(ctx context.Context) (api.Plan, error)
	Certificate(ctx context.Context) (api.Certificate, error)
	Storage(ctx context.Context) (api.Storage, error)
	Post(ctx context.Context, action string) (api.Status, error)
	RenewCertificate(ctx context.Context) (api.Certificate, error)
	PastEvents(ctx context.Context) ([]api.Event, error)
	PastLog(ctx context.Context) ([]api.LogLine, error)
	Events(ctx context.Context, last uint64, seen func(api.Event) bool) error
	Log(ctx context.Context, last uint64, seen func(api.LogLine) bool) error
}

// Config is what a view is made of.
type Config struct {
	Supervisor Supervisor
	Host       string           // what this host is called
	MayAct     func() bool      // whether the supervisor does what the view asks for; nil: it does
	Idle       time.Duration    // without a request, after which Serve ends; 0 is never
	Now        func() time.Time // nil is time.Now
}

// View shows one appliance to whoever has its token.
type View struct {
	cfg   Config
	gate  *gate
	paper *paper
	life  context.Context // of Serve: what was begun for a visitor may outlast the visit, not this
}

// New returns a view with a token of its own.
func New(cfg Config) (*View, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MayAct == nil {
		cfg.MayAct = func() bool { return true }
	}
	paper, err := newPaper(cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("cannot make the pages: %w", err)
	}
	v := &View{cfg: cfg, paper: paper, life: context.Background()}
	v.gate = newGate(counted(v.pages()), paper) // who is turned away keeps nothing alive
	return v, nil
}

// Address is what to open in a browser, with the token that is good for one time, when the view is served at l. It is a
// secret: whoever opens it first may do what the view may.
func (v *View) Address(l net.Listener) string {
	return "http://" + l.Addr().String() + "/?token=" + v.gate.token
}

// Serve shows the view at l until ctx ends, or until nobody has asked for anything for Config.Idle; an open page asks
// all the time. A nil error is either of these.
func (v *View) Serve(ctx context.Context, l net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	v.life = ctx
	asked := context.WithValue(ctx, idleKey{}, newIdle(v.cfg.Idle, end))
	server := &http.Server{
		Handler: v.gate, BaseContext: func(net.Listener) context.Context { return asked }, // so that streams end too
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what goes wrong here, the browser shows
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(closing) != nil {
			_ = server.Close()
		}
	}()
	err := server.Serve(l)
	end()
	<-stopped
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the view: %w", err)
	}
	return nil
}

// pages are what is behind the gate.
func (v *View) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, req *http.Request) { v.show(w, req, notice{}) })
	mux.HandleFunc("GET /live", v.live)
	mux.HandleFunc("GET /plan", v.plan)
	mux.HandleFunc("POST /do", v.do)
	return mux
}
