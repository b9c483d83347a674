package system

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMountTable(t *testing.T) {
	const table = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 8:2 / /data rw,noatime - ext4 /dev/sdb1 rw
23 22 0:40 / /data/in\040side ro - tmpfs none rw
24 21 8:3 / /volatile rw - xfs /dev/sdc1 ro,errors=remount-ro
25 21 8:4 / /data rw - ext4 /dev/over rw
26 short
`
	for path, want := range map[string]Mount{
		"/":                    {"/", "/dev/sda1", "ext4", false, "8:1", "/"},
		"/database":            {"/", "/dev/sda1", "ext4", false, "8:1", "/"},
		"/data":                {"/data", "/dev/over", "ext4", false, "8:4", "/"},
		"/data/in side/x":      {"/data/in side", "none", "tmpfs", true, "0:40", "/"},
		"/volatile/a/b":        {"/volatile", "/dev/sdc1", "xfs", true, "8:3", "/"},
		"/volatile-is-another": {"/", "/dev/sda1", "ext4", false, "8:1", "/"},
	} {
		if got, found := mountOf(table, path); !found || got != want {
			t.Errorf("%s lies on %+v, %v", path, got, found)
		}
	}
}

// A file system on a loop device below a root, with links to it, and the same read-only.
func TestMountOfALoopDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	root := t.TempDir()
	s := New(Config{Root: root})
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 8<<20), s.Mkdir("/data", 0o755), s.Symlink(s.Path("/data"), "/link"))
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-L", "ecs-data", image).CombinedOutput(); err != nil {
		t.Skipf("no file system can be made here: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", image, s.Path("/data")).CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(s.Path("/data"), 0) })
	for path, want := range map[string]bool{"/data": true, "/link": true, "/data/not/there": false, "/": false} {
		m, there, err := s.MountOf(path)
		if err != nil || there != want {
			t.Errorf("%s: %+v, %v, %v", path, m, there, err)
		}
		if of := m.Point == "/data"; path != "/" && (!of || m.Type != "ext4" || m.ReadOnly || !m.From(m.Source) || m.From("/dev/null")) {
			t.Errorf("%s: %+v", path, m)
		}
	}
	devices, err := s.Labelled(t.Context(), "ecs-data")
	if m, _, _ := s.MountOf("/data"); err != nil || !strings.Contains(strings.Join(devices, " ")+" ", m.Source+" ") {
		t.Errorf("%q are labelled, %v; mounted is %+v", devices, err, m)
	}
	must(t, unix.Mount("", s.Path("/data"), "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) // which nobody tells of
	if m, _, err := s.MountOf("/data"); err != nil || !m.ReadOnly {
		t.Errorf("read-only it is %+v, %v", m, err)
	}
}

// Each change is told of, also when the Go runtime's own poller is awake.
func TestMountChanges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	s := New(Config{Root: t.TempDir()})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changes, err := s.MountChanges(ctx)
	must(t, err, s.Mkdir("/other", 0o755))
	t.Cleanup(func() { _ = unix.Unmount(s.Path("/other"), 0) })
	told := func(what string, round int) {
		t.Helper()
		select {
		case <-changes:
		case <-ctx.Done():
			t.Fatalf("nobody tells of the %s in round %d", what, round)
		}
	}
	for round := range 200 {
		if err := unix.Mount("none", s.Path("/other"), "tmpfs", 0, ""); err != nil {
			t.Skipf("nothing can be mounted here: %v", err)
		}
		told("mount", round)
		must(t, unix.Unmount(s.Path("/other"), 0))
		told("unmount", round)
	}
}
