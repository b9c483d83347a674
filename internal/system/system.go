// Package system is the door to the host: every file that is written, every command that is run and every mutating call
// to a container engine passes here, below one root directory and past one observer. So the whole program works on a
// directory as well as on "/", and a test can count, deny or cut each single effect.
package system

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Effect is one thing about to happen (or just done) to the host.
type Effect struct {
	Op     string // "write", "rename", "exchange", "link", "mount", "syncdir", "syncfs", "mkdir", "mknod", "copy", "attributes", "unit", "symlink", "remove", "chmod", "chown", "lock", "exec", "engine", "engine-done"
	Object string // path below the root, command line or engine request
}

func (e Effect) String() string { return e.Op + " " + e.Object }

// Observer sees each effect before it happens; an error denies it. It must be safe for concurrent use.
type Observer func(Effect) error

// Config says which host a System stands for.
type Config struct {
	Root    string // "" is "/"
	Observe Observer
	Now     func() time.Time
}

// System is a host, or a directory that stands for one. It is safe for concurrent use.
type System struct {
	root    string
	observe Observer
	now     func() time.Time
	env     []string // what programs get beside our own environment
}

// New returns the host below c.Root.
func New(c Config) *System {
	s := &System{root: c.Root, observe: c.Observe, now: c.Now}
	if s.root == "" {
		s.root = "/"
	}
	if s.observe == nil {
		s.observe = func(Effect) error { return nil }
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// ErrReadOnly denies an effect on a host opened by Reader.
var ErrReadOnly = errors.New("this would change the host")

// Reader returns the same host so that nothing on it can be changed through the result.
func (s *System) Reader() *System {
	reader := *s
	reader.observe = func(e Effect) error { return fmt.Errorf("%w: %s", ErrReadOnly, e) }
	return &reader
}

// Plain returns the same host, whose programs speak as in the C locale: what they say is to be read by us, not by people.
func (s *System) Plain() *System {
	plain := *s
	plain.env = []string{"LC_ALL=C"}
	return &plain
}

// Root returns the directory that stands for "/".
func (s *System) Root() string { return s.root }

// Real says whether the System is the machine itself rather than a directory.
func (s *System) Real() bool { return s.root == "/" }

// Now returns the time by the System's clock.
func (s *System) Now() time.Time { return s.now() }

// Path returns where path (absolute on the host) lies in the file system we see.
func (s *System) Path(path string) string { return filepath.Join(s.root, path) }

// Observe reports an effect that the caller is about to have by other means than System's methods.
func (s *System) Observe(op, object string) error { return s.observe(Effect{op, object}) }

// ReadFile reads the file at path.
func (s *System) ReadFile(path string) ([]byte, error) { return os.ReadFile(s.Path(path)) }

// Exists says whether something (a dangling link too) is at path.
func (s *System) Exists(path string) bool {
	_, err := os.Lstat(s.Path(path))
	return err == nil
}

// Stat describes what is at path, following links.
func (s *System) Stat(path string) (fs.FileInfo, error) { return os.Stat(s.Path(path)) }

// Lstat describes what is at path: a link itself, not what it leads to.
func (s *System) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(s.Path(path)) }

// Executable returns the path of our own binary, even after a package manager has replaced the file.
func (s *System) Executable() (string, error) {
	exe, err := os.Executable()
	return strings.TrimSuffix(exe, " (deleted)"), err
}

// Command runs argv and returns its standard output. A failure carries the last line of its standard error.
func (s *System) Command(ctx context.Context, argv ...string) (string, error) {
	if err := s.Observe("exec", strings.Join(argv, " ")); err != nil {
		return "", err
	}
	return s.Query(ctx, argv...)
}

// Query runs argv as Command does, but it is no effect: argv only looks, so that a Reader may run it too.
func (s *System) Query(ctx context.Context, argv ...string) (string, error) {
	return s.run(ctx, nil, argv)
}

func (s *System) run(ctx context.Context, stdin io.Reader, argv []string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		if line := lastLine(stderr.String()); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
		if ctx.Err() != nil { // that is why it was killed
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return stdout.String(), fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	return stdout.String(), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// Uptime returns how long the machine has been up, suspended times included. No setting of the clock changes it.
func (s *System) Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // the clock is there on every kernel since 2.6.39
	}
	return time.Duration(t.Nano())
}

// bootMark lies on the tmpfs that /run is: a boot wipes it. The kernel's boot_id would not do: containers share it.
const bootMark = "/run/appliance/boot-id"

// BootID names this boot of the host. It stays the same until /run is wiped.
func (s *System) BootID() (string, error) {
	data, err := s.ReadFile(bootMark)
	if id := strings.TrimSpace(string(data)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read the boot mark: %w", err)
	}
	id := rand.Text()
	return id, s.WriteFile(bootMark, []byte(id+"\n"), 0o644)
}
