package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

// storageTools are what volumes are made with, and what a TPM needs.
var storageTools = []string{"cryptsetup-bin", "e2fsprogs", "fdisk", "lvm2", "mdadm", "systemd-cryptsetup", "tpm2-tools", "xfsprogs"}

// storageEnv makes of an empty disk a partition, in it LUKS, in it volumes, on them both filesystems of the appliance and swap.
const storageEnv = `#cloud-config
appliance:
  domain: box.internal
  storage:
    setup:
      parted:
        /dev/vdb: {parts: [{name: safe, start: 1MiB, end: 100%}]}
      crypt:
        /dev/vdb1: {target: safe, password: "PASSPHRASE"}
      lvm:
        vg: {vg0: {devices: [/dev/mapper/safe]}}
        lv:
          data: {vgname: vg0, size: 256m, expand: true}
          volatile: {vgname: vg0, size: 320m}
          swap: {vgname: vg0, size: 64m}
      format:
        /dev/vg0/data: {fstype: ext4, options: "-L ecs-data"}
        /dev/vg0/volatile: {fstype: xfs, options: "-L ecs-volatile"}
      swap: [/dev/vg0/swap]
`

const (
	passphrase = "correct horse battery staple"
	marker     = "this must not be seen on the disk, whoever carries it away"
)

// storageBox is a virtual machine with the package on it and a second disk, which is empty at first. Its engine is off: it would
// only make each of many boots longer.
type storageBox struct {
	*rig.VM
	t    *testing.T
	disk string // file of the host
}

func newStorageBox(t *testing.T) *storageBox {
	spec := rig.Trixie()
	spec.Packages, spec.TPM = storageTools, true
	b := &storageBox{VM: rig.BootVM(t, spec), t: t}
	deb := os.Getenv("APPLIANCE_DEB")
	if deb == "" {
		t.Fatal("APPLIANCE_DEB names no package; `make vm-test` builds one")
	}
	b.Copy(deb, "/root/appliance.deb")
	b.Run("dpkg", "-i", "/root/appliance.deb")
	b.Run("systemctl", "mask", "docker.service", "docker.socket", "containerd.service")
	b.Run("systemctl", "enable", "appliance")
	b.environment(storageEnv, passphrase)
	b.PowerCut()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.disk = b.DiskFile(b.Attach(empty))
	b.emptyDisk()
	return b
}

// environment is what an operator put there long before a cut.
func (b *storageBox) environment(env, passphrase string) {
	b.t.Helper()
	b.WriteFile("/app/env.yml", []byte(strings.ReplaceAll(env, "PASSPHRASE", passphrase)), 0o600)
	b.Run("sync")
}

// anew has the next boot begin anew: there is no application here, and what has failed for that is not tried again by itself.
func (b *storageBox) anew() {
	b.t.Helper()
	b.Run("systemctl", "stop", "appliance")
	b.Run("appliance", "clear")
}

// emptyDisk puts a new disk in the place of the second one. The machine is off.
func (b *storageBox) emptyDisk() {
	b.t.Helper()
	for _, size := range []int64{0, 1 << 30} {
		if err := os.Truncate(b.disk, size); err != nil {
			b.t.Fatal(err)
		}
	}
}

// standing tells whether both volumes are in place.
func (b *storageBox) standing() bool {
	out, _, _ := b.Try(b.t.Context(), "findmnt", "--noheadings", "--raw", "--output", "TARGET,SOURCE,FSTYPE")
	return strings.Contains(out, "/data /dev/mapper/vg0-data ext4\n") && strings.Contains(out, "/volatile /dev/mapper/vg0-volatile xfs\n")
}

// line is what the supervisor says of itself.
func (b *storageBox) line() string {
	out, _, _ := b.Try(b.t.Context(), "systemctl", "show", "--property", "StatusText", "--value", "appliance")
	return strings.TrimSpace(out)
}

// awaitStanding waits until both volumes are in place.
func (b *storageBox) awaitStanding() {
	b.t.Helper()
	last := ""
	b.Eventually(patience, "both volumes to be in place", func() bool {
		if now := b.line(); now != last {
			b.t.Log(now)
			last = now
		}
		if strings.HasPrefix(last, "failed in prepare-appliance (") { // in a step; one cut off too often is tried again by itself
			b.t.Fatalf("it has failed:\n%s", b.Run("journalctl", "--boot", "--no-pager", "--unit", "appliance", "--output", "cat"))
		}
		return b.standing()
	})
}

