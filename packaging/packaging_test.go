// Package packaging_test runs the maintainer scripts as dpkg would, on a
// directory (DPKG_ROOT) and with the host's tools replaced by small scripts
// that write down how they were called.
package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var scripts = []string{"postinst", "prerm", "postrm", "build.sh", "version.sh"}

func TestScriptsAreShell(t *testing.T) {
	for _, script := range scripts {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed: the scripts are parsed only")
	}
	if out, err := exec.CommandContext(t.Context(), shellcheck, scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// host is a directory that dpkg takes for the root of a system.
type host struct {
	root, bin, log string
}

func newHost(t *testing.T) host {
	t.Helper()
	dir := t.TempDir()
	h := host{root: filepath.Join(dir, "root"), bin: filepath.Join(dir, "bin"), log: filepath.Join(dir, "log")}
	for _, tool := range []string{"systemd-sysusers", "systemctl", "deb-systemd-helper", "deb-systemd-invoke", "userdel", "groupdel"} {
		h.write(t, filepath.Join(h.bin, tool), "#!/bin/sh\necho \"${0##*/} $*\" >>"+h.log+"\n", 0o755)
	}
	return h
}

func (h host) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// run answers the calls that the script made, with the root taken out.
func (h host) run(t *testing.T, script string, args ...string) []string {
	t.Helper()
	os.Remove(h.log)
	cmd := exec.CommandContext(t.Context(), "./"+script, args...)
	cmd.Env = []string{"PATH=" + h.bin + ":/usr/bin:/bin", "DPKG_ROOT=" + h.root}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", script, args, err, out)
	}
	log, err := os.ReadFile(h.log)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(log), h.root, "ROOT")), "\n")
}

