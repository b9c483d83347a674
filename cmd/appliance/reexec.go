package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
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
	s.server.Close()
	var entries []string
	for name, fd := range map[string]uintptr{"lock": s.lock.Fd(), "api": socket.Fd()} {
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("cannot hand %s over: %w", name, err)
		}
		entries = append(entries, fmt.Sprintf("%s=%d", name, fd))
	}
	s.log.Info("replacing the process in place", "binary", exe)
	if err := s.sys.Observe("exec", exe); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP) // it outlives the exec: a reload that is asked for now must not end us
	env := append(os.Environ(), inheritVar+"="+strings.Join(entries, ","))
	return fmt.Errorf("cannot run %s: %w", exe, syscall.Exec(exe, os.Args, env))
}

func explainLock(err error) error {
	if errors.Is(err, system.ErrLocked) {
		return remedy.With(err, "a supervisor runs already; `appliance status` asks it, `appliance stop` ends it")
	}
	return remedy.With(err, "make the file system of /run writable and free space on it")
}
