package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/system"
)

// backend is a supervisor that says what it is told to, and remembers what it was asked for.
type backend struct {
	bus *api.Bus
	log *api.Log

	mu     sync.Mutex
	scene  scene
	asked  []string
	answer error                       // to actions
	renew  func(context.Context) error // nil: it is done at once
}

func (b *backend) now() scene {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.scene
}

func (b *backend) play(s scene) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scene = s
}

func (b *backend) note(action string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, action)
	return b.answer
}

func (b *backend) askedFor() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *backend) Status() api.Status           { return b.now().status }
func (b *backend) Certificate() api.Certificate { return b.now().certificate }
func (b *backend) Storage(context.Context) (api.Storage, error) {
	return api.Storage{Version: api.Version, Volumes: b.now().volumes}, nil
}
func (b *backend) Plan(context.Context) (api.Plan, error) { return b.now().plan, nil }
func (b *backend) Events() *api.Bus                       { return b.bus }
func (b *backend) Clear() error                           { return b.note("clear") }
func (b *backend) Reload() error                          { return b.note("reload") }
func (b *backend) Reexec() error                          { return b.note("reexec") }
func (b *backend) Stop() error                            { return b.note("stop") }
func (b *backend) Confirm() error                         { return b.note("confirm") }
func (b *backend) Revert() error                          { return b.note("revert") }
func (b *backend) Try(context.Context, []byte, time.Duration) (api.Trial, error) {
	return api.Trial{}, b.note("try")
}
func (b *backend) RenewCertificate(ctx context.Context) (api.Certificate, error) {
	if err := b.note("renew"); err != nil || b.renew == nil {
		return b.Certificate(), err
	}
	return b.Certificate(), b.renew(ctx)
}
func (b *backend) ImportCertificate(context.Context, []byte, []byte) (api.Certificate, error) {
	return b.Certificate(), b.note("import")
}

// recorded is the client as the command line uses it: without a supervisor, the record answers.
type recorded struct{ *api.Client }

func (r recorded) Status(ctx context.Context) (api.Status, error) {
	status, err := r.Client.Status(ctx)
	if errors.Is(err, api.ErrNoSupervisor) {
		return api.Status{State: "run", Since: time.Now().Add(-time.Hour), Summary: "not running; last known: run"}, nil
	}
	return status, err
}

// rig is a view of a backend, over a real socket, at a real address.
type rig struct {
	*backend
	sys     *system.System
	server  *api.Server
	view    *View
	address string // with the token
	base    string // "http://127.0.0.1:port"
	stop    context.CancelFunc
	ended   chan error
}

func newRig(t *testing.T, s scene, adjust ...func(*Config)) *rig {
	t.Helper()
	root, err := os.MkdirTemp("", "ui") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &rig{backend: &backend{bus: api.NewBus(), log: api.NewLog(), scene: s}, sys: system.New(system.Config{Root: root}), ended: make(chan error, 1)}
	for _, e := range s.events {
		r.bus.Publish(e)
	}
	for _, line := range s.lines {
		fmt.Fprintln(r.log, line)
	}
	r.serve(t)
	cfg := Config{Supervisor: recorded{api.NewClient(r.sys)}, Host: "box.example.org"}
	for _, a := range adjust {
		a(&cfg)
	}
	if r.view, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address, r.base = r.view.Address(l), "http://"+l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- r.view.Serve(ctx, l) }()
	t.Cleanup(stop)
	return r
}

// serve has the supervisor answer.
func (r *rig) serve(t *testing.T) {
	t.Helper()
	l, err := api.Listen(r.sys)
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewServer(api.Config{Backend: r.backend, Log: slog.New(slog.DiscardHandler), OwnLog: r.log})
	go func() { _ = server.Serve(l) }()
	r.server = server
	t.Cleanup(server.Close)
}

// visitor is a browser without a screen.
type visitor struct {
	*http.Client
	room string // address of the overview, once let in
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{Client: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0; url=(/[A-Z0-9]+/)"`)

// enter opens the printed address and follows it into the view.
func (r *rig) enter(t *testing.T) *visitor {
	t.Helper()
	v := newVisitor(t)
	code, page := v.get(t, r.address)
	found := refresh.FindStringSubmatch(page)
	if code != http.StatusOK || found == nil {
		t.Fatalf("the door answers %d\n%s", code, page)
	}
	v.room = r.base + found[1]
	return v
}

func (v *visitor) get(t *testing.T, address string) (int, string) {
	t.Helper()
	res, err := v.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

// do posts an action as the page's form does.
func (v *visitor) do(t *testing.T, action string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.room+"do", strings.NewReader("action="+action))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "http://"+req.Host)
	for _, c := range change {
		c(req)
	}
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func read(t *testing.T, res *http.Response) (int, string) {
	t.Helper()
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}
