package system

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// ext4Device is a loop device with a file system of the given files and of one link that leads outside.
func ext4Device(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	must(t,
		os.WriteFile(filepath.Join(dir, "user-data"), []byte("#cloud-config\n"), 0o600),
		os.Symlink("/proc/self/status", filepath.Join(dir, "outside")),
		os.Symlink("user-data", filepath.Join(dir, "inside")),
	)
	tool(t, "mkfs.ext4", "-q", "-d", dir, image, "4M")
	device := strings.TrimSpace(tool(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { tool(t, "losetup", "--detach", device) })
	return device
}

// tool runs a program of the host. A test whose program is missing or may not do its work is skipped, unless APPLIANCE_TOOLS=require.
func tool(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("APPLIANCE_TOOLS") == "require":
		t.Fatalf("%q: %v: %s", argv, err, out)
	default:
		t.Skipf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// inUse says whether something is mounted from the device, in whatever tree or in none.
func inUse(t *testing.T, device string) bool {
	t.Helper()
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return true
	}
	must(t, err)
	must(t, unix.Close(fd))
	return false
}

func TestADriveIsMountedForAsLongAsItIsOpen(t *testing.T) {
	device := ext4Device(t)
	rec := &recorder{}
	root, err := New(Config{Root: t.TempDir(), Observe: rec.observe}).OpenDrive(device, "ext4")
	if err != nil && CannotMount(err) {
		t.Skip(err)
	}
	must(t, err)
	if diff := cmp.Diff([]Effect{{"mount", device}}, rec.effects); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"user-data", "inside"} {
		if data, err := root.ReadFile(name); err != nil || string(data) != "#cloud-config\n" {
			t.Errorf("%s is %q, %v", name, data, err)
		}
	}
	if data, err := root.ReadFile("outside"); err == nil {
		t.Errorf("a link leads outside: %q", data)
	}
	if err := root.WriteFile("new", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("writing answers %v", err)
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(table), device+" ") { // others mount meanwhile
		t.Errorf("it can be seen in the tree: %s, %v", table, err)
	}
	if !inUse(t, device) {
		t.Error("nothing is mounted") // the check itself would not see it
	}
	must(t, root.Close())
	if inUse(t, device) {
		t.Error("it stays mounted")
	}
}

func TestAMountedDriveIsReadInPlaceAndLeftMounted(t *testing.T) {
	device := ext4Device(t)
	place := filepath.Join(t.TempDir(), `a blank and a \`)
	must(t, os.Mkdir(place, 0o755))
	tool(t, "mount", device, place) // for writing: a second mount would have to be so too
	t.Cleanup(func() { tool(t, "umount", place) })
	must(t, os.WriteFile(filepath.Join(place, "user-data"), []byte("newer"), 0o600))

	root, err := New(Config{}).Reader().OpenDrive(device, "ext4")
	must(t, err)
	if data, err := root.ReadFile("user-data"); err != nil || string(data) != "newer" {
		t.Errorf("the file is %q, %v", data, err)
	}
	must(t, root.Close())
	must(t, os.WriteFile(filepath.Join(place, "user-data"), nil, 0o600))
}

const mountHolder = "APPLIANCE_TEST_MOUNT" // open this device, say so and stay

func TestAMountGoesWithItsProcess(t *testing.T) {
	if device := os.Getenv(mountHolder); device != "" {
		_, err := New(Config{}).OpenDrive(device, "ext4")
		fmt.Println("open:", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	device := ext4Device(t)
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestAMountGoesWithItsProcess$")
	child.Env = append(os.Environ(), mountHolder+"="+device)
	_, err := child.StdinPipe()
	must(t, err)
	stdout, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	mounted := inUse(t, device)
	must(t, err, child.Process.Kill())
	_ = child.Wait() // it was killed
	if line != "open: <nil>\n" {
		t.Skipf("the other process could not mount: %s", line)
	}
	if !mounted {
		t.Error("nothing was mounted") // the check itself would not see it
	}
	if inUse(t, device) {
		t.Error("it stays mounted")
	}
}

func TestWhatCannotBeMounted(t *testing.T) {
	device := ext4Device(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
	denied := &recorder{deny: 1}
	for _, test := range []struct {
		name               string
		sys                *System
		device, fileSystem string
		cannot             bool // whatever the device is
	}{
		{"the kernel has no such file system", New(Config{}), device, "nosuchfs", true},
		{"a file is no device", New(Config{}), file, "ext4", true},
		{"nothing may be changed", New(Config{}).Reader(), device, "ext4", true},
		{"there is another file system on it", New(Config{}), device, "xfs", true},
		{"it is not there", New(Config{}), "/nowhere", "ext4", false},
		{"the effect is denied", New(Config{Observe: denied.observe}), device, "ext4", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, err := test.sys.OpenDrive(test.device, test.fileSystem)
			if err == nil || root != nil {
				t.Fatalf("OpenDrive = %v, %v", root, err)
			}
			if got := CannotMount(err); got != test.cannot {
				t.Errorf("CannotMount(%v) = %v", err, got)
			}
		})
	}
	if CannotMount(nil) {
		t.Error("no error is one")
	}
}

func TestMountPoints(t *testing.T) {
	const table = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 11:0 / /mnt/with\040blank\011and\134more ro - iso9660 /dev/sr0 ro
31 22 11:0 /sub /mnt/part ro - iso9660 /dev/sr0 ro
32 22 11:01 / /mnt/other ro - iso9660 /dev/sr1 ro
33 22 11:0 / /mnt/odd\9 ro - iso9660 /dev/sr0 ro
broken line
34 22 11:0 / /mnt/end\04`
	got := mountPoints(table, unix.Mkdev(11, 0))
	if diff := cmp.Diff([]string{"/mnt/with blank\tand\\more", `/mnt/odd\9`, "/mnt/end\x04"}, got); diff != "" {
		t.Error(diff)
	}
}
