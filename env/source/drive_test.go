package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// program runs a program of the host. A test that needs one which is missing is skipped, unless APPLIANCE_TOOLS=require.
func program(t *testing.T, argv ...string) string {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		if os.Getenv("APPLIANCE_TOOLS") == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

// tree writes files into a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// image is an iso9660 image.
func image(t *testing.T, label string, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), label+".iso")
	program(t, "genisoimage", "-quiet", "-o", path, "-V", label, "-J", "-r", tree(t, files))
	return path
}

func vfat(t *testing.T, label string, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), label+".img")
	program(t, "mkfs.vfat", "-C", "-n", label, path, "2048")
	dir := tree(t, files)
	entries, err := os.ReadDir(dir)
	mustDo(t, err)
	for _, entry := range entries {
		program(t, "mcopy", "-s", "-i", path, filepath.Join(dir, entry.Name()), "::/")
	}
	return path
}

func ext4(t *testing.T, label string, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), label+".ext4")
	program(t, "mkfs.ext4", "-q", "-L", label, "-d", tree(t, files), path, "2M")
	return path
}

// labelled answers paths by label.
func labelled(drives map[string]string) func(context.Context, string) ([]string, error) {
	return func(_ context.Context, label string) ([]string, error) { return strings.Fields(drives[label]), nil }
}

// findDrive searches a host that has only drives.
func findDrive(t *testing.T, drives map[string]string) (Result, error) {
	t.Helper()
	return Find(t.Context(), Config{System: host(t, nil), Machine: &Machine{Drives: labelled(drives)}, Limit: 1 << 20})
}

func TestDrives(t *testing.T) {
	type files = map[string]string
	seed := files{"user-data": config, "meta-data": "instance-id: x\n"}
	nova := files{"openstack/latest/user_data": config}
	iso := image(t, "cidata", seed)
	link := filepath.Join(t.TempDir(), "by-label")
	mustDo(t, os.Symlink(iso, link))
	xorriso := filepath.Join(t.TempDir(), "xorriso.iso")
	program(t, "xorriso", "-as", "mkisofs", "-quiet", "-o", xorriso, "-V", "cidata", "-J", "-r", tree(t, seed))
	for _, test := range []struct {
		name   string
		drives map[string]string
		want   string // the source, "" for none
	}{
		{"iso9660", map[string]string{"cidata": iso}, "nocloud"},
		{"iso9660 of xorriso", map[string]string{"cidata": xorriso}, "nocloud"},
		{"vfat", map[string]string{"CIDATA": vfat(t, "CIDATA", seed)}, "nocloud"},
		{"vfat of OpenStack", map[string]string{"config-2": vfat(t, "config-2", nova)}, "config-2"},
		{"iso9660 of OpenStack", map[string]string{"CONFIG-2": image(t, "CONFIG-2", nova)}, "config-2"},
		{"by two names", map[string]string{"cidata": iso + " " + link}, "nocloud"},
		{"by two labels", map[string]string{"cidata": iso, "CIDATA": link}, "nocloud"},
		{"packed", map[string]string{"cidata": image(t, "cidata", files{"user-data": gzipped(config)})}, "nocloud"},
		{"without user-data", map[string]string{"cidata": image(t, "cidata", files{"meta-data": ""})}, ""},
		{"with empty user-data", map[string]string{"cidata": image(t, "cidata", files{"user-data": ""})}, ""},
		{"vfat without user-data", map[string]string{"cidata": vfat(t, "cidata", files{"meta-data": ""})}, ""},
		{"another file system", map[string]string{"cidata": ext4(t, "cidata", seed)}, ""},
		{"another file system beside", map[string]string{"cidata": ext4(t, "cidata", seed) + " " + iso}, "nocloud"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := findDrive(t, test.drives)
			if err != nil || (result.Found == nil) != (test.want == "") {
				t.Fatalf("Find = %+v, %v", result, err)
			}
			if got := result.Found; got != nil && (got.Source != test.want || string(got.Data) != config || got.Network || got.Path != "") {
				t.Errorf("found %+v", got)
			}
		})
	}
}