func TestStorageVM(t *testing.T) {
	b := newStorageBox(t)
	for _, step := range []struct {
		name string
		run  func(*storageBox)
	}{
		{"an empty disk becomes encrypted volumes, and power cuts at random moments of that cost nothing", cutInSetup},
		{"a database is moved to them, and power cuts at random moments of that cost nothing", cutInMove},
		{"what is on the disk cannot be read there", nothingInClear},
		{"with the wrong key it fails, and fills no other directory", wrongKey},
		{"a disk that became larger is used to its end, up to the filesystem in use", grown},
		{"two disks become an array, which is put together again", arrayOfTwo},
		{"a TPM opens it without the key of the environment", openedByTPM},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&storageBox{b.For(t), t, b.disk}) }) {
			return // what follows builds on it
		}
	}
}

// cutInSetup cuts the power at random moments of setting volumes up. Once they stand, data is written; after the next boot it
// has to be there, and an empty disk takes the place of the one with it.
func cutInSetup(b *storageBox) {
	n, seed := powerCuts(b.t, 10), rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	b.PowerOn()
	begun := time.Now()
	b.awaitStanding()
	took := time.Since(begun)
	b.t.Logf("the first setup was done %s after the first answer", took.Round(time.Second))
	b.PowerCut()
	b.emptyDisk()
	written, inSetup, whole := "", 0, 0
	for cut := 1; cut <= n; cut++ {
		b.PowerOn()
		wait(b.t.Context(), time.Duration(random.Int64N(int64(took)))) // the moment of the cut is the input of this test
		standing, line := b.standing(), b.line()
		switch {
		case !standing:
			inSetup++
		case written == "":
			written = fmt.Sprintf("%s %d", marker, cut)
			b.WriteFile("/data/etc/marker", []byte(written), 0o600)
			b.Run("sync")
		default:
			whole += b.holds(written)
			written = ""
		}
		b.PowerCut()
		b.t.Logf("cut %d of %d: standing %v (%q)", cut, n, standing, line)
		if standing && written == "" {
			b.emptyDisk()
		}
	}
	b.PowerOn()
	b.awaitStanding()
	if written != "" {
		whole += b.holds(written)
	}
	b.WriteFile("/data/etc/marker", []byte(marker), 0o600)
	b.Run("sync")
	fmt.Printf("volumes in a virtual machine: %d power cuts, %d of them during setup, gone on by itself each time, data whole %d times (seed %d)\n", n, inSetup, whole, seed)
}

func (b *storageBox) holds(want string) int {
	b.t.Helper()
	if got := string(b.ReadFile("/data/etc/marker")); got != want {
		b.t.Fatalf("after the cut the data is %q, it was %q", got, want)
	}
	return 1
}

// lvmMagic begins every physical volume. A shorter text, such as the name of a group, is in so much noise by chance.
const lvmMagic = "LABELONE"

// nothingInClear reads every sector of the disk.
func nothingInClear(b *storageBox) {
	if got := string(b.ReadFile("/data/etc/marker")); got != marker {
		b.t.Fatalf("the marker is %q", got)
	}
	b.PowerCut()
	file, err := os.Open(b.disk)
	if err != nil {
		b.t.Fatal(err)
	}
	defer file.Close()
	scan := bufio.NewReaderSize(file, 1<<20)
	seen := map[string]bool{}
	var last []byte
	chunk := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(scan, chunk)
		window := append(last, chunk[:n]...)
		for _, text := range []string{marker, "ecs-data", "ecs-volatile", lvmMagic, "EFI PART"} {
			seen[text] = seen[text] || bytes.Contains(window, []byte(text))
		}
		if err != nil {
			break
		}
		last = bytes.Clone(chunk[n-len(marker):])
	}
	if !seen["EFI PART"] {
		b.t.Error("not even the partition table can be seen: this looks at the wrong file")
	}
	for _, text := range []string{marker, "ecs-data", "ecs-volatile", lvmMagic} {
		if seen[text] {
			b.t.Errorf("%q can be read on the disk", text)
		}
	}
}

func wrongKey(b *storageBox) {
	b.PowerOn()
	b.awaitStanding()
	b.anew()
	b.environment(storageEnv, "wrong "+passphrase)
	b.PowerCut()
	b.PowerOn()
	b.Eventually(patience, "it to fail", func() bool { return strings.HasPrefix(b.line(), "failed in prepare-appliance (volumes)") })
	var flag struct{ Cause, Todo string }
	if err := json.Unmarshal(b.ReadFile("/run/appliance-failed"), &flag); err != nil || !strings.Contains(flag.Cause, "/dev/vdb1: it is locked, and the key of the environment does not fit") {
		b.t.Errorf("it says %q (%v)", flag.Cause, err)
	}
	b.t.Log(flag.Cause)
	if out, _, _ := b.Try(b.t.Context(), "find", "/data", "/volatile", "-type", "f"); out != "" {
		b.t.Errorf("these were made in clear:\n%s", out)
	}
	b.environment(storageEnv, passphrase)
	b.Try(b.t.Context(), "appliance", "clear") // it fails later on: there is no application here
	b.awaitStanding()
	b.holds(marker)
}

