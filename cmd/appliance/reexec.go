package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// inheritVar names the open files that a process hands to the one that replaces it: "lock=5,api=7".
const inheritVar = "APPLIANCE_INHERIT"

// keepToOurselves has no child of ours inherit what whoever started us left open for us by mistake. What is handed to us on
// purpose, by systemd or the process before, is ours alone as well; a kernel before 5.11 does not know how.
func keepToOurselves() { _ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) }

// inherit takes over the files of the process before, if there was one in our place.
func inherit() (map[string]*os.File, error) {
	files := map[string]*os.File{}
	list := os.Getenv(inheritVar)
	if list == "" {
		return files, nil
	}
	if err := os.Unsetenv(inheritVar); err != nil {
		return nil, err
	}
	for _, entry := range strings.Split(list, ",") {
		name, number, _ := strings.Cut(entry, "=")
		fd, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("cannot take over %q: %w", entry, err)
		}
		unix.CloseOnExec(fd)
		files[name] = os.NewFile(uintptr(fd), name)
	}
	return files, nil
}

// binaryLimit is how long the binary on disk may take to tell its version: it is read from a disk that may be busy.
const binaryLimit = 10 * time.Second

// checkBinary runs the binary as it is on disk now. One that cannot be run must not take our place.
func checkBinary(ctx context.Context, sys *system.System) error {
	exe, err := sys.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the binary to run: %w", err)
	}
	return tryBinary(ctx, sys, exe)
}

func tryBinary(ctx context.Context, sys *system.System, exe string) error {
	ctx, cancel := context.WithTimeout(ctx, binaryLimit)
	defer cancel()
	if _, err := sys.Command(ctx, exe, "version"); err != nil {
		return remedy.With(fmt.Errorf("cannot be replaced: %w", err),
			"install the program again and see that `"+exe+" version` works; the one that runs goes on running")
	}
	return nil
}

// reexec replaces the process by the binary as it is on disk now: same PID, same lock, same socket. Connections that
// wait on the socket are answered by the next one.
func (s *supervisor) reexec() error {
	exe, err := s.sys.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the binary to run: %w", err)
	}
	socket, err := s.listener.File()
	if err != nil {
		return fmt.Errorf("cannot hand the API socket over: %w", err)
	}
	files, err := s.front.Handover()
	if err != nil {
		return err
	}
	files["lock"], files["api"] = s.lock, socket
	s.server.Close()
	entries, err := handOver(files)
	if err != nil {
		return err
	}
	s.log.Info("replacing the process in place", "binary", exe)
	if err := s.sys.Observe("exec", exe); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP) // it outlives the exec: a reload that is asked for now must not end us
	env := append(os.Environ(), inheritVar+"="+strings.Join(entries, ","))
	if s.terminated.Load() { // one that comes after this is seen by recall
		for name, file := range files {
			if strings.HasPrefix(name, "front-worker.") { // a copy of a line, whose end would not be seen
				file.Close()
			}
		}
		return errTerminated
	}
	err = syscall.Exec(exe, os.Args, env)
	runtime.KeepAlive(files) // a file that is collected is closed
	return fmt.Errorf("cannot run %s: %w", exe, err)
}

// handOver keeps files open across an exec, and lists them for inherit.
func handOver(files map[string]*os.File) (entries []string, err error) {
	for name, file := range files {
		conn, err := file.SyscallConn()
		if err != nil {
			return nil, fmt.Errorf("cannot hand %s over: %w", name, err)
		}
		var kept error
		err = conn.Control(func(fd uintptr) { // Fd would make sockets blocking for everybody who shares them
			_, kept = unix.FcntlInt(fd, unix.F_SETFD, 0)
			entries = append(entries, fmt.Sprintf("%s=%d", name, fd))
		})
		if err = errors.Join(err, kept); err != nil {
			return nil, fmt.Errorf("cannot hand %s over: %w", name, err)
		}
	}
	return entries, nil
}

func explainLock(err error) error {
	if errors.Is(err, system.ErrLocked) {
		return remedy.With(err, "a supervisor runs already; `appliance status` asks it, `appliance stop` ends it")
	}
	return remedy.With(err, "make the file system of /run writable and free space on it")
}
