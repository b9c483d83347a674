package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/front/worker"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Not parallel: a file that is open for writing in a process just forked cannot be run.
func TestABinaryThatDoesNotRunMustNotTakeOurPlace(t *testing.T) {
	for _, test := range []struct{ name, text, err string }{
		{"works", "#!/bin/sh\n[ \"$*\" = version ]\n", ""},
		{"cut short", "\x7fELF", "exec format error"},
		{"for another libc", "#!/nowhere/ld.so\n", "no such file or directory"},
		{"crashes", "#!/bin/sh\necho broken >&2\nexit 2\n", "exit status 2: broken"},
		{"hangs", "#!/bin/sh\nexec sleep 60\n", "deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			exe := filepath.Join(t.TempDir(), "appliance")
			if err := os.WriteFile(exe, []byte(test.text), 0o755); err != nil {
				t.Fatal(err)
			}
			err := tryBinary(t.Context(), system.New(system.Config{}), exe)
			if test.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(remedy.Of(err), exe+" version") {
				t.Errorf("it says %v (%s)", err, remedy.Of(err))
			}
		})
	}
}

func TestOurOwnBinaryRuns(t *testing.T) {
	t.Setenv(asProgram, "1")
	if err := checkBinary(t.Context(), system.New(system.Config{})); err != nil {
		t.Error(err)
	}
}

// An order to end that comes while the process prepares to be replaced is obeyed: the next program would know nothing of it.
func TestAnOrderToEndDuringAReplacement(t *testing.T) {
	before := os.Args
	os.Args = []string{before[0], "no-such-command"} // what would take our place fails
	t.Setenv(asProgram, "1")
	t.Cleanup(func() { os.Args = before })
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })
	root, err := os.MkdirTemp("", "cli") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := &supervisor{log: slog.New(slog.DiscardHandler), signals: make(chan os.Signal, 8)}
	s.sys = system.New(system.Config{Root: root, Observe: func(e system.Effect) error {
		if e.Op == "exec" { // as obey does
			s.terminated.Store(true)
		}
		return nil
	}})
	if err := s.claim(); err != nil {
		t.Fatal(err)
	}
	s.server = api.NewServer(api.Config{Backend: &certBackend{}, Log: s.log})
	s.front = worker.New(worker.Config{System: s.sys, Log: s.log, Owner: -1})
	if err := s.reexec(); !errors.Is(err, errTerminated) {
		t.Error(err)
	}
}

// What whoever starts a supervisor has left open, a lock or the end of a pipe, is not held by its children for ever.
func TestFilesThatWereLeftOpenAreNotHandedOn(t *testing.T) {
	t.Parallel()
	sys := system.New(system.Config{Root: t.TempDir()})
	if err := sys.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  standby: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	left, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "--root", sys.Root(), "run")
	cmd.Env = append(os.Environ(), asProgram+"=1", "DOCKER_HOST=unix://"+sys.Root()+"/no-engine.sock")
	cmd.ExtraFiles = []*os.File{left}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	const closedByExec = 0o2000000
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/3", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(info), "flags:")
		if flags, err := strconv.ParseUint(strings.Fields(text)[0], 8, 32); err == nil && flags&closedByExec != 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("descriptor 3 is\n%s", info)
		}
	}
}

// Reloads that are asked for while the process is replaced must not end it.
func TestReloadsDuringAReplacement(t *testing.T) {
	t.Parallel()
	sys := system.New(system.Config{Root: t.TempDir()})
	if err := sys.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  standby: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, "--root", sys.Root(), "run")
	cmd.Env = append(os.Environ(), asProgram+"=1", "DOCKER_HOST=unix://"+sys.Root()+"/no-engine.sock")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := api.NewClient(sys)
	next := func(after time.Time) (at time.Time) { // waits for a supervisor that began after that
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) { // a poll with a deadline
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			status, err := client.Status(ctx)
			cancel()
			if err == nil && status.Supervisor.Started.After(after) {
				return status.Supervisor.Started
			}
			select {
			case err := <-ended:
				t.Fatalf("the supervisor has ended: %v\n%s", err, &log)
			default:
			}
		}
		t.Fatal("no supervisor answers")
		return at
	}
	at := next(time.Time{})
	hammer := time.NewTicker(time.Millisecond)
	defer hammer.Stop()
	go func() {
		for range hammer.C {
			_ = cmd.Process.Signal(syscall.SIGHUP)
		}
	}()
	for range 10 {
		if _, err := client.Post(t.Context(), "reexec"); err != nil {
			t.Fatal(err)
		}
		at = next(at)
	}
}