func TestBadDrives(t *testing.T) {
	type files = map[string]string
	iso := image(t, "cidata", files{"user-data": config})
	cut := filepath.Join(t.TempDir(), "cut.iso")
	data, err := os.ReadFile(iso)
	mustDo(t, err)
	write(t, cut, string(data[:20*2048]))
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, config)
	for _, test := range []struct {
		name   string
		device string
		says   string
	}{
		{"two of them", iso + " " + vfat(t, "CIDATA", files{"user-data": config}), "CIDATA.img are both labelled cidata"},
		{"gone", "/nowhere/sr0", "/nowhere/sr0: no such file"},
		{"cut off", cut, cut + " (user-data): "},
		{"a directory in place of the file", image(t, "cidata", files{"user-data/x": config}), "(user-data): "},
		{"too large", image(t, "cidata", files{"user-data": config + strings.Repeat("#", 1<<20)}), "(user-data): "},
		{"a script", image(t, "cidata", files{"user-data": "#!/bin/sh\n"}), "a script"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := findDrive(t, map[string]string{"cidata": test.device})
			if err == nil || result.Found != nil || !strings.HasPrefix(err.Error(), "cannot read the environment from nocloud: ") || !strings.Contains(err.Error(), test.says) || remedy.Of(err) == "" {
				t.Errorf("Find = %+v, %v", result.Found, err)
			}
		})
	}
}

// A host on which nothing may be changed still finds its environment.
func TestAReaderReadsDrives(t *testing.T) {
	sys := host(t, nil).Reader()
	result, err := Find(t.Context(), Config{System: sys, Machine: &Machine{Drives: labelled(map[string]string{"cidata": image(t, "cidata", map[string]string{"user-data": config})})}})
	if err != nil || result.Found == nil {
		t.Errorf("Find = %+v, %v", result, err)
	}
}

// A drive of this machine, found by the real blkid and read through whatever this kernel has for it.
func TestALoopDeviceIsFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root attaches loop devices")
	}
	path := image(t, "cidata", map[string]string{"user-data": config})
	device := attach(t, path)
	sys := system.New(system.Config{})
	devices, err := sys.Labelled(t.Context(), "cidata")
	if err != nil || !slices.Contains(devices, device) {
		t.Fatalf("Labelled = %q, %v, want %s in it", devices, err, device)
	}
	result, err := Find(t.Context(), Config{System: host(t, nil), Machine: &Machine{Drives: labelled(map[string]string{"cidata": device})}})
	if err != nil || result.Found == nil || string(result.Found.Data) != config || result.Found.Origin != "nocloud on "+device+" (user-data)" {
		t.Errorf("Find = %+v, %v", result.Found, err)
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(table), device+" ") {
		t.Errorf("it stays mounted: %s, %v", table, err)
	}
}

// ext4 stands for the file systems of seeds, which not every kernel has.
func TestADriveIsReadThroughTheKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	dir := tree(t, map[string]string{"user-data": config, "large": strings.Repeat("#", 1000), "directory/x": ""})
	mustDo(t, os.Symlink("/etc/hostname", filepath.Join(dir, "outside")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	path := filepath.Join(t.TempDir(), "image")
	program(t, "mkfs.ext4", "-q", "-d", dir, path, "4M")
	d := drive{device: attach(t, path), fileSystem: "ext4"}
	for _, test := range []struct{ name, want, says string }{
		{"user-data", config, ""},
		{"nothing", "", "no such file"},
		{"large", "", "larger than"},
		{"directory", "", "no regular file"},
		{"pipe", "", "no regular file"},
		{"outside", "", "escapes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data, err := d.read(host(t, nil), test.name, 500)
			if err != nil && strings.Contains(err.Error(), "neither iso9660 nor FAT") {
				t.Skip("nothing can be mounted here")
			}
			if string(data) != test.want || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("read = %q, %v", data, err)
			}
		})
	}
}

// attach makes an image a block device.
func attach(t *testing.T, image string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", "--read-only", image).CombinedOutput()
	if err != nil && os.Getenv("APPLIANCE_TOOLS") == "require" {
		t.Fatalf("cannot attach a loop device: %v: %s", err, out)
	}
	if err != nil {
		t.Skipf("cannot attach a loop device: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("cannot detach it: %v: %s", err, out)
		}
	})
	return device
}
