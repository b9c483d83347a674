package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pollEvery is the pause between two looks at a condition; one look inside the machine takes about as long.
const pollEvery = 50 * time.Millisecond

// Machine is a running machine. Its methods fail the test it belongs to when they cannot do what they say, and may be
// used from one goroutine at a time.
type Machine struct {
	t    testing.TB
	name string // of its container and its host directory
}

// For returns the same machine for use in a subtest, which then is the one that fails.
func (m *Machine) For(t testing.TB) *Machine { return &Machine{t: t, name: m.name} }

// Run runs a command as root and returns its standard output. It fails the test when the command fails.
func (m *Machine) Run(argv ...string) string {
	m.t.Helper()
	return m.feed(nil, argv...)
}

// Try runs a command as root. The code is -1 when ctx ended first; the command itself then goes on in the machine. While the
// machine is off the code is 1, as the engine's client has it.
func (m *Machine) Try(ctx context.Context, argv ...string) (stdout, stderr string, code int) {
	return m.exec(ctx, nil, argv...)
}

func (m *Machine) exec(ctx context.Context, in io.Reader, argv ...string) (stdout, stderr string, code int) {
	cmd := m.command(ctx, argv...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), errOut.String(), 0
	case errors.As(err, &exit):
		return out.String(), errOut.String(), exit.ExitCode()
	}
	return out.String(), errOut.String() + err.Error(), -1
}

func (m *Machine) command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", "--interactive", m.name}, argv...)...)
}

// feed runs a command that reads in.
func (m *Machine) feed(in io.Reader, argv ...string) string {
	m.t.Helper()
	stdout, stderr, code := m.exec(m.t.Context(), in, argv...)
	if code != 0 {
		m.t.Fatalf("cannot %s in the machine: exit code %d\n%s%s", strings.Join(argv, " "), code, stdout, stderr)
	}
	return stdout
}

// Copy copies a file, or what is in a directory, from the host. It makes parent directories. (docker cp would write below
// the machine's tmpfs mounts instead of into them.)
func (m *Machine) Copy(hostPath, machinePath string) {
	m.t.Helper()
	info, err := os.Stat(hostPath)
	if err != nil {
		m.t.Fatalf("cannot copy into the machine: %v", err)
	}
	if !info.IsDir() {
		f, err := os.Open(hostPath)
		if err != nil {
			m.t.Fatalf("cannot copy into the machine: %v", err)
		}
		defer f.Close()
		m.write(machinePath, f, info.Mode())
		return
	}
	m.Run("mkdir", "--parents", machinePath)
	m.stream(exec.CommandContext(m.t.Context(), "tar", "--directory", hostPath, "--create", "."),
		"tar", "--directory", machinePath, "--extract", "--no-overwrite-dir")
}

// WriteFile writes a file, owned by root, and makes parent directories.
func (m *Machine) WriteFile(path string, data []byte, mode fs.FileMode) {
	m.t.Helper()
	m.write(path, bytes.NewReader(data), mode)
}

func (m *Machine) write(path string, in io.Reader, mode fs.FileMode) {
	m.t.Helper()
	m.feed(in, "install", "-D", "--mode", fmt.Sprintf("%#o", mode.Perm()), "/dev/stdin", path)
}

// ReadFile returns the contents of a file.
func (m *Machine) ReadFile(path string) []byte {
	m.t.Helper()
	return []byte(m.Run("cat", path))
}

// LoadImage gives the machine's engine an image: a file made by docker save, or the name of one of the host's engine.
func (m *Machine) LoadImage(source string) {
	m.t.Helper()
	f, err := os.Open(source)
	if err != nil {
		m.stream(exec.CommandContext(m.t.Context(), "docker", "save", source), "docker", "load")
		return
	}
	defer f.Close()
	m.feed(f, "docker", "load")
}

// stream runs a command in the machine that reads what a command of the host writes.
func (m *Machine) stream(from *exec.Cmd, argv ...string) {
	m.t.Helper()
	if _, err := pipe(from, m.command(m.t.Context(), argv...)); err != nil {
		m.t.Fatal(err)
	}
}

// HTTP asks for a URL by curl inside the machine, with more of curl's options if need be. While nothing answers, the
// status is 0 and the body says why.
func (m *Machine) HTTP(url string, options ...string) (status int, body string) {
	m.t.Helper()
	argv := append([]string{"curl", "--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"}, options...)
	stdout, stderr, code := m.Try(m.t.Context(), append(argv, url)...)
	if code != 0 {
		return 0, stderr
	}
	end := strings.LastIndexByte(stdout, '\n')
	status, err := strconv.Atoi(stdout[end+1:])
	if err != nil {
		m.t.Fatalf("cannot read curl's status: %v", err)
	}
	return status, stdout[:end]
}

// Eventually waits until cond is true and fails the test, saying what was awaited, if it is not so within d.
func (m *Machine) Eventually(d time.Duration, what string, cond func() bool) {
	m.t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			m.t.Fatalf("waited %s in vain for %s", d, what)
		case <-m.t.Context().Done():
			m.t.Fatalf("test ended while waiting for %s", what)
		case <-tick.C:
		}
	}
}

// engine runs a command of the host's engine.
func (m *Machine) engine(args ...string) string {
	m.t.Helper()
	out, err := exec.CommandContext(m.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("cannot run docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// dump logs the end of what helps to understand a failure and puts the whole into the test's artifact directory, which
// go test -artifacts keeps.
func (m *Machine) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own context has ended
	defer cancel()
	for _, source := range []struct {
		name  string
		cmd   *exec.Cmd
		lines int
	}{
		{"console", exec.CommandContext(ctx, "docker", "logs", m.name), 20},
		{"journal", m.command(ctx, "journalctl", "--boot", "--no-pager"), 200},
		{"containers", m.command(ctx, "docker", "ps", "--all"), 20},
	} {
		out, err := source.cmd.CombinedOutput()
		if err != nil {
			m.t.Logf("cannot get the %s: %v", source.name, err)
		}
		if err := os.WriteFile(filepath.Join(m.t.ArtifactDir(), source.name+".txt"), out, 0o600); err != nil {
			m.t.Logf("cannot keep the %s: %v", source.name, err)
		}
		m.t.Logf("%s of %s:\n%s", source.name, m.name, tail(quiet(out), source.lines))
	}
}

// quiet leaves out containerd, which writes a hundred lines at each start.
func quiet(journal []byte) []byte {
	return slices.Concat(slices.DeleteFunc(slices.Collect(bytes.Lines(journal)), func(line []byte) bool {
		return bytes.Contains(line, []byte(" containerd["))
	})...)
}
