package phases

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env/source"
	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// manager is a service manager that remembers what it was told.
type manager struct {
	ready chan struct{} // one for each Ready

	mu    sync.Mutex
	lines []string
}

// StopUnit: no unit.
func (m *manager) StopUnit(context.Context) (bool, error) { return false, nil }

func (m *manager) Ready()               { m.note("ready"); m.ready <- struct{}{} }
func (m *manager) Status(line string)   { m.note(line) }
func (m *manager) Extend(time.Duration) {}
func (m *manager) Reloading()           { m.note("reloading") }

func (m *manager) note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, line)
}

func (m *manager) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

// host is a root directory without an engine, on which supervisors run one after the other.
type host struct {
	t    *testing.T
	root string
	full atomic.Pointer[string] // the directory below which nothing can be written
	wait time.Duration          // for the engine

	machine *source.Machine
	deny    func(system.Effect) error
}

func newTestHost(t *testing.T) *host {
	h := &host{t: t, root: t.TempDir()}
	h.full.Store(new(string))
	h.write("run/.keep", "")
	return h
}

func (h *host) write(path, text string) {
	h.t.Helper()
	name := filepath.Join(h.root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) remove(path string) {
	h.t.Helper()
	if err := os.RemoveAll(filepath.Join(h.root, path)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) config(m Manager) Config {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	sys := system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		if h.deny != nil {
			if err := h.deny(e); err != nil {
				return err
			}
		}
		if full := *h.full.Load(); full != "" && e.Op == "write" && strings.HasPrefix(e.Object, full) {
			return syscall.ENOSPC
		}
		return nil
	}})
	engine, err := compose.Open(compose.Config{System: sys, Host: "unix://" + h.root + "/no-engine.sock", Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = engine.Close() })
	return Config{System: sys, Engine: engine, Manager: m, Log: log, Version: "1.2.3", Machine: h.machine, EngineWait: h.wait}
}

// process is a supervisor that runs.
type process struct {
	*Appliance
	t       *testing.T
	manager *manager
	kill    context.CancelFunc
	ended   chan error
}

func (h *host) start() *process {
	h.t.Helper()
	p := &process{t: h.t, manager: &manager{ready: make(chan struct{}, 100)}, ended: make(chan error, 1)}
	var err error
	if p.Appliance, err = NewAppliance(h.config(p.manager)); err != nil {
		h.t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background())
	p.kill = kill
	done := make(chan struct{})
	go func() { defer close(done); p.ended <- p.Run(ctx) }()
	h.t.Cleanup(func() { kill(); <-done }) // its directory is removed next
	return p
}

// end stops the supervisor without a trace in its record but the last state.
func (p *process) end() error {
	p.t.Helper()
	p.kill()
	return p.await()
}

func (p *process) await() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		p.t.Fatal("the supervisor does not end")
		return nil
	}
}

// rests waits until the supervisor says that there is nothing more to wait for.
func (p *process) rests() api.Status {
	p.t.Helper()
	select {
	case <-p.manager.ready:
	case err := <-p.ended:
		p.t.Fatalf("the supervisor has ended: %v", err)
	case <-time.After(time.Minute):
		p.t.Fatalf("the supervisor does not come to rest: %+v", p.Status())
	}
	return p.Status()
}

// went lists the states that the process has entered.
func (p *process) went() (states []string) {
	events, _ := p.bus.After(0)
	for _, e := range events {
		if e.Kind == "state" {
			states = append(states, e.State)
		}
	}
	return states
}

// reaches waits for an event.
func (p *process) reaches(what string, is func(api.Event) bool) {
	p.t.Helper()
	limit := time.After(time.Minute)
	for last := uint64(0); ; {
		events, more := p.bus.After(last)
		for _, e := range events {
			if is(e) {
				return
			}
			last = e.ID
		}
		select {
		case <-more:
		case <-limit:
			p.t.Fatalf("it never comes to %s: %+v", what, p.Status())
		}
	}
}

func (h *host) flag() (f api.Failure) {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.root, FailedFlag))
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

const environment = "#cloud-config\nappliance:\n  domain: box.example.org\n"

func TestStandby(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", environment+"  standby: true\n")
	p := h.start()
	status := p.rests()
	if status.State != "standby" || status.Failure != nil || status.Summary != "standby: appliance.standby is true in the environment" || !status.Resting {
		t.Errorf("status is %+v", status)
	}
	if err := p.Clear(); !errors.Is(err, api.ErrConflict) {
		t.Errorf("clear in standby says %v", err)
	}
	h.write("app/env.yml", environment)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if status = p.rests(); status.State != "failed" || status.Failure.Phase != "prepare-ecs" || status.Failure.Step != "project" {
		t.Errorf("without standby and without an application status is %+v", status)
	}
	if want := []string{"prepare-env", "standby", "prepare-env", "prepare-appliance", "prepare-ecs", "failed"}; !slices.Equal(p.went(), want) {
		t.Errorf("it went %q", p.went())
	}
	if told := p.manager.told(); !slices.Contains(told, "reloading") || !slices.Contains(told, "prepare-env: source (1/4)") || told[len(told)-1] != "ready" {
		t.Errorf("the service manager was told %q", told)
	}
}

