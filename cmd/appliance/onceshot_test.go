package main

import (
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/testbed"
)

// migrating is the demo application with a one-shot that web waits for, and one that nobody waits for.
var migrating = strings.NewReplacer("  start_timeout", "  oneshots: [seed]\n  start_timeout",
	"{store: {condition: service_healthy}}", "{store: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}").
	Replace(testbed.Compose) + `  migrate:
    image: appliance-testbed:1
    command: [probe, "http://store:8081/healthz"]
    depends_on: {store: {condition: service_healthy}}
  seed:
    image: appliance-testbed:1
    command: [probe, "http://store:8081/healthz"]
    restart: on-failure
    depends_on: {store: {condition: service_healthy}}
`

func openEngine(t *testing.T, h *testbed.Host) *compose.Engine {
	t.Helper()
	engine, err := compose.Open(compose.Config{System: h.System(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

func loadProject(t *testing.T, h *testbed.Host) *compose.Project {
	t.Helper()
	project, err := compose.Load(t.Context(), filepath.Join(h.Root, "app/ecs"),
		map[string]string{"ECS_DEMO_PORT": strconv.Itoa(h.Port), "ECS_DEMO_DATA": filepath.Join(h.Root, "data/demo")})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// only picks some services' containers out of the project's.
func only(h *testbed.Host, services ...string) map[string]string {
	found, all := map[string]string{}, h.Containers()
	for _, service := range services {
		name := "/" + containerName(h, service)
		found[name] = all[name]
	}
	return found
}

func sameOnly(t *testing.T, h *testbed.Host, before map[string]string, services ...string) {
	t.Helper()
	if diff := cmp.Diff(before, only(h, services...)); diff != "" {
		t.Fatalf("they were run again (-before +now):\n%s", diff)
	}
}

func TestOneShotsRunOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(migrating)
	s := h.Start()
	s.AwaitWatching(time.Minute)
	once := only(h, "migrate", "seed")

	t.Log("a container is removed, and healed")
	web := only(h, "web")
	testbed.Docker(t, "rm", "-f", containerName(h, "web"))
	h.Await(30*time.Second, "whole again", func(s api.Status) bool {
		return s.Healthy && len(only(h, "web")["/"+containerName(h, "web")]) > 0 && !maps.Equal(web, only(h, "web"))
	})
	sameOnly(t, h, once, "migrate", "seed")

	t.Log("the supervisor is restarted, and a service is down")
	s.Kill()
	testbed.Docker(t, "stop", "-t", "1", containerName(h, "web"))
	s = h.Start()
	s.AwaitWatching(time.Minute)
	sameOnly(t, h, once, "migrate", "seed")

	t.Log("all was stopped")
	done(t, h, "stop")
	s.Wait(20 * time.Second)
	if err := openEngine(t, h).Start(t.Context(), strings.ToLower(h.Project), nil); err != nil {
		t.Fatal(err)
	}
	sameOnly(t, h, once, "migrate", "seed")
	for name, state := range states(h) {
		if _, oneShot := once[name]; !oneShot && state != "running" {
			t.Errorf("%s is %s after a start", name, state)
		}
	}

	t.Log("one of them changed")
	h.WriteCompose(strings.Replace(migrating, "http://store:8081/healthz\"]\n    restart", "http://store:8081/check\"]\n    restart", 1))
	s = h.Start()
	s.AwaitWatching(time.Minute)
	sameOnly(t, h, map[string]string{"/" + containerName(h, "migrate"): once["/"+containerName(h, "migrate")]}, "migrate")
	if seed := only(h, "seed"); seed["/"+containerName(h, "seed")] == once["/"+containerName(h, "seed")] {
		t.Error("a one-shot that changed was not run")
	} else if states(h)["/"+containerName(h, "seed")] != "exited" {
		t.Errorf("the seed is %v", seed)
	}
}

func TestGateWaitsForOneShots(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(strings.Replace(testbed.Compose, "  start_timeout", "  oneshots: [extra]\n  start_timeout", 1) + extra +
		"    environment: {DEMO_START_DELAY: 1h}\n")
	s := h.Start()
	status := h.Await(30*time.Second, "all up but the one-shot", func(s api.Status) bool {
		ready := map[string]bool{}
		for _, service := range s.Services {
			ready[service.Name] = service.Ready
		}
		return s.State == "run" && ready["web"] && ready["store"]
	})
	if why := status.Services[0].Why; why != "it has not ended yet" || status.Healthy || status.Resting {
		t.Errorf("a one-shot at work: %q, healthy %t, resting %t", why, status.Healthy, status.Resting)
	}
	testbed.Docker(t, "kill", "-s", "TERM", containerName(h, "extra"))
	s.AwaitWatching(30 * time.Second)
}

func awaitReady(t *testing.T, engine *compose.Engine, project *compose.Project) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		services, err := engine.Services(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(services, func(s compose.Service) bool { return !s.Ready }) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not ready: %+v", services)
		}
	}
}

func TestStoppedAsAWhole(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(`services:
  extra:
    image: appliance-testbed:1
    command: [store]
    tmpfs: [/data]
    stop_grace_period: 20s
    healthcheck: {interval: 200ms, test: [CMD, /demo, probe, "http://127.0.0.1:8081/healthz"]}
`)
	engine, project := openEngine(t, h), loadProject(t, h)
	if err := engine.Up(t.Context(), project, nil); err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func() error{
		"up":    func() error { return engine.Up(t.Context(), project, nil) },
		"start": func() error { return engine.Start(t.Context(), project.Name(), nil) },
	} {
		awaitReady(t, engine, project) // or it would not heed the signal
		if err := engine.Stop(t.Context(), project.Name(), 0, nil); err != nil {
			t.Fatal(err)
		}
		if code := strings.TrimSpace(testbed.Docker(t, "inspect", "-f", "{{.State.ExitCode}}", containerName(h, "extra"))); code != "0" {
			t.Fatalf("it ended with %s, which proves nothing here", code)
		}
		if err := start(); err != nil {
			t.Fatal(err)
		}
		if state := states(h)["/"+containerName(h, "extra")]; state != "running" {
			t.Errorf("%s after a stop: a service without a restart policy is %s", name, state)
		}
	}
}

func TestHealDeploysNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	engine := openEngine(t, h)
	if err := engine.Up(t.Context(), loadProject(t, h), nil); err != nil {
		t.Fatal(err)
	}
	store, web := only(h, "store"), only(h, "web")
	h.WriteCompose(strings.ReplaceAll(testbed.Compose, "restart: unless-stopped", "restart: always"))
	testbed.Docker(t, "rm", "-f", containerName(h, "web"))
	if err := engine.Heal(t.Context(), loadProject(t, h), nil); err != nil {
		t.Fatal(err)
	}
	sameOnly(t, h, store, "store")
	if now := only(h, "web"); maps.Equal(now, web) || states(h)["/"+containerName(h, "web")] != "running" {
		t.Errorf("the container that was missing is %v", now)
	}
}

func TestOtherProjectsOfADirectory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose("services:\n" + extra)
	engine, old := openEngine(t, h), loadProject(t, h)
	if err := engine.Up(t.Context(), old, nil); err != nil {
		t.Fatal(err)
	}
	h.Write("app/ecs/compose.yaml", strings.Replace(h.Read("app/ecs/compose.yaml"), old.Name(), old.Name()+"-renamed", 1))
	renamed := loadProject(t, h)
	stop := func() error { return engine.Stop(t.Context(), old.Name(), 0, nil) }
	for _, change := range []func() error{func() error { return nil }, stop} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		strangers, err := engine.Strangers(t.Context(), renamed)
		if diff := cmp.Diff([]string{old.Name()}, strangers); diff != "" || err != nil {
			t.Errorf("strangers to the renamed (-want +got, %v):\n%s", err, diff)
		}
		if strangers, err := engine.Strangers(t.Context(), old); len(strangers) > 0 || err != nil {
			t.Errorf("strangers to itself: %v, %v", strangers, err)
		}
		for dir, want := range map[string][]string{h.Root + "/app/ecs": {old.Name()}, h.Root + "/app": nil} {
			at, err := engine.ProjectsAt(t.Context(), dir)
			if diff := cmp.Diff(want, at); diff != "" || err != nil {
				t.Errorf("projects at %s (-want +got, %v):\n%s", dir, err, diff)
			}
		}
	}
}

