package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/compose"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// asClient makes the test binary a client of the API below this directory, so that somebody else can ask.
const asClient = "APPLIANCE_TEST_CLIENT"

func TestMain(m *testing.M) {
	root := os.Getenv(asClient)
	if root == "" {
		os.Exit(m.Run())
	}
	client := NewClient(system.New(system.Config{Root: root}))
	_, err := client.Status(context.Background())
	fmt.Printf("status: %v (%s)\n", err, remedy.Of(err))
	_, err = client.Post(context.Background(), "stop")
	fmt.Printf("stop: %v (%s)\n", err, remedy.Of(err))
}

// backend is a supervisor that does nothing but remember what it was asked for.
type backend struct {
	bus    *Bus
	answer error // to every action
	plan   error

	mu    sync.Mutex
	asked []string
}

func (b *backend) note(action string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, action)
	return b.answer
}

func (b *backend) Status() Status {
	return Status{Version: Version, State: "run", Summary: "run: healthy", Healthy: true, Services: []compose.Service{{Name: "web", Ready: true}}}
}

func (b *backend) Plan(context.Context) (Plan, error) {
	return Plan{Version: Version, Changes: []Change{{Phase: "run", Step: "up", Action: "create service web", Why: "it has no container"}}}, b.plan
}
func (b *backend) Clear() error   { return b.note("clear") }
func (b *backend) Reload() error  { return b.note("reload") }
func (b *backend) Reexec() error  { return b.note("reexec") }
func (b *backend) Stop() error    { return b.note("stop") }
func (b *backend) Confirm() error { return b.note("confirm") }
func (b *backend) Revert() error  { return b.note("revert") }
func (b *backend) Try(_ context.Context, document []byte, during time.Duration) (Trial, error) {
	return Trial{Version: Version}, b.note(fmt.Sprintf("try %q for %s", document, during))
}
func (b *backend) Events() *Bus { return b.bus }
func (b *backend) Certificate() Certificate {
	return Certificate{Version: Version, Source: "acme", Names: []string{"box.example.org"}}
}
func (b *backend) RenewCertificate(context.Context) (Certificate, error) {
	return b.Certificate(), b.note("renew")
}
func (b *backend) ImportCertificate(_ context.Context, key, chain []byte) (Certificate, error) {
	return b.Certificate(), b.note(fmt.Sprintf("import %q %q", key, chain))
}
func (b *backend) Storage(context.Context) (Storage, error) {
	return Storage{Version: Version, Volumes: []Volume{{Path: "/data", Size: 100, Free: 40, Files: 7}}}, b.answer
}

// supervisor is a server on a socket of its own.
type supervisor struct {
	*backend
	server *Server
	sys    *system.System
	client *Client
	ownLog *Log
	ended  chan error
}

func serve(t *testing.T, adjust ...func(*Server)) *supervisor {
	t.Helper()
	root, err := os.MkdirTemp("", "api") // t.TempDir is too long for a socket and closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := errors.Join(os.Chmod(root, 0o755), os.Mkdir(filepath.Join(root, "run"), 0o755)); err != nil {
		t.Fatal(err)
	}
	sys := system.New(system.Config{Root: root})
	s := &supervisor{backend: &backend{bus: NewBus()}, sys: sys, client: NewClient(sys), ownLog: NewLog(), ended: make(chan error, 1)}
	s.server = NewServer(Config{Backend: s.backend, Log: slog.New(slog.DiscardHandler), OwnLog: s.ownLog})
	for _, a := range adjust {
		a(s.server)
	}
	l, err := Listen(sys)
	if err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.server.Serve(l) }()
	t.Cleanup(s.server.Close)
	return s
}

func (s *supervisor) publish(texts ...string) {
	for _, text := range texts {
		s.bus.Publish(Event{Kind: "state", Text: text})
	}
}

func TestStatusAndPlan(t *testing.T) {
	s := serve(t)
	status, err := s.client.Status(t.Context())
	if diff := cmp.Diff(s.Status(), status); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want, _ := s.Plan(t.Context())
	plan, err := s.client.Plan(t.Context())
	if diff := cmp.Diff(want, plan); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	s.plan = remedy.With(errors.New("cannot plan run: compose.yaml:3:1: no"), "mend the compose file")
	if _, err := s.client.Plan(t.Context()); err == nil || err.Error() != s.plan.Error() || remedy.Of(err) != "mend the compose file" {
		t.Errorf("a plan that cannot be made: %v (%s)", err, remedy.Of(err))
	}
}