func TestTheEndOfRun(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*process) error
		want error
	}{
		"reexec": {func(p *process) error { return p.Reexec() }, ErrReexec},
		"stop":   {func(p *process) error { return p.Stop() }, ErrStop},
		"killed": {func(p *process) error { p.kill(); return nil }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", "")
			h := newTestHost(t)
			p := h.start()
			p.rests()
			if err := test.end(p); err != nil {
				t.Fatal(err)
			}
			if err := p.await(); !errors.Is(err, test.want) {
				t.Errorf("Run ends with %v, want %v", err, test.want)
			}
		})
	}
}

// On a full disk a stop must still be a stop: whoever asked for it wants the application stopped.
func TestAStopIsObeyedWhenItCannotBeRecorded(t *testing.T) {
	h := newTestHost(t)
	h.wait = time.Hour
	h.write("app/env.yml", environment)
	h.write("app/ecs/compose.yaml", "name: box\nservices: {web: {image: web}}\n")
	p := h.start()
	p.reaches("the wait for the engine", func(e api.Event) bool { return e.Step == "engine" })
	full := StateDir
	h.full.Store(&full)
	if err := p.Reexec(); err != nil {
		t.Fatal(err)
	}
	if err := p.await(); !errors.Is(err, ErrReexec) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Run ends with %v", err)
	}
}

// A request that comes late for a state that was left must not keep the next one out.
func TestTheLatestRequestCounts(t *testing.T) {
	a := &Appliance{wake: make(chan machine.Event, 1)}
	a.ask(Clear)
	a.ask(Reload)
	if got := <-a.wake; got != Reload {
		t.Errorf("what waits is %s, want the later request", got)
	}
	a.cfg = newTestHost(t).config(&manager{})
	a.ask(Clear)
	a.beginWalk()
	select {
	case event := <-a.wake:
		t.Errorf("a walk leaves %s behind: it would clear a failure that nobody has seen", event)
	default:
	}
}

func TestWithoutAnEngineThePlanSaysSo(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", environment)
	h.write("app/ecs/compose.yaml", "name: box\nservices: {web: {image: web}}\n")
	_, err := Plan(t.Context(), h.config(&manager{}))
	if err == nil || !strings.Contains(err.Error(), "cannot reach the container engine") || remedy.Of(err) == "" {
		t.Errorf("the plan says %v (%s)", err, remedy.Of(err))
	}
	if _, err := os.Stat(filepath.Join(h.root, "run/active-env.yml")); err == nil {
		t.Error("a plan has put an environment in force")
	}
}

func TestSingle(t *testing.T) {
	h := newTestHost(t)
	cfg := h.config(&manager{})
	if err := Single(t.Context(), cfg, "dance"); err == nil || remedy.Of(err) == "" {
		t.Errorf("a phase that is none: %v", err)
	}
	if err := Single(t.Context(), cfg, "prepare-appliance"); err == nil || !strings.Contains(remedy.Of(err), "prepare-env") {
		t.Errorf("without the phase before: %v (%s)", err, remedy.Of(err))
	}
	h.write("app/env.yml", environment)
	for _, phase := range []string{"prepare-env", "prepare-appliance", "prepare-env"} {
		if err := Single(t.Context(), cfg, phase); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
	}
	for path, want := range map[string]string{"run/active-env.yml": environment, "etc/hostname": "box.example.org\n"} {
		if data, err := os.ReadFile(filepath.Join(h.root, path)); string(data) != want || err != nil {
			t.Errorf("%s holds %q, %v", path, data, err)
		}
	}
	if rec, err := machine.NewStore(cfg.System, StateDir, cfg.Log).Load(); rec.State != "" || err != nil {
		t.Errorf("a single phase has recorded the state %q, %v", rec.State, err)
	}
}

func TestSummaries(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	failure := &machine.Failure{State: PrepareECS, Step: "project", Cause: "compose.yaml:3:1: no\nmore of it", Remedy: "mend it", First: at, Last: at, Tries: 2}
	bare := &machine.Failure{State: Run, Cause: "broken", Tries: 1}
	for _, test := range []struct {
		name string
		rec  machine.Record
		want string
	}{
		{"never started", machine.Record{}, "boot"},
		{"under way", machine.Record{State: PrepareAppliance}, "prepare-appliance"},
		{"running", machine.Record{State: Run}, "run"},
		{"standby", machine.Record{State: Standby}, "standby: appliance.standby is true in the environment"},
		{"failed", machine.Record{State: Failed, Failure: failure},
			"failed in prepare-ecs (project): compose.yaml:3:1: no; to do: mend it; then run `appliance clear`"},
		{"failed outside of a step and without a remedy", machine.Record{State: Failed, Failure: bare}, "failed in run: broken; to do: run `appliance clear`"},
		{"failed, and nobody knows why", machine.Record{State: Failed}, "failed in failed: unknown: the record of the failure was lost; to do: run `appliance clear`"},
		{"on the way again after a failure", machine.Record{State: PrepareEnv, Failure: failure}, "prepare-env"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, StatusOf(test.rec).Summary); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	a := &Appliance{urls: []string{"http://box"}, trouble: ""}
	s := api.Status{State: "run", Healthy: true, URLs: a.urls, Services: make([]compose.Service, 2)}
	if got := a.summary(s); got != "run: healthy, 2 services http://box" {
		t.Errorf("healthy is %q", got)
	}
	a.trouble = "service web: it ended with status 1"
	if got := a.summary(s); got != "run: out of health: service web: it ended with status 1" {
		t.Errorf("out of health is %q", got)
	}
}
