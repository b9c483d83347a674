package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/testbed"
)

// running counts the project's containers that run.
func running(t *testing.T, h *testbed.Host) int {
	t.Helper()
	return len(strings.Fields(testbed.Docker(t, "ps", "-q", "--filter", "label=com.docker.compose.project="+h.Project)))
}

func awaitCondition(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(50 * time.Millisecond) { // a poll with a deadline
		if time.Now().After(end) {
			t.Fatalf("not %s after %s", what, limit)
		}
	}
}

// stop ends the supervisor as a shutdown of the host does, with the stack.
func stop(t *testing.T, h *testbed.Host, s *testbed.Supervisor) {
	t.Helper()
	signalled(t, h, s, syscall.SIGTERM)
}

// signalled sends the signals one right after the other, and expects the supervisor to end well, with the stack.
func signalled(t *testing.T, h *testbed.Host, s *testbed.Supervisor, signals ...syscall.Signal) {
	t.Helper()
	for _, sig := range signals {
		if err := s.Cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if status := s.Wait(time.Minute); status != 0 {
		t.Fatalf("the supervisor ended with %d:\n%s", status, s.Log())
	}
	if n := running(t, h); n != 0 {
		t.Fatalf("%d containers still run", n)
	}
}

func TestBadEnvironmentAfterAShutdownLeavesTheOldStackServing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.Start()
	h.AwaitHealthy(time.Minute)
	before := h.Containers()
	stop(t, h, first)

	h.Write("/app/env.yml", "appliance: [broken\n")
	h.Start()
	h.AwaitFailed(time.Minute)
	awaitCondition(t, time.Minute, "answering", func() bool { status, _ := h.Get("/"); return status == 200 })
	if now := h.Containers(); len(now) != len(before) {
		t.Fatalf("other containers: %v, before %v", now, before)
	}
}

func TestStandbyNeverServes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.Start()
	h.AwaitHealthy(time.Minute)
	env := h.Read("/app/env.yml")
	h.Write("/app/env.yml", strings.Replace(env, "appliance:\n", "appliance:\n  standby: true\n", 1))
	if _, stderr, status := h.Run("reload"); status != 0 {
		t.Fatalf("reload: %d %s", status, stderr)
	}

	t.Log("what somebody else starts is stopped again")
	testbed.Docker(t, "start", h.Project+"-store-1")
	if _, stderr, status := h.Run("reload"); status != 0 { // a look now instead of in half a minute
		t.Fatalf("reload: %d %s", status, stderr)
	}
	if n := running(t, h); n != 0 {
		t.Fatalf("%d containers run in standby", n)
	}

	t.Log("neither does a failure make it serve")
	h.Write("/app/env.yml", "appliance: [broken\n")
	h.Run("reload")
	h.AwaitFailed(time.Minute)
	first.Kill()
	second := h.Start()
	h.Await(time.Minute, "failed again", func(s api.Status) bool {
		return s.State == "failed" && s.Resting && s.Supervisor.PID == second.Cmd.Process.Pid
	})
	stop(t, h, second)
	if log := second.Log(); strings.Contains(log, "Starting") {
		t.Fatalf("a host on standby has started containers:\n%s", log)
	}
}

func TestSignalsWhileStopping(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.Start()
	h.AwaitHealthy(time.Minute)
	testbed.Docker(t, "kill", "-s", "STOP", h.Project+"-store-1") // it takes its whole stop timeout
	signalled(t, h, s, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
}

func TestProjectUnderAnotherName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.Start()
	h.AwaitHealthy(time.Minute)
	before := h.Containers()
	h.Write("/app/ecs/compose.yaml", "name: "+h.Project+"x\n"+testbed.Compose)
	h.Run("reload")
	s := h.AwaitFailed(time.Minute)
	if s.Failure.Step != "name" || !strings.Contains(s.Failure.Cause, h.Project) {
		t.Fatalf("the failure is %+v", s.Failure)
	}
	sameContainers(t, h, before)
}
