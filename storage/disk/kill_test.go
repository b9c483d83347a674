package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"appliance/internal/sweeping"
	"appliance/internal/system"
)

const sweepLayout = `
ignore: {data: true, volatile: true}
setup:
  parted:
    DISK: {parts: [{name: a, start: 1MiB, end: 20MiB}, {name: b, start: 20MiB, end: 30MiB, flags: [swap]}]}
  format:
    DISKp1: {fstype: ext4, options: -L LABEL}
    DISKp2: {fstype: swap}
  mount:
    /mnt/a: {device: DISKp1, fstype: ext4, mkmnt: true}
`

// labelled is a layout for a disk, with a label that no other test has.
func labelled(device, layout string) string {
	return strings.ReplaceAll(on(device, layout), "LABEL", "t"+filepath.Base(device))
}

// sweep is what a process of its own applies.
func (b *box) sweep(layout string) map[string]string {
	return map[string]string{"root": b.root, "env": document(layout)}
}

// clean makes a disk empty again.
func clean(t *testing.T, device, file string, size int64) {
	t.Helper()
	must(t, await(t.Context(), "the partitions to go", func() (bool, error) { // somebody may look at them
		_ = exec.Command("partx", "--delete", device).Run()
		left, err := filepath.Glob("/sys/class/block/" + filepath.Base(device) + "p*")
		return len(left) == 0, err
	}))
	must(t, os.Truncate(file, 0), os.Truncate(file, size))
	tool(t, "blockdev", "--flushbufs", device)
}

// Killed at each effect, apply goes on to the same end. When another disk is there instead, it is left alone, whatever the
// journal has to say of the one before.
func TestKillSweep(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	device, file := loop(t, size)
	layout := labelled(device, sweepLayout)
	foreign := filepath.Join(t.TempDir(), "foreign")
	must(t, os.WriteFile(foreign, nil, 0o600), os.Truncate(foreign, size))
	tool(t, "mkfs.ext4", "-q", "-F", "-L", "foreign"+filepath.Base(device), foreign)

	count := newBox(t)
	effects, err := sweeping.Count(t.Context(), count.sweep(layout))
	must(t, err)
	if effects < 20 {
		t.Fatalf("there are %d effects", effects)
	}
	tool(t, "umount", count.sys.Path("/mnt/a"))
	first, every := sweeping.Points(9)
	for n := first; n <= effects; n += every {
		t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
			clean(t, device, file, size)
			b := newBox(t)
			must(t, sweeping.Kill(t.Context(), n, b.sweep(layout)))
			if n%2 == 0 { // as after a power cut of a disk that somebody has changed meanwhile
				b.swapped(layout, device, file, foreign)
				clean(t, device, file, size)
				b = newBox(t)
				must(t, sweeping.Kill(t.Context(), n, b.sweep(layout)))
			}
			must(t, b.apply(layout))
			b.stands(layout, device)
			tool(t, "umount", b.sys.Path("/mnt/a"))
		})
	}
	if !t.Failed() {
		fmt.Printf("kill sweep of volumes: SIGKILL at %d of %d effects, and gone on\n", (effects-first)/every+1, effects)
	}
}

// swapped puts another disk in the place of the one that was begun.
func (b *box) swapped(layout, device, file, foreign string) {
	b.t.Helper()
	for _, place := range []string{"/mnt/a"} {
		_ = exec.Command("umount", b.sys.Path(place)).Run()
	}
	clean(b.t, device, file, 0)
	tool(b.t, "cp", "--sparse=always", foreign, file)
	tool(b.t, "blockdev", "--flushbufs", device)
	before := sum(b.t, file)
	if err := b.apply(layout); !errors.Is(err, ErrRefused) {
		b.t.Errorf("of another disk it says %v", err)
	}
	tool(b.t, "sync", device)
	if !bytes.Equal(before, sum(b.t, file)) {
		b.t.Error("the other disk is not as it was")
	}
}