func TestActions(t *testing.T) {
	s := serve(t)
	for _, action := range []string{"clear", "reload", "reexec", "stop"} {
		if status, err := s.client.Post(t.Context(), action); err != nil || status.State != "run" {
			t.Errorf("%s answers %+v, %v", action, status, err)
		}
	}
	if diff := cmp.Diff([]string{"clear", "reload", "reexec", "stop"}, s.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

// ask sends a request and returns the status code and the body.
func (s *supervisor) ask(t *testing.T, method, path string) (int, Error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://appliance"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var problem Error
	_ = json.NewDecoder(res.Body).Decode(&problem) // not every answer is a document
	return res.StatusCode, problem
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	for _, test := range []struct {
		name         string
		answer       error
		method, path string
		code         int
		want         Error
	}{
		{"not in this state", remedy.With(fmt.Errorf("cannot reload: %w: the appliance has failed", ErrConflict), "run `appliance clear`"),
			"POST", "/v1/reload", 409, Error{"cannot reload: not now: the appliance has failed", "run `appliance clear`"}},
		{"broken", errors.New("cannot ask systemd"), "POST", "/v1/stop", 500, Error{Message: "cannot ask systemd"}},
		{"an action by GET", nil, "GET", "/v1/stop", 405, Error{}},
		{"a reading by POST", nil, "POST", "/v1/status", 405, Error{}},
		{"nothing of that name", nil, "GET", "/v2/status", 404, Error{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.answer = test.answer
			code, problem := s.ask(t, test.method, test.path)
			if diff := cmp.Diff(test.want, problem); diff != "" || code != test.code {
				t.Errorf("code %d, want %d (-want +got):\n%s", code, test.code, diff)
			}
		})
	}
	s.answer = remedy.With(fmt.Errorf("cannot clear: %w", ErrConflict), "wait")
	if _, err := s.client.Post(t.Context(), "clear"); err == nil || err.Error() != "cannot clear: not now" || remedy.Of(err) != "wait" {
		t.Errorf("the client makes of it: %v (%s)", err, remedy.Of(err))
	}
	if _, err := s.client.Post(t.Context(), "dance"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown action: %v", err)
	}
}

func TestNoSupervisor(t *testing.T) {
	root, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	sys := system.New(system.Config{Root: root})
	absent := func(t *testing.T) {
		t.Helper()
		_, err := NewClient(sys).Status(t.Context())
		if !errors.Is(err, ErrNoSupervisor) || remedy.Of(err) == "" {
			t.Errorf("the client says %v (%s)", err, remedy.Of(err))
		}
		if err := NewClient(sys).Events(t.Context(), 0, nil); !errors.Is(err, ErrNoSupervisor) {
			t.Errorf("the stream says %v", err)
		}
	}
	t.Run("no directory", absent)
	if err := sys.Mkdir("/run", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("no socket", absent)
	l, err := Listen(sys)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil || !sys.Exists(SocketPath) {
		t.Fatalf("closing took the socket away: %v", err)
	}
	t.Run("a socket that nobody serves", absent)
	if l, err = Listen(sys); err != nil {
		t.Fatalf("the socket of a process that has ended is in the way: %v", err)
	}
	l.Close()
}

func TestListen(t *testing.T) {
	s := serve(t)
	info, err := s.sys.Stat(SocketPath)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket's mode is %s", info.Mode())
	}
	deep := system.New(system.Config{Root: filepath.Join(s.sys.Root(), strings.Repeat("deep/", 30))})
	if err := os.MkdirAll(deep.Path("/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(deep); err == nil || !strings.Contains(remedy.Of(err), "shorter") {
		t.Errorf("a path that is too long for a socket: %v (%s)", err, remedy.Of(err))
	}
}

// collect follows the events behind last until there are n, and returns their texts.
func (s *supervisor) collect(t *testing.T, last uint64, n int) (texts []string, ids []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := s.client.Events(ctx, last, func(e Event) bool {
		texts, ids = append(texts, e.Text), append(ids, e.ID)
		return len(texts) < n
	})
	if err != nil {
		t.Fatalf("after %q: %v", texts, err)
	}
	return texts, ids
}

func TestEventsAreReplayedAndThenLive(t *testing.T) {
	s := serve(t)
	s.publish("one", "two", "three\nwith a second line")
	texts, ids := s.collect(t, 0, 3)
	if diff := cmp.Diff([]string{"one", "two", "three\nwith a second line"}, texts); diff != "" {
		t.Errorf("replay (-want +got):\n%s", diff)
	}
	if texts, _ := s.collect(t, ids[1], 1); !slices.Equal(texts, []string{"three\nwith a second line"}) {
		t.Errorf("behind the second come %q", texts)
	}
	var live []string
	err := s.client.Events(t.Context(), ids[1], func(e Event) bool {
		if live = append(live, e.Text); len(live) < 3 {
			s.publish(fmt.Sprint("live ", len(live))) // only now: the listener is there
		}
		return len(live) < 3
	})
	if diff := cmp.Diff([]string{"three\nwith a second line", "live 1", "live 2"}, live); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEventsOnTheWire(t *testing.T) {
	s := serve(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.bus.last = 41
	s.bus.Publish(Event{Kind: "step", Text: "run: up", Time: at, Phase: "run", Step: "up"})
	conn, err := net.Dial("unix", s.sys.Path(SocketPath))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: nonsense\r\n\r\n")
	want := "id: 42\nevent: step\ndata: {\"version\":1,\"id\":42,\"time\":\"2026-01-02T03:04:05Z\",\"kind\":\"step\",\"text\":\"run: up\",\"phase\":\"run\",\"step\":\"up\"}\n\n"
	var got strings.Builder
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); !strings.Contains(got.String(), want); {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v after\n%s", err, &got)
		}
	}
	if !strings.Contains(got.String(), "Content-Type: text/event-stream\r\n") {
		t.Errorf("the head is\n%s", &got)
	}
}

func TestCloseEndsTheStreams(t *testing.T) {
	s := serve(t)
	s.publish("one")
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.client.Events(context.Background(), 0, func(Event) bool { close(begun); return true })
	}()
	<-begun
	at := time.Now()
	s.server.Close()
	if took := time.Since(at); took > 900*time.Millisecond { // a second is its limit for requests that hang
		t.Errorf("Close took %s while somebody listened", took)
	}
	for name, done := range map[string]chan error{"the stream": ended, "Serve": s.ended} {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s ended with %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s has not ended", name)
		}
	}
	s.server.Close() // twice is the same as once
	if _, err := s.client.Status(t.Context()); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("after Close the client says %v", err)
	}
}

