// Package testbed gives tests a throw-away appliance on a real container engine: a root directory, a project of its own
// and the demo application. A host without an engine skips, unless APPLIANCE_ENGINE=require says that it must have one.
package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/system"
)

// Host is a root directory with an appliance in it.
type Host struct {
	TB      testing.TB
	Root    string
	Project string
	Binary  string   // the program under test
	Env     []string // added to its environment
	Port    int      // free on 127.0.0.1 when the host was made
}

// New returns a host with the demo application and a valid environment in place, nothing started. Whatever it makes on
// the engine is removed when the test ends. binary is the program under test.
func New(tb testing.TB, binary string) *Host {
	tb.Helper()
	requireEngine(tb)
	Image(tb)
	root, err := os.MkdirTemp("", "ap") // t.TempDir is too long for a Unix socket
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{TB: tb, Root: root, Project: filepath.Base(root), Binary: binary, Port: freePort(tb)}
	tb.Cleanup(h.remove)
	h.WriteCompose(Compose)
	h.WriteEnv("")
	return h
}

// Compose is the demo application with quick health checks.
const Compose = `x-appliance:
  routes: [{service: web, port: 8080, health: /healthz}]
  start_timeout: 60s
  unhealthy_timeout: 10s
  stop_timeout: 5s
x-health: &health {interval: 500ms, timeout: 5s, retries: 5, start_period: 10s}
services:
  web:
    image: ` + imageName + `
    command: [web]
    restart: unless-stopped
    ports: ["127.0.0.1:${ECS_DEMO_PORT}:8080"]
    environment: {DEMO_FAIL: "${ECS_DEMO_WEB_FAIL:-}"}
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8080/healthz"]}
    depends_on: {store: {condition: service_healthy}}
  store:
    image: ` + imageName + `
    command: [store]
    restart: unless-stopped
    volumes: ["${ECS_DEMO_DATA:?set ecs.demo.data in env.yml}:/data"]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8081/healthz"]}
`

// WriteCompose puts a compose file in place, under the host's own project name.
func (h *Host) WriteCompose(text string) {
	h.TB.Helper()
	h.Write("/app/ecs/compose.yaml", "name: "+strings.ToLower(h.Project)+"\n"+text)
}

// WriteEnv puts a valid environment in place, with extra lines of YAML at its top level.
func (h *Host) WriteEnv(extra string) {
	h.TB.Helper()
	h.Write("/app/env.yml", fmt.Sprintf(`#cloud-config
appliance:
  domain: box.example.org
ecs:
  demo:
    port: %d
    data: %s/data/demo
%s`, h.Port, h.Root, extra))
}

// Write puts a file below the root.
func (h *Host) Write(path, text string) {
	h.TB.Helper()
	name := filepath.Join(h.Root, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.TB.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		h.TB.Fatal(err)
	}
}

