package rig

import (
	"context"
	"strings"
	"time"
)

// bootTimeout is far above the few seconds a boot takes: other tests may have the processors.
const bootTimeout = 3 * time.Minute

// Reboot stops the machine cleanly, as its power button would, starts it again and waits as AwaitBooted does. For a reboot
// from within run systemctl reboot, wait for another BootID, then for AwaitBooted.
func (m *Machine) Reboot() {
	m.t.Helper()
	begun := time.Now()
	// After the time-out the engine kills: that would be a power cut under the name of a reboot.
	m.engine("stop", "-t", "120", m.name)
	stopped := time.Now()
	if code := m.engine("inspect", "--format", "{{.State.ExitCode}}", m.name); code == "137" {
		m.t.Fatal("cannot reboot: the machine did not shut down within 2 minutes")
	}
	m.PowerOn()
	state := m.AwaitBooted()
	m.t.Logf("rebooted in %s (shut down in %s): %s", since(begun), stopped.Sub(begun).Round(10*time.Millisecond), state)
}

// PowerCut ends every process of the machine at once and returns when none is left.
func (m *Machine) PowerCut() {
	m.t.Helper()
	m.engine("kill", "--signal", "KILL", m.name)
	m.engine("wait", m.name)
}

// PowerOn starts a machine that is off and returns as soon as systemd answers on its bus, while units still start.
func (m *Machine) PowerOn() {
	m.t.Helper()
	m.engine("start", m.name)
	m.Eventually(bootTimeout, "systemd to answer", func() bool {
		switch m.state() {
		case "", "offline", "unknown":
			return false
		}
		return true
	})
}

// AwaitBooted waits until systemd has finished booting and returns its state: running, or degraded when a unit has failed.
func (m *Machine) AwaitBooted() string {
	m.t.Helper()
	begun := time.Now()
	var state string
	m.Eventually(bootTimeout, "systemd to finish booting", func() bool {
		state = m.state("--wait")
		return state == "running" || state == "degraded"
	})
	m.t.Logf("systemd %s after %s", state, since(begun))
	return state
}

// BootID returns the id of the present boot, and nothing while the machine is off.
func (m *Machine) BootID() string {
	stdout, _, code := m.Try(m.t.Context(), "cat", "/proc/sys/kernel/random/boot_id")
	if code != 0 {
		return ""
	}
	return strings.TrimSpace(stdout)
}

// state is what systemctl is-system-running says; its exit code says no more.
func (m *Machine) state(options ...string) string {
	ctx, cancel := context.WithTimeout(m.t.Context(), bootTimeout)
	defer cancel()
	stdout, _, _ := m.Try(ctx, append([]string{"systemctl", "is-system-running"}, options...)...)
	return strings.TrimSpace(stdout)
}
