package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"appliance/env"
)

func TestSwap(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 16<<20)
	b := newBox(t)
	layout := on(device, "ignore: {data: true, volatile: true}\nsetup: {swap: [DISK]}")
	must(t, b.apply(layout))
	t.Cleanup(func() { tool(t, "swapoff", device) })
	if used, err := os.ReadFile("/proc/swaps"); err != nil || !strings.Contains(string(used), device+" ") {
		t.Errorf("swapped to is %s, %v", used, err)
	}
	name := unitDir + "/" + escape(device) + ".swap"
	if link, err := b.sys.Readlink(unitDir + "/swap.target.wants/" + escape(device) + ".swap"); link != name || err != nil {
		t.Errorf("the unit is started by %q, %v", link, err)
	}
	if unit, err := b.sys.ReadFile(name); err != nil || !strings.Contains(string(unit), "What="+device+"\n") {
		t.Errorf("the unit is %q, %v", unit, err)
	}
	b.effects = nil
	must(t, b.apply(layout))
	if len(b.effects) > 0 {
		t.Errorf("the second time has the effects %q", b.effects)
	}
}

// A filesystem that is smaller than its device grows, with what is on it, mounted or not.
func TestGrow(t *testing.T) {
	t.Parallel()
	for _, mounted := range []bool{false, true} {
		for kind, mkfs := range map[string][]string{"ext4": {"mkfs.ext4", "-q", "-b", "4096"}, "xfs": {"mkfs.xfs", "-q"}} {
			if kind == "xfs" && !mounted {
				continue // it grows only so
			}
			name := kind
			if mounted {
				name += ", mounted"
			}
			t.Run(name, func(t *testing.T) {
				device, file := loop(t, 310<<20)
				tool(t, append(mkfs, device)...)
				must(t, os.Truncate(file, 600<<20))
				tool(t, "losetup", "--set-capacity", device)
				dir := filepath.Join(t.TempDir(), "at")
				must(t, os.Mkdir(dir, 0o755))
				tool(t, "mount", device, dir)
				t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
				must(t, os.WriteFile(filepath.Join(dir, "data"), []byte("data"), 0o600))
				if !mounted {
					tool(t, "umount", dir)
				}
				b := newBox(t)
				r, err := New(Config{System: b.sys, Log: quiet(), Wanted: env.Volumes{NoData: true, NoVolatile: true}}).begin(t.Context())
				must(t, err)
				g := &grow{device}
				step, err := r.see(t.Context(), g, nil)
				must(t, err)
				if step.State != ToDo {
					t.Fatalf("%+v", step)
				}
				err = g.take(t.Context(), r, r.find(device))
				if err != nil && strings.Contains(err.Error(), "Permission denied to resize") {
					t.Skip("growing a mounted ext4 takes CAP_SYS_RESOURCE: ", err)
				}
				must(t, err, r.again(t.Context()))
				if step, err := r.see(t.Context(), g, nil); err != nil || step.State != Done {
					t.Errorf("%+v, %v", step, err)
				}
				if !mounted {
					tool(t, "mount", device, dir)
				}
				if data, err := os.ReadFile(filepath.Join(dir, "data")); string(data) != "data" || err != nil {
					t.Errorf("the data is %q, %v", data, err)
				}
			})
		}
	}
}

func TestMountsThatCannotBe(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", device)
	layout := on(device, "ignore: {data: true, volatile: true}\nsetup: {mount: {/mnt/a: {device: DISK, fstype: ext4}}}")
	for _, test := range []struct {
		name, says string
		make       func(b *box)
	}{
		{"files in the directory", "the directory is not empty, and what is in it would be hidden", func(b *box) {
			must(b.t, b.sys.WriteFile("/mnt/a/deep/file", []byte("x"), 0o600))
		}},
		{"no directory", "there is no such directory", func(*box) {}},
		{"something else there", "something else is mounted there", func(b *box) {
			must(b.t, b.sys.Mkdir("/mnt/a", 0o755))
			tool(b.t, "mount", "-t", "tmpfs", "none", b.sys.Path("/mnt/a"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBox(t)
			b.t = t
			test.make(b)
			if err := b.apply(layout); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v", err)
			}
			if out, err := exec.Command("findmnt", "--source", device).Output(); err == nil {
				t.Errorf("it is mounted: %s", out)
			}
		})
	}
}

// A filesystem with our label has its place, without any layout of disks.
func TestLabelsHavePlaces(t *testing.T) {
	device, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", "-L", "ecs-volatile", device)
	b := newBox(t)
	must(t, b.apply("ignore: {data: true}"))
	if at := strings.TrimSpace(tool(t, "findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", b.sys.Path("/volatile"))); at != device {
		t.Errorf("at /volatile is %q", at)
	}
	if link, err := b.sys.Readlink(unitDir + "/local-fs.target.wants/volatile.mount"); link != unitDir+"/volatile.mount" || err != nil {
		t.Errorf("the unit is started by %q, %v", link, err)
	}
	second, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", "-L", "ecs-volatile", second)
	if err := newBox(t).apply("ignore: {data: true}"); err == nil || !strings.Contains(err.Error(), "several filesystems have the label ecs-volatile") {
		t.Errorf("of two it says %v", err)
	}
	if err := newBox(t).apply("setup: {format: {" + device + ": {fstype: ext4, options: -L ecs-volatile}}}"); err == nil {
		t.Error("a label is given twice")
	}
}
