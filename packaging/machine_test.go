package packaging_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

// TestPackageOnAMachine takes a built package through the life of a host:
// installed, upgraded, stopped, disabled, removed, purged.
//
//	make deb && APPLIANCE_DEB=$PWD/build/appliance_….deb go test -v -run Machine ./packaging
func TestPackageOnAMachine(t *testing.T) {
	deb := os.Getenv("APPLIANCE_DEB")
	if deb == "" {
		t.Skip("APPLIANCE_DEB names no package: the maintainer scripts ran on a directory only")
	}
	for _, spec := range []rig.Spec{rig.Trixie(), rig.Bookworm()} {
		t.Run(spec.Suite, func(t *testing.T) {
			p := packaged{rig.Boot(t, spec)}
			p.Copy(deb, "/root/1.deb")
			p.Run("sh", "-c", `cd /root && dpkg-deb -R 1.deb 2 && sed -i 's/^Version: .*/&.next/' 2/DEBIAN/control && dpkg-deb -Znone -b 2 2.deb`)
			p.WriteFile("/data/demo/journal", []byte("x"), 0o644)

			p.firstInstall(t)
			p.supervised(t)
			p.upgrade(t)
			p.purge(t)
		})
	}
}

// packaged is a machine that the package is tried on.
type packaged struct{ *rig.Machine }

const unit = "appliance.service"

// exposure is the most that "systemd-analyze security" may find, in tenths: what the unit leaves off and why stands in it.
const exposure = "76"

func (p packaged) firstInstall(t *testing.T) {
	out := p.Run("dpkg", "-i", "/root/1.deb")
	if !strings.Contains(out, "not started") {
		t.Errorf("without an environment dpkg does not say why nothing was started:\n%s", out)
	}
	p.expect(t, "inactive", "enabled")
	p.Run("getent", "group", "appliance")
	p.Run("dpkg", "--purge", "appliance")

	// At rest is all that a supervisor without an application can be.
	p.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  standby: true\n  domain: box.example.org\n"), 0o600)
	p.Run("dpkg", "-i", "/root/1.deb")
	p.expect(t, "active", "enabled")
	if out, want := p.Run("flatyaml", "--file", "/app/env.yml", "appliance"), "APPLIANCE_DOMAIN=box.example.org\nAPPLIANCE_STANDBY=true\n"; out != want {
		t.Errorf("flatyaml prints %q, want %q", out, want)
	}
}

// supervised is what systemd makes of the unit.
func (p packaged) supervised(t *testing.T) {
	if out := p.Run("sh", "-c", "systemd-analyze verify --man=no "+unit+" 2>&1"); strings.Contains(out, "appliance") {
		t.Errorf("systemd-analyze verify has remarks:\n%s", out)
	}
	if out, stderr, code := p.Try(t.Context(), "systemd-analyze", "security", "--no-pager", "--threshold="+exposure, unit); code != 0 {
		t.Errorf("the unit is more exposed than %s of 100:\n%s%s", exposure, out, stderr)
	}
	// Also when the files are in place already: whoever wrote them may have got no further.
	p.Run("touch", "/usr/lib/systemd/system/"+unit)
	if out := p.Run("appliance", "install"); !strings.Contains(out, "Everything is in place.") || p.property("NeedDaemonReload") != "no" {
		t.Errorf("systemd was not told of the unit:\n%s", out)
	}
	pid := p.pid()
	p.Run("systemctl", "reload", unit)
	if now := p.pid(); now != pid {
		t.Errorf("a reload replaced process %s by %s", pid, now)
	}
	p.Run("kill", "-KILL", pid)
	p.Eventually(30*time.Second, "a supervisor after kill -9", func() bool {
		now := p.pid()
		return now != "0" && now != pid && p.property("ActiveState") == "active"
	})
	p.Run("systemctl", "stop", unit)
	p.expect(t, "inactive", "enabled") // and not failed
	p.Run("systemctl", "start", unit)
}

func (p packaged) upgrade(t *testing.T) {
	p.WriteFile("/etc/default/appliance", []byte("APPLIANCE_ARGS=\n"), 0o644)
	pid := p.pid()
	p.Run("dpkg", "-i", "/root/2.deb")
	p.Eventually(30*time.Second, "another supervisor than before the upgrade", func() bool { return p.pid() != pid })
	p.expect(t, "active", "enabled")
	if got := string(p.ReadFile("/etc/default/appliance")); got != "APPLIANCE_ARGS=\n" {
		t.Errorf("the upgrade changed a configuration file: %q", got)
	}
	p.Run("sh", "-c", "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d")
	pid = p.pid()
	if out := p.Run("dpkg", "-i", "/root/2.deb"); !strings.Contains(out, "policy-rc.d forbids it") || p.pid() != pid {
		t.Errorf("the host's policy is not heeded:\n%s", out)
	}
	p.Run("rm", "/usr/sbin/policy-rc.d")

	p.Run("systemctl", "disable", "--now", unit)
	out := p.Run("dpkg", "-i", "/root/1.deb")
	p.expect(t, "inactive", "disabled")
	if !strings.Contains(out, "not running") {
		t.Errorf("dpkg does not say that nothing runs:\n%s", out)
	}
}

func (p packaged) purge(t *testing.T) {
	p.Run("systemctl", "enable", "--now", unit)
	p.Run("dpkg", "--remove", "appliance")
	p.expect(t, "inactive", "")
	p.Run("test", "-f", "/etc/default/appliance")
	p.Run("dpkg", "--purge", "appliance")
	p.Run("test", "-f", "/data/demo/journal")
	p.Run("test", "-f", "/app/env.yml")
	left := p.Run("sh", "-c", `find / /run -xdev \( -path /proc -o -path /sys -o -path /root -o -path /app \) -prune -o -name '*appliance*' -print
getent group appliance; dpkg -l appliance 2>/dev/null | grep ^[irp]`+` || true`)
	if left = strings.TrimSpace(left); left != "" {
		t.Errorf("left after the purge:\n%s", left)
	}
}

// expect waits for an ActiveState, as dpkg does not, and holds UnitFileState
// against what it should be.
func (p packaged) expect(t *testing.T, active, enabled string) {
	t.Helper()
	p.Eventually(30*time.Second, "a unit that is "+active, func() bool { return p.property("ActiveState") == active })
	if got := p.property("UnitFileState"); got != enabled {
		t.Errorf("the unit is %q, want %q", got, enabled)
	}
}

func (p packaged) pid() string { return p.property("MainPID") }

func (p packaged) property(name string) string {
	return strings.TrimSpace(p.Run("systemctl", "show", "--property", name, "--value", unit))
}
