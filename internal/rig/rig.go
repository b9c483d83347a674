// Package rig gives tests whole machines: a Debian system with systemd as PID 1 and a Docker engine of its own, inside
// a container of the host's engine. It reboots in a second and stands power cuts.
//
// What differs from a real machine: the kernel and its page cache are the host's, so a power cut loses no unsynced
// write and the clock, modules and sysctls are shared; /sys is read-only, so udev does not run and /dev/disk has no names; the
// root file system is the engine's overlay; apt has no package lists until apt-get update.
//
// It wants root, a Docker engine and debootstrap (installed where apt-get is). Where it cannot work Boot skips the test,
// or fails it when APPLIANCE_RIG=require is in the environment. APPLIANCE_RIG_DIR names the directory for packages and
// disks; it must not lie on an overlay file system, and is /var/tmp/appliance-rig when not given.
package rig

import (
	"cmp"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

//go:embed init.sh
var initScript string

// capabilities are those of --privileged less SYS_RESOURCE and a few that a sandboxed host may not hand on itself.
var capabilities = []string{
	"AUDIT_CONTROL", "AUDIT_WRITE", "DAC_READ_SEARCH", "IPC_LOCK", "LINUX_IMMUTABLE", "MAC_ADMIN", "MKNOD", "NET_ADMIN", "NET_RAW",
	"SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PTRACE", "SYS_TIME", "SYS_TTY_CONFIG",
}

// Spec says which machine is wanted. Suite and Packages make its image, which is built once and kept.
type Spec struct {
	Suite    string   // Debian release: trixie (systemd 257, engine 26.1) or bookworm (systemd 252, engine 20.10)
	Packages []string // in addition to systemd and the engine
	// Disks are directories of the machine, such as /volatile or /home, that get a file system other than the overlay,
	// as /var/lib/docker always does. They begin empty and hide what the image has there.
	Disks []string
	// Arguments are for the kernel of a virtual machine; a machine has none of its own.
	Arguments string
	// TPM gives a virtual machine a TPM 2.0, which takes the program swtpm. Its state outlives power cuts.
	TPM bool
}

// Trixie is Debian 13.
func Trixie() Spec { return Spec{Suite: "trixie"} }

// Bookworm is Debian 12.
func Bookworm() Spec { return Spec{Suite: "bookworm"} }

// Boot starts a machine, which lives as long as the test, and returns when systemd has brought it up without a failed
// unit. The first Boot of a Spec builds its image (a minute or two); processes that want the same image wait for it.
func Boot(t testing.TB, s Spec) *Machine {
	t.Helper()
	if reason := unavailable(); reason != "" {
		if os.Getenv("APPLIANCE_RIG") == "require" {
			t.Fatalf("cannot boot a machine: %s", reason)
		}
		t.Skipf("no machine here: %s", reason)
	}
	base := baseDir()
	image, err := ensureImage(t, base, s)
	if err != nil {
		t.Fatalf("cannot build the image of %s: %v", s.Suite, err)
	}
	m, err := start(t, base, image, s)
	if err != nil {
		t.Fatalf("cannot start a machine: %v", err)
	}
	if state := m.AwaitBooted(); state != "running" {
		t.Fatalf("machine is %s:\n%s", state, m.Run("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
	}
	return m
}

// unavailable says why this host cannot carry a machine, or nothing.
func unavailable() string {
	if testing.Short() {
		return "-short is given"
	}
	if os.Geteuid() != 0 {
		return "not root"
	}
	for _, program := range []string{"docker", "tar"} {
		if _, err := exec.LookPath(program); err != nil {
			return "no " + program + " in PATH"
		}
	}
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		return "no Docker engine answers: " + strings.TrimSpace(string(out))
	}
	return ""
}

func baseDir() string {
	return cmp.Or(os.Getenv("APPLIANCE_RIG_DIR"), "/var/tmp/appliance-rig")
}

// start runs the container of a new machine and registers what is to happen at its end.
func start(t testing.TB, base, image string, s Spec) (*Machine, error) {
	dir, release, err := claimDir(base)
	if err != nil {
		return nil, err
	}
	m := &Machine{t: t, name: filepath.Base(dir)}
	t.Cleanup(func() {
		defer release()
		if t.Failed() {
			m.dump()
		}
		if err := discard(dir); err != nil {
			t.Errorf("cannot discard the machine: %v", err)
		}
	})
	begun := time.Now()
	m.engine(runArgs(m.name, dir, image, s)...)
	t.Logf("machine %s (%s) powered on in %s", m.name, image, since(begun))
	return m, nil
}

// runArgs makes a container that may do what a machine may. The restart policy serves systemctl reboot from within: the
// kernel answers it by killing PID 1, which the engine takes for a failure.
func runArgs(name, dir, image string, s Spec) []string {
	args := []string{
		"run", "--detach", "--tty", "--name", name, "--hostname", "machine", "--restart", "on-failure",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
		"--device-cgroup-rule", "a *:* rwm", "--device", "/dev/fuse", "--device", "/dev/net/tun", "--cgroupns", "private",
		"--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",
		"--stop-signal", "SIGRTMIN+3", "--env", "container=docker",
	}
	for _, capability := range capabilities {
		args = append(args, "--cap-add", capability)
	}
	for i, disk := range append([]string{"/var/lib/docker"}, s.Disks...) {
		args = append(args, "--volume", filepath.Join(dir, "disks", strconv.Itoa(i))+":"+disk)
	}
	return append(args, image, "/bin/sh", "-c", initScript)
}

func since(begun time.Time) time.Duration { return time.Since(begun).Round(10 * time.Millisecond) }
