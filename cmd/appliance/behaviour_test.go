package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
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

// impatient is the demo application, quick to call itself out of health.
var impatient = strings.NewReplacer("unhealthy_timeout: 10s", "unhealthy_timeout: 4s", "timeout: 5s, retries: 5", "timeout: 1s, retries: 2").
	Replace(testbed.Compose)

// extra is one more service of the demo application.
const extra = `  extra:
    image: appliance-testbed:1
    command: [worker]
    stop_grace_period: 1s
`

// done runs the program, which must end with status 0.
func done(t *testing.T, h *testbed.Host, args ...string) string {
	t.Helper()
	out, stderr, status := h.Run(args...)
	if status != 0 {
		t.Fatalf("%v ends with %d: %s%s", args, status, out, stderr)
	}
	return out
}

func containerName(h *testbed.Host, service string) string {
	return strings.ToLower(h.Project) + "-" + service + "-1"
}

// ids maps the project's containers to their IDs alone: they may be stopped and started.
func ids(h *testbed.Host) map[string]string {
	found := h.Containers()
	for name, rest := range found {
		found[name], _, _ = strings.Cut(rest, " ")
	}
	return found
}

// states are the states of the project's containers.
func states(h *testbed.Host) map[string]string {
	found := h.Containers()
	for name, rest := range found {
		found[name] = rest[strings.LastIndexByte(rest, ' ')+1:]
	}
	return found
}

// follow runs a command that goes on, hands each of its lines to seen until that answers true, and ends it as Ctrl-C does.
func follow(t *testing.T, h *testbed.Host, seen func(line string) bool, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.Binary, append([]string{"--root", h.Root}, args...)...)
	cmd.Env = append(os.Environ(), h.Env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	var all []string
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		all = append(all, lines.Text())
		found = seen(lines.Text())
	}
	if !found {
		t.Errorf("%v does not print what it should:\n%s", args, strings.Join(all, "\n"))
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, interrupted: %v", args, err)
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	flip := func(standby bool) {
		h.WriteEnv("")
		if standby {
			h.Write("app/env.yml", strings.Replace(h.Read("app/env.yml"), "appliance:\n", "appliance:\n  standby: true\n", 1))
		}
	}
	standby := func(s api.Status) bool { return s.State == "standby" && s.Resting }

	flip(true)
	s := h.Start()
	h.Await(10*time.Second, "in standby", standby)
	if out := done(t, h, "status"); !strings.HasPrefix(out, "standby: ") {
		t.Errorf("status says %q", out)
	}
	if found := h.Containers(); len(found) > 0 {
		t.Errorf("standby has containers: %v", found)
	}

	t.Log("out of standby")
	flip(false)
	if out := done(t, h, "reload"); !strings.HasPrefix(out, "run: healthy") {
		t.Errorf("reload says %q", out)
	}
	before := ids(h)

	t.Log("a running one goes to standby, and stays there through a crash")
	flip(true)
	if out := done(t, h, "reload"); !strings.HasPrefix(out, "standby: ") {
		t.Errorf("reload says %q", out)
	}
	stopped := map[string]string{"/" + containerName(h, "web"): "exited", "/" + containerName(h, "store"): "exited"}
	if diff := cmp.Diff(stopped, states(h)); diff != "" {
		t.Errorf("containers in standby (-want +got):\n%s", diff)
	}
	s.Kill()
	s = h.Start()
	h.Await(10*time.Second, "in standby", standby)
	if diff := cmp.Diff(stopped, states(h)); diff != "" {
		t.Errorf("containers in standby (-want +got):\n%s", diff)
	}

	flip(false)
	if err := s.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.AwaitWatching(time.Minute)
	if diff := cmp.Diff(before, ids(h)); diff != "" {
		t.Errorf("other containers than before standby (-before +now):\n%s", diff)
	}
}

func TestServiceThatDiesComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(strings.Replace(testbed.Compose, "unhealthy_timeout: 10s", "unhealthy_timeout: 60s", 1))
	s := h.Start()
	s.AwaitWatching(time.Minute)
	before := ids(h)

	pid, err := strconv.Atoi(strings.TrimSpace(testbed.Docker(t, "inspect", "--format", "{{.State.Pid}}", containerName(h, "web"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Skipf("cannot reach the processes of the engine: %v", err)
	}
	h.Await(10*time.Second, "out of health", func(s api.Status) bool { return s.State == "run" && !s.Healthy })
	if out, _, status := h.Run("status"); status != int(troubled) || !strings.HasPrefix(out, "run: out of health: service web: ") {
		t.Errorf("status ends with %d: %s", status, out)
	}
	died := "service web: container " + containerName(h, "web") + ": die (status 137)"
	follow(t, h, func(line string) bool { return strings.HasSuffix(line, died) }, "events")
	if !strings.Contains(s.Log(), died) {
		t.Errorf("the log does not say %q", died)
	}
	h.AwaitHealthy(30 * time.Second)
	if diff := cmp.Diff(before, ids(h)); diff != "" {
		t.Errorf("other containers than before (-before +now):\n%s", diff)
	}
	if _, _, status := h.Run("status"); status != 0 {
		t.Errorf("status ends with %d", status)
	}
}

func TestOutOfHealthForTooLong(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(impatient)
	s := h.Start()
	s.AwaitWatching(time.Minute)
	before := h.Containers()

	testbed.Docker(t, "kill", "-s", "STOP", containerName(h, "store"))
	status := h.AwaitFailed(30 * time.Second)
	if f := status.Failure; f.Phase != "run" || !strings.Contains(f.Cause, "is not healthy for more than 4s") ||
		!strings.Contains(f.Cause, "service store: its health check fails") || !strings.Contains(f.ToDo, "docker logs") {
		t.Errorf("the failure is %+v", f)
	}
	if _, _, status := h.Run("status"); status != int(troubled) {
		t.Errorf("status ends with %d", status)
	}
	sameContainers(t, h, before)

	t.Log("mended, and the flag removed by hand")
	testbed.Docker(t, "kill", "-s", "CONT", containerName(h, "store"))
	remove(t, h, "run/appliance-failed")
	s.AwaitWatching(time.Minute)
	sameContainers(t, h, before)
	if status := h.AwaitHealthy(time.Second); status.Failure != nil {
		t.Errorf("a healthy appliance still tells of %+v", status.Failure)
	}
}

// TestLifeOfAStack takes one appliance through what an operator does to it.
func TestLifeOfAStack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(testbed.Compose + extra)
	h.Env = append(h.Env, effectLog+"="+h.Root+"/effects")
	s := h.Start()
	s.AwaitWatching(time.Minute)
	for _, chapter := range []struct {
		name string
		test func(*testing.T, *testbed.Host, *testbed.Supervisor)
	}{
		{"events come in order", eventsInOrder},
		{"status is versioned and can be watched", statusWatched},
		{"plan", planTells},
		{"removed container comes back", removedContainer},
		{"orphan goes", orphanGoes},
		{"SIGHUP reloads", hangup},
		{"stop and run", stopAndRun},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			in(t, h)
			chapter.test(t, h, s)
		})
	}
}

func eventsInOrder(t *testing.T, h *testbed.Host, _ *testbed.Supervisor) {
	want := []string{"prepare-env", "prepare-appliance", "prepare-ecs", "run", "cleanup", "run"}
	var got []string
	follow(t, h, func(line string) bool {
		if _, state, ok := strings.Cut(line, " entering "); ok {
			got = append(got, state)
		}
		return len(got) == len(want)
	}, "events")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}

	var document strings.Builder
	follow(t, h, func(line string) bool {
		document.WriteString(line)
		return line == "}"
	}, "events", "--json")
	var event api.Event
	if err := json.Unmarshal([]byte(document.String()), &event); err != nil || event.Version != api.Version || event.State != "prepare-env" {
		t.Errorf("the first event is %s (%v)", document.String(), err)
	}
}

func statusWatched(t *testing.T, h *testbed.Host, _ *testbed.Supervisor) {
	var status api.Status
	if err := json.Unmarshal([]byte(done(t, h, "status", "--json")), &status); err != nil || status.Version != api.Version || len(status.Services) != 3 {
		t.Errorf("the status is %+v (%v)", status, err)
	}
	follow(t, h, func(line string) bool {
		return strings.HasPrefix(line, "run: healthy, 3 services") && strings.HasSuffix(line, "extra=ready  store=ready  web=ready")
	}, "status", "--watch")
}

