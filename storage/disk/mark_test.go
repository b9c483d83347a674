package disk

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// A whole disk without a serial number, with nothing on it that names it: after a cut in the middle of a format it is known by the
// mark that was put there before. Without that it is somebody's.
func TestHalfMadeOnADiskThatNothingNames(t *testing.T) {
	quickLUKS(t)
	device, file := loop(t, disks)
	lost := func(at int64, n int) func(*testing.T, *box) { // what is over there was not written yet
		return func(t *testing.T, _ *box) { writeAt(t, device, at, make([]byte, n)) }
	}
	for _, test := range []struct {
		use, tool string
		half      func(t *testing.T, b *box)
		refused   bool
	}{
		{"ext4", "mkfs.ext4", func(t *testing.T, b *box) {
			tool(t, "mkfs.ext4", "-q", "-F", "-U", b.chosen("ext4 on "+device, "fs"), "-L", "mine", "-E", "nodiscard", device)
			lost(1024, 1024)(t, b)
		}, false},
		{"xfs", "mkfs.xfs", func(t *testing.T, b *box) {
			tool(t, "mkfs.xfs", "-q", "-f", "-m", "uuid="+b.chosen("xfs on "+device, "fs"), "-L", "mine", "-K", device)
			lost(0, 512)(t, b)
		}, false},
		{"swap", "mkswap", func(t *testing.T, _ *box) { writeAt(t, device, 1024, bytes.Repeat([]byte{1}, 512)) }, false},
		{"LVM", "pvcreate", func(t *testing.T, _ *box) { writeAt(t, device, 4096, bytes.Repeat([]byte{1}, 512)) }, false},
		{"encryption", "cryptsetup luksFormat", func(t *testing.T, _ *box) { writeAt(t, device, 32<<10, bytes.Repeat([]byte{0xa5}, 900<<10)) }, false},
		{"ext4", "mkfs.ext4", func(t *testing.T, b *box) {
			lost(disks-edge, 512)(t, b) // it is another disk
			writeAt(t, device, 32<<10, bytes.Repeat([]byte{0xa5}, 900<<10))
		}, true},
		{"ext4", "mkfs.ext4", func(t *testing.T, b *box) { tool(t, "mkswap", device) }, true},
	} {
		t.Run(test.use, func(t *testing.T) {
			clean(t, device, file, disks)
			b := newBox(t)
			b.t = t
			layout := strings.ReplaceAll(on(device, "ignore: {data: true, volatile: true}\n"+uses[test.use]), "vg9", "t"+filepath.Base(device))
			b.until(layout, "exec "+test.tool)
			test.half(t, b)
			tool(t, "blockdev", "--flushbufs", device)
			err := b.apply(layout)
			switch {
			case test.refused && (!errors.Is(err, ErrRefused) || b.ran(test.tool) > 0):
				t.Errorf("it says %v, with the effects %q", err, b.effects)
			case !test.refused && b.ran(test.tool) != 1:
				t.Errorf("it is not gone on with: %v, %q", err, b.effects)
			}
			if test.use == "LVM" {
				tool(t, "vgremove", "--force", "t"+filepath.Base(device))
			}
		})
	}
}
