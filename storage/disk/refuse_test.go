package disk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/internal/remedy"
)

// signatures are what disks may hold that nobody may touch, each written by who writes such things.
var signatures = []struct {
	name  string
	holds string // what the refusal says
	write func(t *testing.T, device string)
}{
	{"ext4", `a filesystem of the type ext4 with the label "precious"`, func(t *testing.T, d string) { tool(t, "mkfs.ext4", "-q", "-L", "precious", d) }},
	{"xfs", "a filesystem of the type xfs", func(t *testing.T, d string) { tool(t, "mkfs.xfs", "-q", d) }},
	{"swap", "swap", func(t *testing.T, d string) { tool(t, "mkswap", d) }},
	{"LUKS", "an encrypted device (LUKS)", func(t *testing.T, d string) {
		key := filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(key, []byte("key"), 0o600))
		tool(t, "cryptsetup", "luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key, d)
	}},
	{"physical volume", "a physical volume of LVM", func(t *testing.T, d string) { tool(t, "pvcreate", "--yes", d) }},
	{"GPT", "a partition table (gpt)", func(t *testing.T, d string) {
		tool(t, "sh", "-c", "echo ',1M' | sfdisk --quiet --no-tell-kernel --label gpt "+d)
	}},
	{"GPT without partitions", "a partition table (gpt)", func(t *testing.T, d string) {
		tool(t, "sh", "-c", "echo 'label: gpt' | sfdisk --quiet --no-tell-kernel "+d)
	}},
	{"only the backup of a GPT", "", func(t *testing.T, d string) {
		tool(t, "sh", "-c", "echo ',1M' | sfdisk --quiet --no-tell-kernel --label gpt "+d)
		tool(t, "blkdiscard", "--force", "--zeroout", "--length", "1M", d)
	}},
	{"MBR", "a partition table (dos)", func(t *testing.T, d string) {
		tool(t, "sh", "-c", "echo ',1M' | sfdisk --quiet --no-tell-kernel --label dos "+d)
	}},
	{"iso9660", "a filesystem of the type iso9660", func(t *testing.T, d string) {
		tool(t, "genisoimage", "-quiet", "-o", d, t.TempDir())
	}},
	{"member of an array, metadata at the begin", "a member of an array", func(t *testing.T, d string) { raidMember(t, d, 4096) }},
	{"member of an array, metadata at the end", "a member of an array", func(t *testing.T, d string) { raidMember(t, d, disks-8192) }},
	{"noise in the first MiB", "something unknown", func(t *testing.T, d string) { writeAt(t, d, 700_000, []byte("noise")) }},
	{"a partition whose table is lost", "something unknown", func(t *testing.T, d string) { tool(t, "mkfs.ext4", "-q", "-E", "offset=1048576", d, "300M") }},
	{"one byte at the very end", "something unknown", func(t *testing.T, d string) { writeAt(t, d, disks-1, []byte{1}) }},
}

const disks = 320 << 20 // xfs wants 300 MiB

// raidMember writes the superblock of an array, version 1, as the kernel and mdadm have it; neither is needed for it here.
func raidMember(t *testing.T, device string, at int64) {
	t.Helper()
	sb := make([]byte, 256)
	put := func(at int, value uint64, bytes int) {
		for i := range bytes {
			sb[at+i] = byte(value >> (8 * i))
		}
	}
	put(0, 0xa92b4efc, 4) // magic
	put(4, 1, 4)          // major version
	copy(sb[16:32], "array-of-a-test!")
	put(72, 1, 4)               // level
	put(80, disks/512-64, 8)    // size
	put(92, 2, 4)               // disks
	put(128, 2048, 8)           // data offset
	put(136, disks/512-2048, 8) // data size
	put(144, uint64(at)/512, 8) // where this is
	put(220, 0, 4)              // max_dev
	sum := uint64(0)
	for i := 0; i < len(sb); i += 4 {
		sum += uint64(sb[i]) | uint64(sb[i+1])<<8 | uint64(sb[i+2])<<16 | uint64(sb[i+3])<<24
	}
	put(216, (sum&0xffffffff)+(sum>>32), 4)
	writeAt(t, device, at, sb)
}

func writeAt(t *testing.T, device string, at int64, data []byte) {
	t.Helper()
	file, err := os.OpenFile(device, os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteAt(data, at)
	must(t, err, file.Sync(), file.Close())
}

// sum is of everything on a disk.
func sum(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	return h.Sum(nil)
}

// uses are all ways of giving a device other content.
var uses = map[string]string{
	"partitions": "setup: {parted: {DISK: {parts: [{name: data, start: 1MiB, end: 100%}]}}}",
	"MBR":        "setup: {parted: {DISK: {type: mbr, parts: [{name: primary, start: 2MiB, end: 100%}]}}}",
	"encryption": "setup: {crypt: {DISK: {password: secret}}}",
	"LVM":        "setup: {lvm: {vg: {vg9: {devices: [DISK]}}}}",
	"ext4":       "setup: {format: {DISK: {fstype: ext4, options: -L mine}}}",
	"xfs":        "setup: {format: {DISK: {fstype: xfs, options: -L mine}}}",
	"swap":       "setup: {format: {DISK: {fstype: swap, options: -L mine}}}",
}

// Whatever a disk holds, no use of it touches a single byte.
func TestWhatHoldsAnythingIsNeverTouched(t *testing.T) {
	t.Parallel()
	device, file := loop(t, disks)
	for _, held := range signatures {
		t.Run(held.name, func(t *testing.T) {
			tool(t, "wipefs", "--all", "--force", "--quiet", device)
			must(t, os.Truncate(file, 0), os.Truncate(file, disks))
			tool(t, "blockdev", "--flushbufs", device)
			held.write(t, device)
			tool(t, "sync", device)
			before := sum(t, file)
			for use, layout := range uses {
				if use == "encryption" && held.name == "LUKS" {
					continue // that is opened, not formatted
				}
				b := newBox(t)
				err := b.apply(on(device, "ignore: {data: true, volatile: true}\noverwrite: [other-serial]\n"+layout))
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it holds "+held.holds) || remedy.Of(err) == "" {
					t.Errorf("as %s: %v (%s)", use, err, remedy.Of(err))
				}
				if len(b.effects) > 0 {
					t.Errorf("as %s it has the effects %q", use, b.effects)
				}
			}
			tool(t, "sync", device)
			if !bytes.Equal(before, sum(t, file)) {
				t.Error("the disk is not as it was")
			}
		})
	}
}

func TestWhatIsInUseIsNeverTouched(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 32<<20)
	tool(t, "mkfs.ext4", "-q", device)
	place := t.TempDir()
	tool(t, "mount", device, place)
	defer tool(t, "umount", place)
	for use, layout := range uses {
		if use == "ext4" || use == "xfs" {
			continue // a label is missing; what is in use is said first below
		}
		b := newBox(t)
		if err := b.apply(on(device, "ignore: {data: true, volatile: true}\n"+layout)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it is in use: "+device+" is mounted at") {
			t.Errorf("as %s: %v", use, err)
		}
	}
	b := newBox(t)
	if err := b.apply(on(device, "ignore: {data: true, volatile: true}\nsetup: {format: {DISK: {fstype: xfs}}}")); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}