// grown asks for more than the disk has, and gives it that: each layer has to grow, from the partition to the filesystem.
func grown(b *storageBox) {
	const wanted = 700 << 20
	b.anew()
	b.environment(strings.Replace(storageEnv, "size: 256m", "size: 700m", 1), passphrase)
	b.PowerCut()
	if err := os.Truncate(b.disk, 3<<29); err != nil {
		b.t.Fatal(err)
	}
	b.PowerOn()
	size := func() (bytes int64) {
		out, _, _ := b.Try(b.t.Context(), "blockdev", "--getsize64", "/dev/mapper/vg0-data")
		bytes, _ = strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		return bytes
	}
	b.Eventually(patience, "the volume to grow", func() bool { return size() == wanted })
	b.awaitStanding()
	b.Eventually(patience, "the filesystem to grow", func() bool {
		out := strings.Fields(b.Run("df", "--block-size=1", "--output=size", "/data"))
		n, err := strconv.ParseInt(out[len(out)-1], 10, 64)
		return err == nil && n > wanted*9/10
	})
	b.holds(marker)
	if work := b.Run("appliance", "storage", "plan"); strings.Contains(work, "to do") {
		b.t.Errorf("there is work left:\n%s", work)
	}
}

// openedByTPM asks for the TPM on a volume that is there, and then takes the right key out of the environment.
func openedByTPM(b *storageBox) {
	withTPM := strings.Replace(storageEnv, `"PASSPHRASE"}`, `"PASSPHRASE", tpm2: true}`, 1)
	b.environment(withTPM, passphrase)
	b.Run("appliance", "storage", "apply", "--yes")
	if dump := b.Run("cryptsetup", "luksDump", "/dev/vdb1"); !strings.Contains(dump, "systemd-tpm2") {
		b.t.Fatalf("the TPM was not enrolled:\n%s", dump)
	}
	if work := b.Run("appliance", "storage", "plan"); strings.Contains(work, "to do") {
		b.t.Errorf("there is work left:\n%s", work)
	}
	b.environment(withTPM, "wrong "+passphrase)
	b.PowerCut()
	b.PowerOn()
	b.awaitStanding()
	b.holds(marker)
}

// arrayOfTwo makes an array of two files, below a root of its own, and takes it up again after it was stopped.
func arrayOfTwo(b *storageBox) {
	var disks []string
	for _, name := range []string{"/root/first", "/root/second"} {
		b.Run("truncate", "--size", "80M", name)
		disks = append(disks, strings.TrimSpace(b.Run("losetup", "--find", "--show", name)))
	}
	const root = "/srv/array"
	b.WriteFile(root+"/app/env.yml", []byte(strings.NewReplacer("FIRST", disks[0], "SECOND", disks[1]).Replace(`#cloud-config
appliance:
  domain: box.internal
  storage:
    ignore: {data: true, volatile: true}
    setup:
      mdadm: {/dev/md7: {level: raid1, devices: [FIRST, SECOND]}}
      format: {/dev/md7: {fstype: ext4, options: "-L archive"}}
      mount: {/mnt/archive: {device: /dev/md7, fstype: ext4, mkmnt: true}}
`)), 0o600)
	b.t.Log(b.Run("appliance", "--root", root, "storage", "apply", "--yes"))
	b.WriteFile(root+"/mnt/archive/file", []byte(marker), 0o600)
	source := strings.TrimSpace(b.Run("findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", root+"/mnt/archive"))
	if detail := b.Run("mdadm", "--detail", source); !strings.Contains(detail, "raid1") || !strings.Contains(detail, disks[1]) {
		b.t.Errorf("%s is no array of both:\n%s", source, detail)
	}
	b.Run("umount", root+"/mnt/archive")
	b.Run("mdadm", "--stop", source)
	b.t.Log(b.Run("appliance", "--root", root, "storage", "apply", "--yes"))
	if got := string(b.ReadFile(root + "/mnt/archive/file")); got != marker {
		b.t.Errorf("the file on the array is %q", got)
	}
}