// TestContainersHaveTheirOwnStopLimit takes a container that ignores SIGTERM. How long it had is what the engine's own
// events say of its two signals: how long the whole takes says more of how busy the engine is.
func TestContainersHaveTheirOwnStopLimit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose("services:\n" + strings.Replace(extra, "period: 1s", "period: 2s", 1) + "    environment: {DEMO_FAIL: hang, DEMO_ADDR: ':8081'}\n")
	engine, project := openEngine(t, h), loadProject(t, h)
	for name, stop := range map[string]func() error{
		"stop": func() error { return engine.Stop(t.Context(), project.Name(), 0, nil) },
		"down": func() error { return engine.Down(t.Context(), project.Name(), 0, nil) },
		"recreate": func() error {
			h.Write("app/ecs/compose.yaml", strings.Replace(h.Read("app/ecs/compose.yaml"), "DEMO_FAIL: hang", "MORE: more, DEMO_FAIL: hang", 1))
			return engine.Up(t.Context(), loadProject(t, h), nil)
		},
	} {
		if err := engine.Up(t.Context(), loadProject(t, h), nil); err != nil {
			t.Fatal(err)
		}
		id := ids(h)["/"+containerName(h, "extra")]
		awaitCondition(t, time.Minute, "the program ignores SIGTERM", func() bool { return ignoresTerm(t, id) })
		begin := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if had := timeToStop(t, id, begin); had < 1900*time.Millisecond || had >= 8*time.Second {
			t.Errorf("%s: a container that may take 2s had %s", name, had)
		}
	}
}