// stands expects everything in its place and nothing to do.
func (b *box) stands(layout, device string) {
	b.t.Helper()
	if work := b.plan(layout).Work(); work != "" {
		b.t.Errorf("there is work left: %s", work)
	}
	out := tool(b.t, "blkid", "--probe", "--output", "export", device+"p2")
	if !strings.Contains(out, "TYPE=swap") {
		b.t.Errorf("the second partition holds %s", out)
	}
	if at := strings.Fields(tool(b.t, "findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", b.sys.Path("/mnt/a"))); !slices.Equal(at, []string{device + "p1"}) {
		b.t.Errorf("mounted is %q", at)
	}
}

// until applies a layout, and denies the first effect that begins so: as a cut right before it.
func (b *box) until(layout, effect string) {
	b.t.Helper()
	cut := errors.New("cut by the test")
	sys := system.New(system.Config{Root: b.root, Observe: func(e system.Effect) error {
		if strings.HasPrefix(e.String(), effect) {
			return cut
		}
		return nil
	}})
	err := New(Config{System: sys, Wanted: wanted(b.t, layout), Log: quiet()}).Apply(b.t.Context(), func(Step) {})
	if !errors.Is(err, cut) {
		b.t.Fatalf("it was not cut at %s: %v", effect, err)
	}
}

// chosen is an identifier that the journal has for a step.
func (b *box) chosen(step, name string) string {
	b.t.Helper()
	var j journal
	data, err := b.sys.ReadFile(journalPath)
	must(b.t, err, json.Unmarshal(data, &j))
	e := j.of(step)
	if e == nil || e.Done != nil || e.UUIDs[name] == "" {
		b.t.Fatalf("the journal says of %s: %+v", step, e)
	}
	return e.UUIDs[name]
}

func (b *box) ran(program string) (n int) {
	for _, effect := range b.effects {
		if strings.HasPrefix(effect, "exec "+program) {
			n++
		}
	}
	return n
}

// A program that was killed in its middle leaves what looks like somebody's, and is ours.
func TestWhatIsHalfMadeIsMadeAgain(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	device, file := loop(t, size)
	layout := labelled(device, sweepLayout)
	part := device + "p1"
	mkfs := func(t *testing.T, b *box) {
		tool(t, "mkfs.ext4", "-q", "-F", "-U", b.chosen("ext4 on "+part, "fs"), "-L", "t"+filepath.Base(device), part)
	}
	mountOnce := func(t *testing.T) {
		dir := t.TempDir()
		tool(t, "mount", part, dir)
		must(t, os.WriteFile(filepath.Join(dir, "data"), []byte("data"), 0o600))
		tool(t, "umount", dir)
	}
	for _, test := range []struct {
		name   string
		cut    string
		half   func(t *testing.T, b *box)
		runs   string
		times  int
		refuse string
	}{
		{"a table of which only the entries are written", "exec sfdisk", func(t *testing.T, b *box) {
			var guid string
			must(t, json.Unmarshal([]byte(`"`+b.chosen("partitions of "+device, "1")+`"`), &guid))
			tool(t, "sh", "-c", fmt.Sprintf("printf 'label: gpt\nstart=2048,size=100,uuid=%s\n' | sfdisk --quiet --no-tell-kernel %s", guid, device))
			writeAt(t, device, 0, make([]byte, 1024))
			writeAt(t, device, size-512, make([]byte, 512))
		}, "sfdisk", 1, ""},
		{"entries of a table that are not ours", "exec sfdisk", func(t *testing.T, _ *box) {
			tool(t, "sh", "-c", "printf 'label: gpt\nstart=2048,size=100\n' | sfdisk --quiet --no-tell-kernel "+device)
			writeAt(t, device, 0, make([]byte, 1024))
		}, "sfdisk", 0, "cannot be told to be what was being made before"},
		{"a table that is whole", "exec partx", func(*testing.T, *box) {}, "sfdisk", 0, ""},
		{"a filesystem without its superblock", "exec mkfs.ext4", func(t *testing.T, b *box) {
			mkfs(t, b)
			writeAt(t, part, 1024, make([]byte, 1024))
		}, "mkfs.ext4", 1, ""},
		{"a filesystem whose tables are not all written", "exec mkfs.ext4", func(t *testing.T, b *box) {
			mkfs(t, b)
			writeAt(t, part, 4096, bytes.Repeat([]byte{0x5a}, 300<<10))
		}, "mkfs.ext4", 1, ""},
		{"a filesystem that is whole", "exec mkfs.ext4", mkfs, "mkfs.ext4", 0, ""},
		{"a filesystem that somebody has used since", "exec mkfs.ext4", func(t *testing.T, b *box) {
			mkfs(t, b)
			mountOnce(t)
			writeAt(t, part, 300<<10, bytes.Repeat([]byte{0x5a}, 4096)) // and it needs a check
		}, "mkfs.ext4", 0, ""},
		{"a filesystem that somebody has used since, and whose tables are damaged", "exec mkfs.ext4", func(t *testing.T, b *box) {
			mkfs(t, b)
			mountOnce(t)
			writeAt(t, part, 4096, bytes.Repeat([]byte{0x5a}, 300<<10))
		}, "mkfs.ext4", 0, "cannot finish mount of /mnt/a"},
		{"swap of which only the first sectors are written", "exec mkswap", func(t *testing.T, b *box) {
			writeAt(t, device+"p2", 1024, bytes.Repeat([]byte{1}, 512))
		}, "mkswap", 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			clean(t, device, file, size)
			b := newBox(t)
			b.until(layout, test.cut)
			test.half(t, b)
			tool(t, "blockdev", "--flushbufs", device)
			err := b.apply(layout)
			if b.ran(test.runs) != test.times {
				t.Errorf("%s ran %d times: %q", test.runs, b.ran(test.runs), b.effects)
			}
			if test.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), test.refuse) {
					t.Errorf("it says %v", err)
				}
				return
			}
			must(t, err)
			b.stands(layout, device)
			tool(t, "umount", b.sys.Path("/mnt/a"))
		})
	}
}