func TestPeers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const nobody, group = 65534, 54321
	asks := " (ask as root, or to read: as a member of group appliance)\n"
	closed := "cannot ask the supervisor: permission denied" + asks
	stranger := fmt.Sprintf("cannot allow this to user %d", nobody) + asks
	for _, test := range []struct {
		name   string
		mode   os.FileMode // of the socket
		cred   *syscall.Credential
		status string
		stop   string
	}{
		{"root", 0o660, &syscall.Credential{}, "<nil> ()\n", "<nil> ()\n"},
		{"root with another group", 0o660, &syscall.Credential{Gid: nobody, Groups: []uint32{1, 2}}, "<nil> ()\n", "<nil> ()\n"},
		{"a stranger cannot even connect", 0o660, &syscall.Credential{Uid: nobody, Gid: nobody}, closed, closed},
		{"a stranger who can", 0o666, &syscall.Credential{Uid: nobody, Gid: nobody}, stranger, stranger},
		{"a member of another group", 0o666, &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{group - 1}}, stranger, stranger},
		{"a member of the group may read", 0o666, &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{7, group}},
			"<nil> ()\n", "cannot allow this to a member of group appliance: it may only read" + asks},
		{"by its main group too", 0o666, &syscall.Credential{Uid: nobody, Gid: group},
			"<nil> ()\n", "cannot allow this to a member of group appliance: it may only read" + asks},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(s *Server) { s.groupID = group })
			if err := os.Chmod(s.sys.Path(SocketPath), test.mode); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{asClient + "=" + s.sys.Root()}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: test.cred}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff("status: "+test.status+"stop: "+test.stop, string(out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if did := len(s.asked) > 0; did != strings.HasPrefix(test.stop, "<nil>") {
				t.Errorf("the backend was asked for %q", s.asked)
			}
		})
	}
}

func TestAHostWithoutTheGroupHasNoReaders(t *testing.T) {
	s := &Server{groupID: -1}
	ctx := context.WithValue(t.Context(), peerKey{}, peer{uid: 1 << 20, groups: []uint32{0, 1<<32 - 1}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.allow(req) == nil {
		t.Error("a stranger may read")
	}
	if s.allow(req.WithContext(t.Context())) == nil {
		t.Error("a peer that the kernel does not name may read")
	}
}
