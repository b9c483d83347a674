package packaging_test

import (
	"os"
	"path"
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
			if spec.Suite == "bookworm" {
				p.WriteFile(hurry, []byte("[Service]\nTimeoutStopSec=5s\n"), 0o644)
			}
			p.Copy(deb, "/root/1.deb")
			p.Run("sh", "-c", `cd /root && dpkg-deb -R 1.deb 2 && sed -i 's/^Version: .*/&.next/' 2/DEBIAN/control && dpkg-deb -Znone -b 2 2.deb`)
			p.WriteFile("/data/demo/journal", []byte("x"), 0o644)

			p.firstInstall(t)
			p.supervised(t)
			p.upgrade(t)
			p.upgradeFromBefore(t)
			p.socket(t)
			p.purge(t)
		})
	}
}

// hurry is for systemd 252: without the unified hierarchy, as here, nobody tells it when the last child of a process that was
// killed has gone. It waits for the time that a stop may take.
const hurry = "/etc/systemd/system/appliance.service.d/hurry.conf"

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
	if out := p.Run("getent", "passwd", "appliance-front"); !strings.HasSuffix(strings.TrimSpace(out), ":/usr/sbin/nologin") {
		t.Errorf("the front's user may log in: %s", out)
	}
	p.Run("dpkg", "--purge", "appliance")

	// At rest is all that a supervisor without an application can be.
	p.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  standby: true\n  domain: box.example.org\n"), 0o600)
	p.Run("dpkg", "-i", "/root/1.deb")
	p.expect(t, "active", "enabled")
	p.expectSocket(t, "inactive", "disabled")
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
	p.replacedInPlace(t, pid)
	p.expect(t, "active", "enabled")
	if got := string(p.ReadFile("/etc/default/appliance")); got != "APPLIANCE_ARGS=\n" {
		t.Errorf("the upgrade changed a configuration file: %q", got)
	}
	p.Run("sh", "-c", "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d")
	pid = p.pid()
	if out := p.Run("dpkg", "-i", "/root/2.deb"); !strings.Contains(out, "policy-rc.d forbids it") || p.pid() != pid || !strings.HasSuffix(p.program(), "(deleted)") {
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

// upgradeFromBefore takes the socket, the front's user and the example away, as packages before them had none.
func (p packaged) upgradeFromBefore(t *testing.T) {
	p.Run("sh", "-c", `cd /root && dpkg-deb -R 1.deb 0 && cd 0 && sed -i 's/^Version: .*/Version: 0~before/' DEBIAN/control &&
sed -i '/^u /d' usr/lib/sysusers.d/appliance.conf && sed -i '/FileDescriptorStoreMax/d' usr/lib/systemd/system/appliance.service &&
sed -i '/socket/d' DEBIAN/prerm && sed -i '/^	# The socket is/,/^	deb-systemd-helper update-state "$socket"/d' DEBIAN/postinst && ! grep -q 'helper.*socket' DEBIAN/postinst &&
rm usr/lib/systemd/system/appliance.socket && sed -i '/appliance.socket/d' DEBIAN/md5sums && cd .. && dpkg-deb -Znone -b 0 0.deb &&
dpkg --purge appliance && dpkg -i 0.deb`)
	p.Run("systemctl", "enable", "--now", unit)
	p.expect(t, "active", "enabled")
	if _, _, code := p.Try(t.Context(), "getent", "passwd", "appliance-front"); code == 0 {
		t.Fatal("the package before has the front's user too: this test says nothing")
	}
	pid := p.pid()
	p.Run("dpkg", "-i", "/root/1.deb")
	p.replacedInPlace(t, pid)
	p.expect(t, "active", "enabled")
	p.expectSocket(t, "inactive", "disabled")
	p.Run("getent", "passwd", "appliance-front")
	if got := p.property("FileDescriptorStoreMax"); got != "16" {
		t.Errorf("systemd keeps %s files", got)
	}
}

// socket is what an administrator has of the socket unit.
func (p packaged) socket(t *testing.T) {
	p.WriteFile("/etc/systemd/system/appliance.socket.d/ports.conf", []byte("[Socket]\nListenStream=\nListenStream=8880\n"), 0o644)
	p.Run("systemctl", "stop", unit)
	p.Run("systemctl", "daemon-reload")
	p.Run("systemctl", "enable", socketUnit)
	p.Run("systemctl", "start", unit)
	p.expect(t, "active", "enabled")
	p.expectSocket(t, "active", "enabled")

	inode := p.listening(t)
	for _, argv := range [][]string{{"systemctl", "restart", unit}, {"systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit}, {"dpkg", "-i", "/root/2.deb"}} {
		pid := p.pid()
		p.Run(argv...)
		if argv[0] == "dpkg" {
			p.replacedInPlace(t, pid)
		} else {
			p.Eventually(30*time.Second, "another supervisor after "+strings.Join(argv, " "), func() bool {
				now := p.pid()
				return now != "0" && now != pid && p.property("ActiveState") == "active"
			})
		}
		if now := p.listening(t); now != inode {
			t.Errorf("after %v it is another socket, and who waited at it is lost: %s, before %s", argv, now, inode)
		}
		p.expectSocket(t, "active", "enabled")
	}

	p.Run("systemctl", "stop", unit)
	p.HTTP("http://127.0.0.1:8880/")
	p.expect(t, "active", "enabled") // a visitor starts it again, unless both are stopped
	p.Run("systemctl", "stop", socketUnit, unit)
	p.expect(t, "inactive", "enabled")
	p.expectSocket(t, "inactive", "enabled")
	p.HTTP("http://127.0.0.1:8880/")
	p.expect(t, "inactive", "enabled")
	p.Run("systemctl", "start", unit)
	p.expectSocket(t, "active", "enabled")
	p.Run("rm", "-r", "/etc/systemd/system/appliance.socket.d")
	p.Run("systemctl", "daemon-reload")
}

const socketUnit = "appliance.socket"

// listening tells the socket at the port of the test from another one.
func (p packaged) listening(t *testing.T) string {
	t.Helper()
	out := p.Run("ss", "--listening", "--tcp", "--numeric", "--extended", "--no-header", "sport = :8880")
	for _, word := range strings.Fields(out) {
		if strings.HasPrefix(word, "ino:") {
			return word
		}
	}
	t.Fatalf("nobody listens: %q", out)
	return ""
}

func (p packaged) expectSocket(t *testing.T, active, enabled string) {
	t.Helper()
	p.Eventually(30*time.Second, "a socket unit that is "+active, func() bool {
		return strings.TrimSpace(p.Run("systemctl", "show", "--property", "ActiveState", "--value", socketUnit)) == active
	})
	if got := strings.TrimSpace(p.Run("systemctl", "show", "--property", "UnitFileState", "--value", socketUnit)); got != enabled {
		t.Errorf("the socket unit is %q, want %q", got, enabled)
	}
}

func (p packaged) purge(t *testing.T) {
	p.Run("systemctl", "enable", "--now", unit)
	p.Run("rm", "-rf", path.Dir(hurry))
	p.Run("dpkg", "--remove", "appliance")
	p.expect(t, "inactive", "")
	p.Run("test", "-f", "/etc/default/appliance")
	p.Run("dpkg", "--purge", "appliance")
	p.Run("test", "-f", "/data/demo/journal")
	p.Run("test", "-f", "/app/env.yml")
	left := p.Run("sh", "-c", `find / /run -xdev \( -path /proc -o -path /sys -o -path /root -o -path /app \) -prune -o -name '*appliance*' -print
getent group appliance; getent passwd appliance-front; dpkg -l appliance 2>/dev/null | grep ^[irp]`+` || true`)
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

// replacedInPlace expects the process of before to run the program that dpkg has just put there.
func (p packaged) replacedInPlace(t *testing.T, pid string) {
	t.Helper()
	if now := p.pid(); now != pid {
		t.Errorf("the upgrade replaced process %s by %s", pid, now)
	}
	if program := p.program(); program != "/usr/bin/appliance" {
		t.Errorf("the supervisor still runs %s", program)
	}
}

// program is the file that the supervisor runs; one that dpkg has replaced ends in "(deleted)".
func (p packaged) program() string {
	return strings.TrimSpace(p.Run("readlink", "/proc/"+p.pid()+"/exe"))
}

func (p packaged) pid() string { return p.property("MainPID") }

func (p packaged) property(name string) string {
	return strings.TrimSpace(p.Run("systemctl", "show", "--property", name, "--value", unit))
}
