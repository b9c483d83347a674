package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewStandsForTheMachineItself(t *testing.T) {
	sys := New(Config{})
	if !sys.Real() || sys.Root() != "/" || sys.Path("/etc/hosts") != "/etc/hosts" || sys.Observe("write", "x") != nil || sys.Now().IsZero() {
		t.Errorf("a System of defaults is %+v", sys)
	}
	if below := New(Config{Root: "/tmp/x"}); below.Real() || below.Path("/etc/hosts") != "/tmp/x/etc/hosts" {
		t.Errorf("a System below a directory is %+v", below)
	}
}

func TestReaderDeniesEveryEffect(t *testing.T) {
	root := t.TempDir()
	sys := New(Config{Root: root})
	must(t, sys.WriteFile("/dir/file", []byte("x"), 0o600), sys.Symlink("/a", "/link"))
	before := tree(t, root)
	r := sys.Reader()
	for name, do := range map[string]func() error{
		"WriteFile":            func() error { return r.WriteFile("/dir/file", nil, 0o600) },
		"WriteFile of another": func() error { return r.WriteFile("/new/file", nil, 0o600) },
		"Mkdir":                func() error { return r.Mkdir("/new", 0o755) },
		"MakeDir":              func() error { return r.MakeDir("/new", 0o755, -1) },
		"Chmod":                func() error { return r.Chmod("/dir/file", 0o644) },
		"Chown":                func() error { return r.Chown("/dir/file", 0, 0) },
		"Symlink":              func() error { return r.Symlink("/b", "/link") },
		"Rename":               func() error { return r.Rename("/dir/file", "/dir/other") },
		"Remove":               func() error { return r.Remove("/dir/file") },
		"Lock":                 func() error { _, err := r.Lock("/dir/lock"); return err },
		"BootID":               func() error { _, err := r.BootID(); return err },
		"Command":              func() error { _, err := r.Command(t.Context(), "touch", filepath.Join(root, "touched")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := do(); !errors.Is(err, ErrReadOnly) {
				t.Errorf("the error is %v", err)
			}
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("the host has changed:\n%s", diff)
			}
		})
	}
	if data, err := r.ReadFile("/dir/file"); err != nil || string(data) != "x" {
		t.Errorf("reading answers %q, %v", data, err)
	}
	must(t, sys.WriteFile("/dir/file", []byte("y"), 0o600)) // the one it came from still may
}

func TestLock(t *testing.T) {
	root := t.TempDir()
	sys := New(Config{Root: root})
	file, err := sys.Lock("/run/lock")
	must(t, err)

	second := exec.Command("/proc/self/exe")
	second.Env = append(os.Environ(), lockRoot+"="+root)
	out, err := second.CombinedOutput()
	must(t, err)
	if want := fmt.Sprintf("true cannot lock /run/lock: another process holds the lock (PID %d)", os.Getpid()); strings.TrimSpace(string(out)) != want {
		t.Errorf("the second process says %q, want %q", out, want)
	}
	if data, err := sys.ReadFile("/run/lock"); err != nil || string(data) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the holder's PID is %q, %v", data, err)
	}

	must(t, file.Close())
	second = exec.Command("/proc/self/exe")
	second.Env = append(os.Environ(), lockRoot+"="+root)
	if out, err = second.CombinedOutput(); err != nil || string(out) != "false <nil>\n" {
		t.Errorf("after the first has let go the second says %q, %v", out, err)
	}
	again, err := sys.Lock("/run/lock") // the second has ended without a word
	must(t, err)
	must(t, again.Close())
}

func TestLockOntoADirectoryIsNotTakenForAHolder(t *testing.T) {
	sys := New(Config{Root: t.TempDir()})
	must(t, sys.Mkdir("/run/lock", 0o755))
	if file, err := sys.Lock("/run/lock"); err == nil || errors.Is(err, ErrLocked) || file != nil {
		t.Errorf("Lock = %v, %v", file, err)
	}
}