// A journal that came with a disk of another machine says nothing here.
func TestTheJournalOfAnotherMachineSaysNothing(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	device, _ := loop(t, size)
	layout := labelled(device, sweepLayout)
	b := newBox(t)
	must(t, b.sys.WriteFile("/sys/class/dmi/id/product_uuid", []byte("4c4c4544-0001\n"), 0o400))
	b.until(layout, "exec mkswap")
	writeAt(t, device+"p2", 1024, bytes.Repeat([]byte{1}, 512))
	must(t, b.sys.WriteFile("/sys/class/dmi/id/product_uuid", []byte("4c4c4544-0002\n"), 0o400))
	if err := b.apply(layout); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it holds something unknown") {
		t.Errorf("it says %v", err)
	}
	must(t, b.sys.WriteFile("/sys/class/dmi/id/product_uuid", []byte("4c4c4544-0001\n"), 0o400), b.apply(layout))
	b.stands(layout, device)
}

// A cut after the required filesystems are there and before the rest leaves nothing undone.
func TestWhatComesAfterTheRequiredIsMadeToo(t *testing.T) {
	device, _ := loop(t, 32<<20)
	layout := on(device, `ignore: {volatile: true}
setup:
  parted: {DISK: {parts: [{name: a, start: 1MiB, end: 20MiB}, {name: b, start: 20MiB, end: 30MiB}]}}
  format: {DISKp1: {fstype: ext4, options: -L ecs-data}, DISKp2: {fstype: swap}}
`)
	b := newBox(t)
	cut, written := errors.New("cut by the test"), -1 // times the journal was, since the filesystem is there
	sys := system.New(system.Config{Root: b.root, Observe: func(e system.Effect) error {
		switch {
		case e.Op == "exec" && strings.HasPrefix(e.Object, "mkfs.ext4"):
			written = 0
		case e.Op == "write" && e.Object == journalPath && written >= 0:
			if written++; written == 2 { // the first says that the filesystem is finished
				return cut
			}
		}
		return nil
	}})
	if err := New(Config{System: sys, Wanted: wanted(t, layout), Log: quiet()}).Apply(t.Context(), func(Step) {}); !errors.Is(err, cut) {
		t.Fatalf("it was not cut: %v", err)
	}
	must(t, b.apply(layout))
	if out := tool(t, "blkid", "--probe", "--output", "export", device+"p2"); !strings.Contains(out, "TYPE=swap") {
		t.Errorf("the second partition holds %s", out)
	}
}