// Read returns a file below the root, "" when there is none.
func (h *Host) Read(path string) string {
	data, err := os.ReadFile(filepath.Join(h.Root, path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.TB.Fatal(err)
	}
	return string(data)
}

// System is the host as the program sees it.
func (h *Host) System() *system.System { return system.New(system.Config{Root: h.Root}) }

// Run runs the program to its end and returns what it said.
func (h *Host) Run(args ...string) (stdout, stderr string, status int) {
	h.TB.Helper()
	ctx, cancel := context.WithTimeout(h.TB.Context(), 2*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if runErr := cmd.Run(); runErr != nil && cmd.ProcessState == nil {
		h.TB.Fatal(runErr)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func (h *Host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.Binary, append([]string{"--root", h.Root}, args...)...)
	cmd.Env = append(os.Environ(), h.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	return cmd
}

// Supervisor is a running `appliance run`.
type Supervisor struct {
	Cmd  *exec.Cmd
	host *Host
	log  *logBuffer
	done chan struct{}
}

// Start starts `appliance run`.
func (h *Host) Start(args ...string) *Supervisor {
	h.TB.Helper()
	s := &Supervisor{host: h, log: &logBuffer{}, done: make(chan struct{})}
	s.Cmd = h.command(context.Background(), append([]string{"run"}, args...)...)
	s.Cmd.Stderr = s.log
	if err := s.Cmd.Start(); err != nil {
		h.TB.Fatal(err)
	}
	go func() { _ = s.Cmd.Wait(); close(s.done) }()
	h.TB.Cleanup(func() {
		s.Kill()
		if h.TB.Failed() {
			h.TB.Logf("log of the supervisor:\n%s", s.log)
		}
	})
	return s
}

// Kill ends the supervisor as a crash does, and returns when it is gone.
func (s *Supervisor) Kill() {
	_ = s.Cmd.Process.Kill() // it may have ended by itself
	<-s.done
}

// Wait returns the exit status once the supervisor has ended, or -1 when it was killed.
func (s *Supervisor) Wait(limit time.Duration) int {
	s.host.TB.Helper()
	select {
	case <-s.done:
		return s.Cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		s.host.TB.Fatalf("the supervisor has not ended after %s; its log:\n%s", limit, s.log)
		return 0
	}
}

// AwaitWatching waits until this supervisor has nothing left to do but watch a healthy application.
func (s *Supervisor) AwaitWatching(limit time.Duration) api.Status {
	s.host.TB.Helper()
	return s.host.Await(limit, "watching", func(status api.Status) bool {
		return status.Supervisor.PID == s.Cmd.Process.Pid && status.State == "run" && status.Healthy && status.Resting
	})
}

// Done is closed when the supervisor has ended.
func (s *Supervisor) Done() <-chan struct{} { return s.done }

// Log is what the supervisor has written.
func (s *Supervisor) Log() string { return s.log.String() }

// Await waits until the status is as wanted, and returns it.
func (h *Host) Await(limit time.Duration, what string, wanted func(api.Status) bool) api.Status {
	h.TB.Helper()
	var last api.Status
	var err error
	client := api.NewClient(h.System())
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		if last, err = client.Status(h.TB.Context()); err == nil && wanted(last) {
			return last
		}
	}
	text, _ := json.MarshalIndent(last, "", " ")
	h.TB.Fatalf("not %s after %s; last error %v, last status:\n%s", what, limit, err, text)
	return last
}

// AwaitHealthy waits for state run with a healthy application that is being watched.
func (h *Host) AwaitHealthy(limit time.Duration) api.Status {
	h.TB.Helper()
	return h.Await(limit, "healthy", func(s api.Status) bool { return s.State == "run" && s.Healthy })
}

// AwaitFailed waits for state failed with the flag raised.
func (h *Host) AwaitFailed(limit time.Duration) api.Status {
	h.TB.Helper()
	return h.Await(limit, "failed", func(s api.Status) bool { return s.State == "failed" && s.Resting })
}

// Containers lists the project's containers by name with ID and start time: equal lists mean that nothing was touched.
func (h *Host) Containers() map[string]string {
	h.TB.Helper()
	found := map[string]string{}
	ids := strings.Fields(Docker(h.TB, "ps", "-aq", "--filter", "label=com.docker.compose.project="+strings.ToLower(h.Project)))
	if len(ids) == 0 {
		return found
	}
	lines := Docker(h.TB, append([]string{"inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Status}}"}, ids...)...)
	for line := range strings.Lines(lines) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = rest
	}
	return found
}

// URL is where the demo's page is.
func (h *Host) URL(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", h.Port, path) }

// Get asks the demo for a page.
func (h *Host) Get(path string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(h.URL(path))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(data)
}

func (h *Host) remove() {
	project := "label=com.docker.compose.project=" + strings.ToLower(h.Project)
	if ids := strings.Fields(Docker(h.TB, "ps", "-aq", "--filter", project)); len(ids) > 0 {
		Docker(h.TB, append([]string{"rm", "-fv"}, ids...)...)
	}
	if ids := strings.Fields(Docker(h.TB, "network", "ls", "-q", "--filter", project)); len(ids) > 0 {
		Docker(h.TB, append([]string{"network", "rm"}, ids...)...)
	}
	if err := os.RemoveAll(h.Root); err != nil {
		h.TB.Error(err)
	}
}

// Docker runs the docker CLI and returns its standard output.
func Docker(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := exec.Command("docker", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		tb.Fatalf("docker %v: %v: %s", args, err, exit.Stderr)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

func requireEngine(tb testing.TB) {
	tb.Helper()
	err := exec.Command("docker", "version").Run()
	if err == nil {
		return
	}
	if os.Getenv("APPLIANCE_ENGINE") == "require" {
		tb.Fatalf("no container engine answers: %v", err)
	}
	tb.Skipf("no container engine answers: %v", err)
}

const imageName = "appliance-testbed:1"

var buildImage sync.Once

// Image makes sure that the demo's image is on the engine, and returns its name.
func Image(tb testing.TB) string {
	tb.Helper()
	buildImage.Do(func() {
		dir := tb.TempDir()
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", filepath.Join(dir, "demo"), "./testdata/demo")
		build.Dir = moduleRoot(tb)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			tb.Fatalf("cannot build the demo: %v\n%s", err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY demo /demo\nENTRYPOINT [\"/demo\"]\n"), 0o644); err != nil {
			tb.Fatal(err)
		}
		if out, err := exec.Command("docker", "build", "-q", "-t", imageName, dir).CombinedOutput(); err != nil {
			tb.Fatalf("cannot build the demo's image: %v\n%s", err, out)
		}
	})
	return imageName
}

func moduleRoot(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// FreeAddress returns an address on loopback with a port like New's.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePort(tb))
}

var nextPort atomic.Int32

// freePort returns a port that nobody holds and that nobody gets by chance: below those that the kernel gives to clients,
// each only once in this process, and from another place in each process.
func freePort(tb testing.TB) int {
	tb.Helper()
	const first, count = 20000, 10000
	for range count {
		port := first + (os.Getpid()*131+int(nextPort.Add(1)))%count
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	tb.Fatal("no free port")
	return 0
}

// logBuffer gathers what a process writes while others read it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
