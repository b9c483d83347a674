package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Backend does what the API is asked for. Its methods must be safe for concurrent use.
type Backend interface {
	Status() Status
	Plan(ctx context.Context) (Plan, error)
	Clear() error  // walk on from failed
	Reload() error // walk again from prepare-env
	Reexec() error // replace the process in place
	Stop() error   // stop the stack and end
	Events() *Bus
	// Try puts an environment in force for a time; Confirm keeps it, Revert goes back at once.
	Try(ctx context.Context, document []byte, during time.Duration) (Trial, error)
	Confirm() error
	Revert() error
	Certificate() Certificate
	// RenewCertificate asks for a new certificate now, whenever the next one would be due; it waits for the outcome.
	RenewCertificate(ctx context.Context) (Certificate, error)
	// ImportCertificate puts an operator's own into place, if it is good for the site.
	ImportCertificate(ctx context.Context, key, chain []byte) (Certificate, error)
	Storage(ctx context.Context) (Storage, error)
}

// ErrConflict marks a request that does not fit the present state.
var ErrConflict = errors.New("not now")

// Config is what a server is made of.
type Config struct {
	Backend Backend
	Log     *slog.Logger
	OwnLog  *Log // what GET /v1/log streams; nil is an empty one
}

// Server serves the API.
type Server struct {
	backend Backend
	log     *slog.Logger
	ownLog  *Log
	groupID int
	http    *http.Server
	closing chan struct{} // closed when the streams are to end
}

// NewServer returns a server of the API.
func NewServer(cfg Config) *Server {
	s := &Server{backend: cfg.Backend, log: cfg.Log, ownLog: cfg.OwnLog, groupID: groupID(), closing: make(chan struct{})}
	if s.ownLog == nil {
		s.ownLog = NewLog()
	}
	s.http = &http.Server{
		Handler: s.guard(s.routes()), ConnContext: withPeer,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(s.closing) }))
	return s
}

func (s *Server) routes() *http.ServeMux {
	backend, mux := s.backend, http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/plan", s.plan)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/log", s.lines)
	mux.HandleFunc("GET /v1/storage", s.storage)
	mux.HandleFunc("GET /v1/certificate", s.certificate)
	mux.HandleFunc("POST /v1/certificate/renew", s.renewCertificate)
	mux.HandleFunc("POST /v1/certificate/import", s.importCertificate)
	mux.HandleFunc("POST /v1/clear", s.action(backend.Clear))
	mux.HandleFunc("POST /v1/reload", s.action(backend.Reload))
	mux.HandleFunc("POST /v1/reexec", s.action(backend.Reexec))
	mux.HandleFunc("POST /v1/stop", s.action(backend.Stop))
	mux.HandleFunc("POST /v1/try", s.try)
	mux.HandleFunc("POST /v1/confirm", s.action(backend.Confirm))
	mux.HandleFunc("POST /v1/revert", s.action(backend.Revert))
	return mux
}

// Listen makes the socket. A socket that nobody serves any more is replaced; the caller holds the supervisor's lock, so
// nobody does. Only root and the reading group can connect.
func Listen(sys *system.System) (*net.UnixListener, error) {
	if err := sys.Remove(SocketPath); err != nil {
		return nil, err
	}
	name := sys.Path(SocketPath)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if errors.Is(err, syscall.EINVAL) {
		err = remedy.With(err, "choose a shorter root: a socket's path has at most 107 bytes")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", name, err)
	}
	listener.SetUnlinkOnClose(false) // the next process in place listens on the same one
	if err := os.Chmod(name, 0o660); err != nil {
		return nil, fmt.Errorf("cannot protect %s: %w", name, err)
	}
	if gid := groupID(); gid >= 0 && os.Geteuid() == 0 {
		if err := os.Chown(name, -1, gid); err != nil {
			return nil, fmt.Errorf("cannot protect %s: %w", name, err)
		}
	}
	return listener, nil
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the API: %w", err)
	}
	return nil
}

// Close ends the streams and lets other requests end, for a second at the most.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}

func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := s.allow(req); err != nil {
			s.fail(w, http.StatusForbidden, remedy.With(err, "ask as root, or to read: as a member of group "+Group))
			return
		}
		next.ServeHTTP(w, req)
	})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { s.reply(w, s.backend.Status()) }

func (s *Server) plan(w http.ResponseWriter, req *http.Request) {
	plan, err := s.backend.Plan(req.Context())
	if err != nil {
		s.fail(w, http.StatusUnprocessableEntity, err)
		return
	}
	s.reply(w, plan)
}

func (s *Server) action(do func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		switch err := do(); {
		case errors.Is(err, ErrConflict):
			s.fail(w, http.StatusConflict, err)
		case err != nil:
			s.fail(w, http.StatusInternalServerError, err)
		default:
			s.reply(w, s.backend.Status())
		}
	}
}

// maxTryRequest bounds the body of a request to try an environment: the largest document, as JSON may escape it.
const maxTryRequest = 32 << 20

func (s *Server) try(w http.ResponseWriter, req *http.Request) {
	asked, ok := body[TryRequest](s, w, req, maxTryRequest)
	if !ok {
		return
	}
	trial, err := s.backend.Try(req.Context(), []byte(asked.Document), asked.For)
	s.outcome(w, trial, err)
}

func (s *Server) reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the peer has gone: nobody to tell
}

func (s *Server) fail(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(Error{Message: err.Error(), Remedy: remedy.Of(err)})
}