func planTells(t *testing.T, h *testbed.Host, _ *testbed.Supervisor) {
	if out := done(t, h, "plan"); out != "Nothing would change.\n" {
		t.Errorf("plan says:\n%s", out)
	}
	h.WriteCompose(strings.Replace(testbed.Compose, "command: [web]", "command: [web]\n    stop_signal: SIGTERM", 1) + extra)
	asked := func() (requests []string) {
		logs, err := filepath.Glob(h.Root + "/effects*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range logs {
			requests = append(requests, engineEffects(h.Read(strings.TrimPrefix(name, h.Root)))...)
		}
		return requests
	}
	before, containers := asked(), h.Containers()
	var plan api.Plan
	if err := json.Unmarshal([]byte(done(t, h, "plan", "--json")), &plan); err != nil {
		t.Fatal(err)
	}
	want := api.Plan{Version: api.Version, Changes: []api.Change{
		{Phase: "run", Step: "up", Action: "recreate Container " + containerName(h, "web"), Why: "its settings changed"}}}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, asked()); diff != "" {
		t.Errorf("plan asked the engine for more (-before +after):\n%s", diff)
	}
	sameContainers(t, h, containers)
	done(t, h, "reload")
	if len(asked()) == len(before) {
		t.Error("a reload that recreates a container left no trace: the log of effects proves nothing")
	}
	if after := h.Containers(); after["/"+containerName(h, "store")] != containers["/"+containerName(h, "store")] {
		t.Error("the store was touched, too")
	}
	if out := done(t, h, "plan"); out != "Nothing would change.\n" {
		t.Errorf("after the reload plan says:\n%s", out)
	}
}

func removedContainer(t *testing.T, h *testbed.Host, s *testbed.Supervisor) {
	before := ids(h)
	testbed.Docker(t, "rm", "-f", containerName(h, "extra"))
	h.Await(30*time.Second, "whole again", func(s api.Status) bool {
		i := slices.IndexFunc(s.Services, func(s compose.Service) bool { return s.Name == "extra" })
		return s.Healthy && len(s.Services[i].Containers) == 1 && s.Services[i].Containers[0].ID != before["/"+containerName(h, "extra")]
	})
	after := ids(h)
	delete(before, "/"+containerName(h, "extra"))
	delete(after, "/"+containerName(h, "extra"))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the other containers (-before +now):\n%s", diff)
	}
	if !strings.Contains(s.Log(), "out of health, for 10s at the most: service extra: ") {
		t.Error("the log does not say what was missing")
	}
}

func orphanGoes(t *testing.T, h *testbed.Host, _ *testbed.Supervisor) {
	before := h.Containers()
	h.WriteCompose(strings.Replace(testbed.Compose, "command: [web]", "command: [web]\n    stop_signal: SIGTERM", 1))
	if out := done(t, h, "plan"); !strings.Contains(out, containerName(h, "extra")) || !strings.Contains(out, "no service declares it") {
		t.Errorf("plan says:\n%s", out)
	}
	done(t, h, "reload")
	delete(before, "/"+containerName(h, "extra"))
	sameContainers(t, h, before)
}

func hangup(t *testing.T, h *testbed.Host, s *testbed.Supervisor) {
	before, containers := h.AwaitHealthy(time.Second), h.Containers()
	h.WriteEnv("  changed: true\n")
	if err := s.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	h.Await(30*time.Second, "reloaded", func(s api.Status) bool {
		return s.State == "run" && s.Resting && s.Healthy && s.Since.After(before.Since) && s.Env.SHA256 != before.Env.SHA256
	})
	if h.Read("run/active-env.yml") != h.Read("app/env.yml") {
		t.Error("the new environment is not in force")
	}
	sameContainers(t, h, containers)
}

func stopAndRun(t *testing.T, h *testbed.Host, s *testbed.Supervisor) {
	h.Get("/")
	before := ids(h)
	done(t, h, "stop")
	if status := s.Wait(20 * time.Second); status != 0 {
		t.Errorf("the supervisor ends with %d", status)
	}
	for name, state := range states(h) {
		if state != "exited" {
			t.Errorf("%s is %s", name, state)
		}
	}
	if out := done(t, h, "status"); !strings.HasPrefix(out, "not running; last known: run") {
		t.Errorf("status without a supervisor says %q", out)
	}
	h.Start().AwaitWatching(time.Minute)
	if diff := cmp.Diff(before, ids(h)); diff != "" {
		t.Errorf("other containers than before (-before +now):\n%s", diff)
	}
	testbed.Docker(t, "exec", containerName(h, "store"), "/demo", "probe", "http://127.0.0.1:8081/check")
	if status, body := h.Get("/"); status != 200 || !strings.Contains(body, "Visits: 2") {
		t.Errorf("the page answers %d and should have counted 2 visits: %s", status, body)
	}
}