func TestBootID(t *testing.T) {
	sys := New(Config{Root: t.TempDir()})
	first, err := sys.BootID()
	must(t, err)
	if again, err := sys.BootID(); again != first || err != nil || first == "" {
		t.Errorf("the same boot is %q and then %q, %v", first, again, err)
	}
	must(t, os.RemoveAll(sys.Path("/run"))) // as a boot does
	if next, err := sys.BootID(); next == first || next == "" || err != nil {
		t.Errorf("the next boot is %q as the one before, %v", next, err)
	}
	must(t, sys.WriteFile(bootMark, nil, 0o644))
	if id, err := sys.BootID(); id == "" || err != nil {
		t.Errorf("with an empty mark it is %q, %v", id, err)
	}
}

func TestExecutableIsThereAfterAReplacement(t *testing.T) {
	exe, err := New(Config{}).Executable()
	must(t, err)
	if strings.Contains(exe, "(deleted)") || !filepath.IsAbs(exe) {
		t.Errorf("it is %q", exe)
	}
}

// script puts a program in PATH that notes its arguments, one a line, and then does what the body says.
func script(t *testing.T, name, body string) (args func() []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "args")
	must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+log+"\n"+body+"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		data, err := os.ReadFile(log)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		must(t, err)
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
}

func TestCommand(t *testing.T) {
	for _, test := range []struct {
		name string
		body string
		out  string
		err  string
		code int
	}{
		{"its output", "echo one; echo two", "one\ntwo\n", "", 0},
		{"chatter on standard error is no failure", "echo fine; echo warning >&2", "fine\n", "", 0},
		{"a failure carries the last line of standard error", "echo part; echo first >&2; echo last word >&2; exit 3", "part\n", "cannot run tool: exit status 3: last word", 3},
		{"a silent failure", "exit 1", "", "cannot run tool: exit status 1", 1},
		{"killed", "kill -9 $$", "", "cannot run tool: signal: killed", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := script(t, "tool", test.body)
			out, err := New(Config{}).Command(t.Context(), "tool", "--flag", "two words", "$HOME; rm *", "")
			if out != test.out {
				t.Errorf("output is %q, want %q", out, test.out)
			}
			var exit *exec.ExitError
			switch {
			case test.err == "" && err != nil:
				t.Errorf("error is %v", err)
			case test.err != "" && (err == nil || err.Error() != test.err || !errors.As(err, &exit) || exit.ExitCode() != test.code):
				t.Errorf("error is %v, want %s", err, test.err)
			}
			if diff := cmp.Diff([]string{"--flag", "two words", "$HOME; rm *", ""}, args()); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommandThatIsNotThere(t *testing.T) {
	if _, err := New(Config{}).Command(t.Context(), "no-such-tool"); !errors.Is(err, exec.ErrNotFound) || !strings.HasPrefix(err.Error(), "cannot run no-such-tool: ") {
		t.Errorf("the error is %v", err)
	}
}

func TestCommandPassesTheObserver(t *testing.T) {
	args := script(t, "tool", "")
	rec := &recorder{deny: 1}
	_, err := New(Config{Observe: rec.observe}).Command(t.Context(), "tool", "a", "b")
	if !errors.Is(err, errDenied) || args() != nil {
		t.Errorf("denied, it ran with %q and answered %v", args(), err)
	}
	if diff := cmp.Diff([]Effect{{"exec", "tool a b"}}, rec.effects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	script(t, "tool", "echo begun; exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	out, err := New(Config{}).Command(ctx, "tool")
	if took := time.Since(begun); err == nil || took > 10*time.Second {
		t.Errorf("it took %s and answered %v", took, err)
	}
	if out != "begun\n" && out != "" {
		t.Errorf("output is %q", out)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error does not say that time was up: %v", err)
	}
}

func TestProgramsSpeakPlainly(t *testing.T) {
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	host := New(Config{Root: t.TempDir()})
	for want, s := range map[string]*System{"de_DE.UTF-8\n": host, "C\n": host.Plain().Reader()} {
		if got, err := s.Query(t.Context(), "sh", "-c", "echo $LC_ALL"); got != want || err != nil {
			t.Errorf("it says %q, %v, want %q", got, err, want)
		}
	}
}
