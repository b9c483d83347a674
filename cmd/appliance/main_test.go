package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"appliance/internal/system"
	"appliance/internal/testbed"
)

// asProgram makes the test binary the program under test: same code, and with an observer that a test chooses.
const (
	asProgram = "APPLIANCE_TEST_PROGRAM" // set: be the program
	killAt    = "APPLIANCE_TEST_KILL_AT" // number of the effect, from 1, before which the process kills itself
	effectLog = "APPLIANCE_TEST_EFFECTS" // file that gets one line an effect
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	os.Exit(run(context.Background(), os.Args, stdio{os.Stdin, os.Stdout, os.Stderr}, observer()))
}

// observer kills the process before the effect it is told, and logs those it lets pass.
func observer() system.Observer {
	at, _ := strconv.ParseInt(os.Getenv(killAt), 10, 64)
	name := os.Getenv(effectLog)
	if at == 0 && name == "" {
		return nil
	}
	var count atomic.Int64
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return func(e system.Effect) error {
		if count.Add(1) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // dead before it can go on
		}
		_, err := fmt.Fprintln(log, e)
		return err
	}
}

func newHost(t *testing.T) *testbed.Host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := testbed.New(t, self)
	h.Env = []string{asProgram + "=1"}
	return h
}

func TestStartAndLeaveAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.Start()
	h.AwaitHealthy(time.Minute)
	if status, body := h.Get("/"); status != 200 {
		t.Fatalf("the page answers %d: %s", status, body)
	}
	before := h.Containers()

	t.Log("kill -9 of the supervisor")
	first.Kill()
	h.Env = append(h.Env, effectLog+"="+h.Root+"/effects")
	h.Start()
	h.AwaitHealthy(time.Minute)
	sameContainers(t, h, before)
	if effects := engineEffects(h.Read("effects")); len(effects) > 0 {
		t.Fatalf("a start with nothing to do asked the engine for %q", effects)
	}

	t.Log("replaced in place")
	pid := h.Read("run/appliance/lock")
	if out, stderr, status := h.Run("reload", "--exec"); status != 0 {
		t.Fatalf("reload --exec: %d %s%s", status, out, stderr)
	}
	if again := h.Read("run/appliance/lock"); again != pid {
		t.Fatalf("the PID is %q, it was %q", again, pid)
	}
	sameContainers(t, h, before)
}
