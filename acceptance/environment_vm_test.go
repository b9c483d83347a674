package acceptance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

// TestEnvironmentVM has what no container has: a kernel that knows the file systems of seed disks, a command line of its
// own, and disks that come and go on a bus. Its network leads nowhere, whatever the appliance asks there.
func TestEnvironmentVM(t *testing.T) {
	spec := rig.Trixie()
	spec.Arguments = "ds=nocloud;s=" + bootSeed
	b := newVMBox(t, spec)
	b.Run("rm", "/app/env.yml")
	for _, step := range []struct {
		name string
		run  func(*vmBox)
	}{
		{"the kernel's command line names a seed", seededByCommandLine},
		{"a seed disk is enough, and is mounted for no longer than it takes", seededByISO},
		{"a mounted drive is read in place and left mounted", seededInPlace},
		{"a vfat disk is enough too", seededByFAT},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&vmBox{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

const bootSeed = "/srv/seed"

// domain expects an environment from such a place.
func (b *vmBox) domain(want string) {
	b.t.Helper()
	if said := b.Run("appliance", "env", "explain", "appliance.domain"); !strings.Contains(said, want) {
		b.t.Errorf("the domain is not %s:\n%s", want, said)
	}
}

// mounts tells where a device is mounted.
func (b *vmBox) mounts(device string) string {
	out, _, _ := b.Try(b.t.Context(), "findmnt", "--noheadings", "--output", "TARGET", "--source", device) // none is code 1
	return strings.TrimSpace(out)
}

// reloadMounts expects the kernel to mount a device for a reload, rather than the appliance to find its own way through the
// file system, and it to be gone afterwards.
func (b *vmBox) reloadMounts(device string) {
	b.t.Helper()
	const tracing = "/sys/kernel/tracing"
	b.Run("sh", "-c", "echo 1 >"+tracing+"/events/syscalls/sys_exit_fsmount/enable && echo >"+tracing+"/trace")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	trace := string(b.ReadFile(tracing + "/trace"))
	if !regexp.MustCompile(`appliance-\d+ .* sys_fsmount -> 0x[0-9a-f]{1,4}\n`).MatchString(trace) { // errors are negative
		b.t.Errorf("the kernel has mounted nothing for the appliance:\n%s", trace)
	}
	if at := b.mounts(device); at != "" {
		b.t.Errorf("%s is mounted at %s", device, at)
	}
}

func seededByCommandLine(b *vmBox) {
	b.WriteFile(bootSeed+"/user-data", []byte("#cloud-config\nappliance:\n  domain: boot.example.org\n  storage: {ignore: {data: true, volatile: true}}\n"), 0o600)
	begun := time.Now()
	b.Run("systemctl", "start", "appliance")
	b.awaitWhole(0)
	b.t.Logf("the first start took %s", time.Since(begun).Round(time.Second))
	b.domain("boot.example.org (" + bootSeed + "/user-data:3)")
}

func seededByISO(b *vmBox) {
	had := b.records()
	b.Run("rm", "-r", bootSeed)
	b.Run("sync")
	b.PowerCut()
	image := seedDisk(b.t)
	device := b.Attach(image)
	b.Attach(blank(b.t))
	b.PowerOn()
	b.awaitWhole(had)
	b.domain("disk.example.org (nocloud on " + device)
	b.reloadMounts(device)
	want, err := os.ReadFile(image)
	if err != nil {
		b.t.Fatal(err)
	}
	if !bytes.Equal(b.ReadFile(device), want) {
		b.t.Errorf("%s was written to", device)
	}
}

// seededInPlace lays another file over that of the mounted disk: whoever mounted the disk anew would not see it.
func seededInPlace(b *vmBox) {
	device := "/dev/vdb"
	b.WriteFile("/root/user-data", []byte("#cloud-config\nappliance:\n  domain: mounted.example.org\n  storage: {ignore: {data: true, volatile: true}}\n"), 0o600)
	b.Run("mount", "-o", "ro", device, "/mnt")
	b.Run("mount", "--bind", "/root/user-data", "/mnt/user-data")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	b.domain("mounted.example.org (nocloud on " + device)
	if at := b.mounts(device); at != "/mnt" {
		b.t.Errorf("%s was mounted at /mnt, now at %q", device, at)
	}
	b.Run("umount", "/mnt/user-data", "/mnt")
}

// seededByFAT has the disk of before pulled out, and another one be written meanwhile.
func seededByFAT(b *vmBox) {
	b.Run("sh", "-c", "echo 1 >$(readlink -f /sys/block/vdb/device/..)/remove")
	b.Copy(fatDisk(b.t), "/root/vfat.img")
	b.Run("dd", "if=/root/vfat.img", "of=/dev/vdc", "conv=fsync", "status=none")
	b.reloadMounts("/dev/vdc")
	b.domain("stick.example.org (nocloud on /dev/vdc")
}

// fatDisk makes the image of a stick.
func fatDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, document := filepath.Join(dir, "vfat.img"), filepath.Join(dir, "user-data")
	if err := os.WriteFile(document, []byte("#cloud-config\nappliance:\n  domain: stick.example.org\n  storage: {ignore: {data: true, volatile: true}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"mkfs.vfat", "-C", "-n", "CIDATA", image, "2048"}, {"mcopy", "-i", image, document, "::user-data"}} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("cannot make a stick: %v: %v\n%s", argv, err, out)
		}
	}
	return image
}

// blank is the image of an empty disk that is larger than the stick.
func blank(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "blank.img")
	if err := os.WriteFile(image, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return image
}
