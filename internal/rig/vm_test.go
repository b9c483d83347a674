package rig

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestVM(t *testing.T) {
	begun := time.Now()
	v := BootVM(t, Trixie())
	t.Logf("BootVM took %s", since(begun))
	t.Run("it is a machine of its own", func(t *testing.T) { checkOwn(v.For(t)) })
	t.Run("Try answers a failure", func(t *testing.T) { checkVMTry(v.For(t)) })
	t.Run("there is no way out", func(t *testing.T) { checkIsolated(v.For(t)) })
	t.Run("the engine runs a container", func(t *testing.T) { runInVM(v.For(t)) })
	t.Run("a power cut keeps what was synced and loses what was not", func(t *testing.T) { checkHonest(v.For(t)) })
}

func checkOwn(v *VM) {
	if kernel := v.Run("uname", "-r"); !strings.Contains(kernel, "cloud-amd64") {
		v.t.Errorf("kernel is %s", kernel)
	}
	if virt := strings.TrimSpace(v.Run("systemd-detect-virt")); virt != "qemu" {
		v.t.Errorf("systemd believes to run in %s", virt)
	}
	if fs := strings.TrimSpace(v.Run("stat", "--file-system", "--format", "%T", "/sys/fs/cgroup")); fs != "cgroup2fs" {
		v.t.Errorf("control groups are of %s", fs)
	}
	v.t.Logf("storage driver: %s", v.Run("docker", "info", "--format", "{{.Driver}}"))
}

func checkVMTry(v *VM) {
	stdout, stderr, code := v.Try(v.t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3")
	if stdout != "out\n" || stderr != "err\n" || code != 3 {
		v.t.Errorf("got %q, %q, %d", stdout, stderr, code)
	}
	if _, stderr, code := v.Try(v.t.Context(), "no-such-program"); code != 127 || stderr == "" {
		v.t.Errorf("a program that is not there: %q, %d", stderr, code)
	}
	v.WriteFile("/etc/app/secret", []byte("one\x00two"), 0o600)
	if got := string(v.ReadFile("/etc/app/secret")); got != "one\x00two" {
		v.t.Errorf("read back %q", got)
	}
}

// checkIsolated has the host listen on its loopback, which the emulator's network would have at 10.0.2.2.
func checkIsolated(v *VM) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	v.Run("ip", "route", "add", "default", "via", "10.0.2.2")
	defer v.Run("ip", "route", "del", "default")
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	if status, _ := v.HTTP("http://10.0.2.2:" + port + "/"); status != 0 {
		v.t.Errorf("the host answers with %d", status)
	}
}

func runInVM(v *VM) {
	image := helloImage(v.t)
	v.LoadImage(image)
	v.Run("docker", "run", "--detach", "--name", "hello", "--publish", "80:8080", image)
	v.Eventually(time.Minute, "the application to answer", func() bool {
		status, body := v.HTTP("http://127.0.0.1/")
		return status == 200 && body == "hello\n"
	})
	v.Run("docker", "rm", "--force", "hello")
}

func checkHonest(v *VM) {
	before := v.BootID()
	v.Run("sh", "-c", "head -c 1M /dev/zero >/var/synced && sync")
	v.Run("sh", "-c", "head -c 1M /dev/zero >/var/unsynced")
	v.PowerCut()
	if id := v.BootID(); id != "" {
		v.t.Errorf("it still runs after the power cut")
	}
	v.PowerOn()
	if state := v.AwaitBooted(); state != "running" {
		v.t.Errorf("after a power cut it is %s", state)
	}
	if after := v.BootID(); after == before {
		v.t.Errorf("boot id is still %s", after)
	}
	size := func(path string) string {
		stdout, _, _ := v.Try(v.t.Context(), "stat", "--format", "%s", path)
		return strings.TrimSpace(stdout)
	}
	if got := size("/var/synced"); got != "1048576" {
		v.t.Errorf("of what was synced there are %q bytes", got)
	}
	if got := size("/var/unsynced"); got == "1048576" {
		v.t.Error("what was not synced is there: this was no power cut")
	}
}

func TestBootVMOnlyWhenAskedFor(t *testing.T) {
	t.Setenv("APPLIANCE_VM", "")
	skipped := false
	t.Run("virtual machine", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		BootVM(t, Trixie())
	})
	if !skipped {
		t.Error("BootVM did not skip the test")
	}
}