// TestScriptsInADirectory is an image build: nothing is started or stopped.
func TestScriptsInADirectory(t *testing.T) {
	configure := []string{
		"systemd-sysusers --root=ROOT appliance.conf",
		"deb-systemd-helper unmask appliance.service",
		"deb-systemd-helper --quiet was-enabled appliance.service",
		"deb-systemd-helper enable appliance.service",
		"deb-systemd-helper debian-installed appliance.socket", // says yes here, also to was-enabled
		"deb-systemd-helper unmask appliance.socket",
		"deb-systemd-helper --quiet was-enabled appliance.socket",
		"deb-systemd-helper enable appliance.socket",
		"deb-systemd-helper update-state appliance.socket",
	}
	tests := []struct {
		name string
		call []string
		want []string
	}{
		{"first install", []string{"postinst", "configure", ""}, configure},
		{"upgrade", []string{"postinst", "configure", "1.0"}, configure},
		{"upgrade, old package", []string{"prerm", "upgrade", "1.1"}, nil},
		{"remove", []string{"prerm", "remove"}, nil},
		{"removed", []string{"postrm", "remove"}, nil},
		{"replaced", []string{"postrm", "upgrade", "1.1"}, nil},
		{"purge", []string{"postrm", "purge"}, []string{
			"userdel --root ROOT appliance-front",
			"groupdel --root ROOT appliance",
			"deb-systemd-helper purge appliance.service",
			"deb-systemd-helper unmask appliance.service",
			"deb-systemd-helper purge appliance.socket",
			"deb-systemd-helper unmask appliance.socket",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			for range 2 { // dpkg may call any of them again
				if diff := cmp.Diff(test.want, h.run(t, test.call[0], test.call[1:]...)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestUpgrade has postinst find a supervisor in one state or another. It is
// sourced, as its own tests for a running systemd look at the host.
func TestUpgrade(t *testing.T) {
	const (
		state   = "systemctl show --property ActiveState --value appliance.service"
		pid     = "systemctl show --property MainPID --value appliance.service"
		program = "readlink /proc/4711/exe"
		ask     = "appliance reload --exec --no-wait"
		restart = "systemctl --no-block restart appliance.service"
		running = `case "$*" in *ActiveState*) echo active ;; *MainPID*) echo 4711 ;; esac`
	)
	tests := []struct {
		name                       string
		systemctl, appliance, link string // what they do
		policy                     int
		want                       []string
		says                       string
	}{
		{"in place", running, "", "echo /usr/bin/appliance", 0, []string{state, ask, pid, program}, ""},
		{"in place, after a while", running, "", `if [ -e "$0.late" ]; then echo /usr/bin/appliance; else >"$0.late"; echo "/usr/bin/appliance (deleted)"; fi`, 0,
			[]string{state, ask, pid, program, "sleep 1", pid, program}, ""},
		{"a version that does not know how", running, "echo not found >&2; exit 1", "", 0, []string{state, ask, restart}, "restarting it"},
		{"a supervisor that hangs", running, "exec /bin/sleep 60", "", 0, []string{state, ask, restart}, "restarting it"},
		{"one that does not come to it", running, "", `echo "/usr/bin/appliance (deleted)"`, 0, append(append([]string{state, ask},
			strings.Split(strings.Repeat(pid+"\n"+program+"\nsleep 1\n", 10), "\n")[:30]...), restart), "restarting it"},
		{"one that ended", `case "$*" in *ActiveState*) echo active ;; *MainPID*) echo 0 ;; esac`, "", "exit 1", 0, append(append([]string{state, ask},
			strings.Split(strings.Repeat(pid+"\nreadlink /proc/0/exe\nsleep 1\n", 10), "\n")[:30]...), restart), "restarting it"},
		{"stopped by an administrator", "echo inactive", "", "", 0, []string{state}, "not running, as before"},
		{"forbidden by the host", running, "", "", 101, []string{state, "policy-rc.d appliance.service restart"}, "policy-rc.d forbids it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			for tool, text := range map[string]string{
				"systemctl": test.systemctl, "appliance": test.appliance, "readlink": test.link, "sleep": "",
				"policy-rc.d": "exit " + strconv.Itoa(test.policy),
			} {
				h.write(t, filepath.Join(h.bin, tool), "#!/bin/sh\necho \"${0##*/} $*\" >>"+h.log+"\n"+text+"\n", 0o755)
			}
			h.write(t, filepath.Join(h.bin, "timeout"), "#!/bin/sh\nshift\nexec /usr/bin/timeout 2 \"$@\"\n", 0o755) // sooner
			policy := "policy=/nowhere"
			if test.policy != 0 {
				policy = "policy=" + filepath.Join(h.bin, "policy-rc.d")
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", ". ./postinst; "+policy+"; upgrade", "sh", "triggered")
			cmd.Env = []string{"PATH=" + h.bin + ":/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.says) || test.says == "" && len(out) > 0 {
				t.Errorf("%v; it says %q", err, out)
			}
			log, err := os.ReadFile(h.log)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, strings.Split(strings.TrimSpace(string(log)), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestThePageForNginxGoes where the appliance wrote it, as nobody else would take
// it down.
func TestThePageForNginxGoes(t *testing.T) {
	for _, call := range []string{"remove", "purge"} {
		for _, ours := range []bool{true, false} {
			h := newHost(t)
			page := filepath.Join(h.root, "var/www/html/503.html")
			h.write(t, page, "x", 0o644)
			if ours {
				h.write(t, filepath.Join(h.root, "data/etc/server.identity"), "x", 0o644)
			}
			h.run(t, "postrm", call)
			if _, err := os.Stat(page); os.IsNotExist(err) != ours {
				t.Errorf("%s, where it is ours is %v: %v", call, ours, err)
			}
		}
	}
}

// TestPurgeLeavesTheApplication also where somebody moved our state on to the
// data disk by a link.
func TestPurgeLeavesTheApplication(t *testing.T) {
	kept := []string{"app/env.yml", "app/ecs/compose.yaml", "data/demo/journal", "data/state/record.json", "volatile/ecs-cache/x", "run/other"}
	gone := []string{"run/active-env.yml", "run/appliance-failed", "run/appliance.sock", "run/appliance", "etc/default/appliance", "var/lib/appliance"}
	tests := []struct {
		name   string
		linked bool
	}{
		{"state in place", false},
		{"state linked to /data", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			written := append([]string{"run/active-env.yml", "run/appliance-failed", "run/appliance.sock", "run/appliance/lock", "etc/default/appliance"}, kept...)
			for _, name := range written {
				h.write(t, filepath.Join(h.root, name), "x", 0o600)
			}
			h.write(t, filepath.Join(h.root, "var/lib/other"), "x", 0o600)
			state := filepath.Join(h.root, "var/lib/appliance")
			if test.linked {
				if err := os.Symlink(filepath.Join(h.root, "data/state"), state); err != nil {
					t.Fatal(err)
				}
			} else {
				h.write(t, filepath.Join(state, "record.json"), "x", 0o600)
			}
			h.run(t, "postrm", "purge")
			for _, name := range kept {
				if _, err := os.Lstat(filepath.Join(h.root, name)); err != nil {
					t.Errorf("purge took away %v", err)
				}
			}
			for _, name := range gone {
				if _, err := os.Lstat(filepath.Join(h.root, name)); !os.IsNotExist(err) {
					t.Errorf("purge left %s", name)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: no versions to be made")
	}
	tests := []struct {
		name string
		git  []string // commands, separated by blanks
		want string   // COMMIT stands for the abbreviated hash
	}{
		{"no commit", nil, "0.0.0+dev"},
		{"no tag", []string{"commit", "commit"}, "0.0.0+2.gCOMMIT"},
		{"tag", []string{"commit", "tag v1.2.3"}, "1.2.3"},
		{"candidate", []string{"commit", "tag v1.2.3-rc.1"}, "1.2.3~rc.1"},
		{"after a tag", []string{"commit", "tag v1.2.3", "commit", "commit"}, "1.2.3+2.gCOMMIT"},
		{"after a candidate", []string{"commit", "tag v1.2.3-rc.1", "commit"}, "1.2.3~rc.1+1.gCOMMIT"},
		{"tag that is no version", []string{"commit", "tag vendor/x"}, "0.0.0+1.gCOMMIT"},
		{"not committed", []string{"commit", "tag v1.2.3", "dirty"}, "1.2.3+dirty"},
		{"not committed after a tag", []string{"commit", "tag v1.2.3", "commit", "dirty"}, "1.2.3+1.gCOMMIT.dirty"},
	}
	script, err := filepath.Abs("version.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			output(t, dir, "git", "init", "-q")
			for _, step := range test.git {
				gitStep(t, dir, step)
			}
			want := test.want
			if strings.Contains(want, "COMMIT") {
				want = strings.ReplaceAll(want, "COMMIT", output(t, dir, "git", "rev-parse", "--short", "HEAD"))
			}
			if got := output(t, dir, script); got != want {
				t.Errorf("version.sh = %q, want %q", got, want)
			}
		})
	}
}

func gitStep(t *testing.T, dir, step string) {
	t.Helper()
	switch step {
	case "dirty":
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("changed"), 0o644); err != nil {
			t.Fatal(err)
		}
	case "commit":
		f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("x\n")
		f.Close()
		output(t, dir, "git", "add", "file")
		output(t, dir, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x")
	default:
		output(t, dir, "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, strings.Fields(step)...)...)
	}
}

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	// Neither the user's nor the host's settings have a say here.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}