// ignoresTerm reads the kernel's word on the first process of a container.
func ignoresTerm(t *testing.T, id string) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strings.TrimSpace(testbed.Docker(t, "inspect", "--format", "{{.State.Pid}}", id)) + "/status")
	if err != nil {
		return false // it is not there yet
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:")
	mask, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	return err == nil && mask&(1<<(syscall.SIGTERM-1)) != 0
}

// timeToStop returns how long the engine waited between SIGTERM and SIGKILL for the container id, since begin.
func timeToStop(t *testing.T, id string, begin time.Time) time.Duration {
	t.Helper()
	at := map[string]time.Duration{}
	for line := range strings.Lines(testbed.Docker(t, "events", "--since", begin.Format(time.RFC3339Nano), "--until", time.Now().Format(time.RFC3339Nano),
		"--filter", "container="+id, "--filter", "event=kill", "--format", "{{.Actor.Attributes.signal}} {{.TimeNano}}")) {
		signal, nano, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(nano, 10, 64)
		if err != nil {
			t.Fatalf("an event of the engine is %q: %v", line, err)
		}
		at[signal] = time.Duration(ns)
	}
	if at["15"] == 0 || at["9"] == 0 {
		t.Fatalf("the engine sent %v, not SIGTERM and SIGKILL", at)
	}
	return at["9"] - at["15"]
}

// TestStartWithoutRegistry takes an image that no registry has.
func TestStartWithoutRegistry(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose("services:\n" + extra + "    pull_policy: always\n")
	if err := openEngine(t, h).Up(t.Context(), loadProject(t, h), nil); err != nil {
		t.Fatal(err)
	}
}
