package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTrixie(t *testing.T) {
	begun := time.Now()
	m := Boot(t, Trixie())
	t.Logf("Boot took %s", since(begun))
	t.Run("systemd 257 is PID 1", func(t *testing.T) { checkSystemd(m.For(t), "systemd 257 ") })
	t.Run("the engine runs a container", func(t *testing.T) { runHello(m.For(t)) })
	t.Run("files go in and out", func(t *testing.T) { checkFiles(m.For(t)) })
	t.Run("Try answers a failure", func(t *testing.T) { checkTry(m.For(t)) })
	t.Run("reboot", func(t *testing.T) { checkPower(m.For(t), (*Machine).Reboot) })
	t.Run("reboot from within", func(t *testing.T) { checkPower(m.For(t), rebootFromWithin) })
	t.Run("power cut", func(t *testing.T) { checkPower(m.For(t), cutPower) })
}

// TestBookworm is one boot only: what the methods do does not depend on the suite.
func TestBookworm(t *testing.T) {
	m := Boot(t, Bookworm())
	t.Run("systemd 252 is PID 1", func(t *testing.T) { checkSystemd(m.For(t), "systemd 252 ") })
	t.Run("the engine runs a container", func(t *testing.T) { runHello(m.For(t)) })
	t.Run("reboot", func(t *testing.T) { checkPower(m.For(t), (*Machine).Reboot) })
}

func TestDisks(t *testing.T) {
	spec := Trixie()
	spec.Disks = []string{"/volatile"}
	m := Boot(t, spec)
	m.WriteFile("/volatile/here", nil, 0o600)
	m.Run("mountpoint", "/volatile")
	m.PowerCut()
	m.PowerOn()
	m.ReadFile("/volatile/here")
	m.AwaitBooted()
	checkAttached(m)
}

// checkAttached has a disk kept over a power cut, and its image left alone.
func checkAttached(m *Machine) {
	image := filepath.Join(m.t.TempDir(), "disk.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		m.t.Fatal(err)
	}
	device := m.Attach(image)
	m.Run("sh", "-c", "printf kept >"+device)
	m.PowerCut()
	m.PowerOn()
	m.AwaitBooted()
	if got := m.Run("head", "--bytes", "4", device); got != "kept" {
		m.t.Errorf("the disk begins with %q after a power cut", got)
	}
	m.Detach(device)
	if _, _, code := m.Try(m.t.Context(), "test", "-e", device); code != 1 {
		m.t.Errorf("looking for the disk that was taken away: exit code %d", code)
	}
	if data, err := os.ReadFile(image); err != nil || data[0] != 0 {
		m.t.Errorf("the image was written to (%v)", err)
	}
}

func checkSystemd(m *Machine, want string) {
	if state := strings.TrimSpace(m.Run("systemctl", "is-system-running")); state != "running" {
		m.t.Errorf("system is %s", state)
	}
	if got := m.Run("systemctl", "--version"); !strings.HasPrefix(got, want) {
		m.t.Errorf("version is %q, want %q", got, want)
	}
	if got := m.Run("cat", "/proc/1/comm"); got != "systemd\n" {
		m.t.Errorf("PID 1 is %q", got)
	}
	m.t.Logf("storage driver: %s", m.Run("docker", "info", "--format", "{{.Driver}}"))
}

// runHello leaves an application on port 80 that is to come back at every start of the machine.
func runHello(m *Machine) {
	image := helloImage(m.t)
	m.LoadImage(image)
	m.Run("docker", "run", "--detach", "--name", "hello", "--restart", "always", "--publish", "80:8080", image)
	awaitHello(m)
}

func awaitHello(m *Machine) {
	m.t.Helper()
	begun := time.Now()
	m.Eventually(30*time.Second, "the application to answer", func() bool {
		status, body := m.HTTP("http://127.0.0.1/")
		return status == 200 && body == "hello\n"
	})
	m.t.Logf("application answered after %s", since(begun))
}

// helloImage gives the host's engine an image for as long as the test takes and returns its name.
func helloImage(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "app"), "./testdata/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build hello: %v: %s", err, out)
	}
	name := "appliance-rig-hello:" + filepath.Base(filepath.Dir(dir))
	if _, err := pipe(exec.CommandContext(t.Context(), "tar", "--directory", dir, "--create", "app"),
		exec.CommandContext(t.Context(), "docker", "import", "--change", `ENTRYPOINT ["/app"]`, "-", name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("docker", "rmi", name).Run() })
	return name
}

func checkFiles(m *Machine) {
	dir := m.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho it runs\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	m.Copy(filepath.Join(dir, "tool"), "/opt/a/tool")
	m.Copy(dir, "/tmp/b") // tmpfs
	for _, tool := range []string{"/opt/a/tool", "/tmp/b/tool"} {
		if got := m.Run(tool); got != "it runs\n" {
			m.t.Errorf("%s says %q", tool, got)
		}
	}
	m.WriteFile("/etc/app/secret", []byte("one\x00two"), 0o600)
	if got := string(m.ReadFile("/etc/app/secret")); got != "one\x00two" {
		m.t.Errorf("read back %q", got)
	}
	if got := m.Run("stat", "--format", "%a %U", "/etc/app/secret"); got != "600 root\n" {
		m.t.Errorf("mode and owner are %q", got)
	}
}

func checkTry(m *Machine) {
	stdout, stderr, code := m.Try(m.t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3")
	if stdout != "out\n" || stderr != "err\n" || code != 3 {
		m.t.Errorf("got %q, %q, %d", stdout, stderr, code)
	}
	if status, reason := m.HTTP("http://127.0.0.1:1/"); status != 0 || reason == "" {
		m.t.Errorf("HTTP without a server: %d, %q", status, reason)
	}
}

// checkPower holds a restart of any kind against what a machine keeps and what it loses.
func checkPower(m *Machine, restart func(*Machine)) {
	before := m.BootID()
	m.WriteFile("/var/kept", []byte(before), 0o644)
	m.WriteFile("/run/lost", nil, 0o644)
	m.WriteFile("/etc/hostname", []byte("renamed\n"), 0o644)
	restart(m)
	if after := m.BootID(); after == before || after == "" {
		m.t.Errorf("boot id was %s and is %q", before, after)
	}
	if got := string(m.ReadFile("/var/kept")); got != before {
		m.t.Errorf("/var/kept is %q", got)
	}
	if _, _, code := m.Try(m.t.Context(), "test", "-e", "/run/lost"); code != 1 {
		m.t.Errorf("looking for /run/lost: exit code %d", code)
	}
	if got := m.Run("uname", "-n"); got != "renamed\n" {
		m.t.Errorf("host name is %q", got)
	}
	awaitHello(m)
}

func rebootFromWithin(m *Machine) {
	before := m.BootID()
	m.Run("systemctl", "reboot")
	m.Eventually(time.Minute, "another boot", func() bool { id := m.BootID(); return id != "" && id != before })
	m.AwaitBooted()
}

func cutPower(m *Machine) {
	m.PowerCut()
	if id := m.BootID(); id != "" {
		m.t.Errorf("machine still runs after the power cut")
	}
	m.PowerOn()
	m.AwaitBooted()
}
