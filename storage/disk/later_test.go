package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/internal/system"
)

// Between a cut and the next start somebody may have helped himself. What bears a signature that is not ours is his, although
// the journal knows the device well and has begun to make something of it.
func TestWhatSomebodyMadeAfterACutStays(t *testing.T) {
	quickLUKS(t)
	withSerial(t, "S1")
	device, file := loop(t, disks)
	cuts := []struct{ use, at string }{{"ext4", "mkfs.ext4"}, {"xfs", "mkfs.xfs"}, {"swap", "mkswap"}, {"partitions", "sfdisk"}, {"LVM", "pvcreate"},
		{"MBR", "sfdisk"}, {"encryption", "cryptsetup luksFormat"}}
	for i, his := range signatures { // each use meets some of them: all pairs are the same few lines, and take minutes
		if his.holds == "" || strings.Contains(his.holds, "unknown") {
			continue // what has no signature may be half of ours
		}
		cut := cuts[i%len(cuts)]
		t.Run(cut.use+", "+his.name, func(t *testing.T) {
			clean(t, device, file, disks)
			b := newBox(t)
			layout := on(device, "ignore: {data: true, volatile: true}\n"+uses[cut.use])
			b.until(layout, "exec "+cut.at)
			his.write(t, device)
			tool(t, "sync", device)
			before := sum(t, file)
			if err := b.apply(layout); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it holds "+his.holds) {
				t.Errorf("it says %v", err)
			}
			tool(t, "sync", device)
			if !bytes.Equal(before, sum(t, file)) {
				t.Error("the disk is not as it was")
			}
		})
	}
}

// An encrypted device that somebody made after a cut is opened where our key fits, and stays as it is.
func TestEncryptionThatSomebodyMadeAfterACutStays(t *testing.T) {
	quickLUKS(t)
	withSerial(t, "S1")
	device, file := loop(t, 64<<20)
	layout := "ignore: {data: true, volatile: true}\nsetup: {crypt: {" + device + ": {password: ours}}}"
	b := newBox(t)
	b.until(layout, "exec cryptsetup luksFormat")
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte("theirs"), 0o600))
	tool(t, "cryptsetup", "luksFormat", "--batch-mode", "--key-file", key, device)
	tool(t, "sync", device)
	before := sum(t, file)
	if err := b.apply(layout); err == nil || b.ran("cryptsetup luksFormat") > 0 {
		t.Errorf("it says %v, with the effects %q", err, b.effects)
	}
	if !bytes.Equal(before, sum(t, file)) {
		t.Error("the disk is not as it was")
	}
}

// Cut twice, the second time before anything of the second try is written, what the first try left is still known to be ours.
func TestCutTwice(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, disks)
	layout := on(device, "ignore: {data: true, volatile: true}\nsetup: {format: {DISK: {fstype: xfs, options: -L t"+filepath.Base(device)+"}}}")
	b := newBox(t)
	b.until(layout, "exec mkfs.xfs")
	tool(t, "mkfs.xfs", "-q", "-m", "uuid="+b.chosen("xfs on "+device, "fs"), device)
	writeAt(t, device, 126, []byte{1}) // it is in progress
	b.until(layout, "exec mkfs.xfs")
	must(t, b.apply(layout))
}

// What came into use since the last look is not emptied: the kernel says so to who asks for the device alone.
func TestWhatCameIntoUseSinceTheLastLookStays(t *testing.T) {
	t.Parallel()
	device, file := loop(t, 64<<20)
	tool(t, "sh", "-c", "printf ',30M\n,30M\n' | sfdisk --quiet --label gpt "+device)
	tool(t, "partx", "--update", device)
	for _, part := range []string{"p1", "p2"} {
		tool(t, "mkfs.ext4", "-q", device+part)
	}
	b := newBox(t)
	r, err := b.volumes("ignore: {data: true, volatile: true}").begin(t.Context())
	must(t, err)
	dir := t.TempDir()
	tool(t, "mount", "-o", "ro", device+"p1", dir)
	defer tool(t, "umount", dir)
	before := sum(t, file)
	for _, name := range []string{device, device + "p1"} {
		d := r.find(name)
		if err := r.wipe(t.Context(), d); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("wiping %s: %v", name, err)
		}
		if err := r.empty(t.Context(), name, [2]uint64{0, d.Size}); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("emptying %s: %v", name, err)
		}
	}
	tool(t, "sync", device)
	if !bytes.Equal(before, sum(t, file)) {
		t.Error("the disk is not as it was")
	}
}

// Names of disks change from boot to boot. What was made of one disk is not made anew of another that has its name by now, empty
// as that may be: the data is where it was, and an empty volume in its place would be taken for it.
func TestAnotherDiskByTheSameName(t *testing.T) {
	const size = 32 << 20
	device, file := loop(t, size)
	path := os.Getenv("PATH")
	layout := labelled(device, "ignore: {data: true, volatile: true}\nsetup: {parted: {DISK: {parts: [{name: a, start: 1MiB, end: 20MiB}]}}}\n")
	for _, test := range []struct {
		name, first, second, says string
		layout                    string
		all                       bool
	}{
		{"another disk", "S1", "S2", "was made before on the disk with the serial number S1, and this is another one", layout, false},
		{"the same one, emptied by hand", "S1", "S1", "", layout, false},
		{"another one, and an operator orders it", "S1", "S2", "", layout, true},
		{"another one, which is given up", "S1", "S2", "", layout + "overwrite: [S2]", false},
		{"disks without serial numbers", "", "", "", layout, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			clean(t, device, file, size)
			b := newBox(t)
			t.Setenv("PATH", path)
			withSerial(t, test.first)
			must(t, b.apply(layout))
			clean(t, device, file, size)
			t.Setenv("PATH", path)
			withSerial(t, test.second)
			v := New(Config{System: b.sys, Wanted: wanted(t, test.layout), All: test.all, Log: quiet()})
			err := v.Apply(t.Context(), func(Step) {})
			if test.says == "" {
				must(t, err)
				return
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// The kernel may know a table that is not the one on the disk any more: somebody has written another one while a partition was
// in use. What would be made of such a partition lies anywhere.
func TestPartitionsThatTheKernelKnowsOtherwise(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	device, _ := loop(t, size)
	tool(t, "sh", "-c", "printf '2048,20000,L,\n' | sfdisk --quiet --label dos "+device)
	tool(t, "partx", "--update", device)
	layout := labelled(device, "ignore: {data: true, volatile: true}\nsetup: {parted: {DISK: {type: msdos, parts: [{name: a, start: 1MiB, end: 40MiB}]}}, format: {DISKp1: {fstype: ext4, options: -L LABEL}}}")
	tool(t, "sh", "-c", "printf '2048,79872,L,\n' | sfdisk --quiet --no-reread --no-tell-kernel --label dos "+device)
	b := newBox(t)
	if work := b.plan(layout).Work(); !strings.Contains(work, "the kernel knows its partitions otherwise") {
		t.Errorf("its work is %q", work)
	}
	must(t, b.apply(layout))
	if size := strings.TrimSpace(tool(t, "blockdev", "--getsize64", device+"p1")); size != "40894464" {
		t.Errorf("the partition has %s bytes", size)
	}
}

// Partitions have numbers, which need not be those of the rows of their table.
func TestATableWithAGap(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 64<<20)
	tool(t, "sh", "-c", `printf 'label: gpt\n`+device+`p1: start=2048,size=2048,name="a"\n`+device+`p3: start=8192,size=8192,name="b"\n' | sfdisk --quiet `+device)
	tool(t, "partx", "--update", device)
	layout := on(device, "ignore: {data: true, volatile: true}\nsetup: {parted: {DISK: {parts: [{name: a, start: 1MiB, end: 2MiB}, {name: b, start: 4MiB, end: 8MiB}]}}}")
	if err := newBox(t).apply(layout); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "has no partition 2 (b)") {
		t.Errorf("it says %v", err)
	}
}

// LVM is not told to say yes: it would wipe what came onto a device since it was looked at, to make a physical volume of it.
func TestVolumeGroupsTakeNothingUnseen(t *testing.T) {
	device, file := loop(t, 64<<20)
	group := "t" + filepath.Base(device)
	layout := on(device, "ignore: {data: true, volatile: true}\nsetup: {lvm: {vg: {"+group+": {devices: [DISK]}}}}")
	for _, cut := range []string{"pvcreate", "vgcreate"} {
		t.Run(cut, func(t *testing.T) {
			clean(t, device, file, 64<<20)
			b := newBox(t)
			var before []byte
			b.sys = system.New(system.Config{Root: b.root, Observe: func(e system.Effect) error {
				if strings.HasPrefix(e.String(), "exec "+cut) { // at the last moment
					tool(t, "wipefs", "--all", "--quiet", device)
					tool(t, "mkfs.ext4", "-q", device)
					tool(t, "sync", device)
					before = sum(t, file)
				}
				return nil
			}})
			if err := b.apply(layout); err == nil || before == nil {
				t.Errorf("it says %v", err)
			}
			tool(t, "sync", device)
			if !bytes.Equal(before, sum(t, file)) {
				t.Error("the disk is not as it was")
			}
		})
	}
	t.Run("nothing came", func(t *testing.T) {
		clean(t, device, file, 64<<20)
		t.Cleanup(func() { tool(t, "vgremove", "--force", group) })
		b := newBox(t)
		must(t, b.apply(layout), b.apply(layout))
	})
}

// A growth or a TPM that was cut off is no order to make what is missing.
func TestOnlyWhatWasToBeMadeIsMadeAfterACut(t *testing.T) {
	device, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", "-L", "ecs-data", device)
	other, _ := loop(t, 16<<20)
	b := newBox(t)
	j, err := openJournal(b.sys)
	must(t, err, j.begin(entry{Step: "TPM for " + device}))
	must(t, b.apply("ignore: {volatile: true}\nsetup: {format: {"+other+": {fstype: ext4}}}"))
	if b.ran("mkfs") > 0 {
		t.Errorf("it has the effects %q", b.effects)
	}
}

// What cannot be swapped to since it holds something else, and need not be made, is no failure; nor is a header's backup
// when nothing was ever begun on this host.
func TestSwapThatIsNotMade(t *testing.T) {
	device, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", "-L", "ecs-data", device)
	other, _ := loop(t, 16<<20)
	tool(t, "mkfs.ext4", "-q", other)
	must(t, newBox(t).apply("ignore: {volatile: true}\nsetup: {swap: ["+other+"]}"))
}

// A name on a locked device is not that of a filesystem.
func TestALockedDeviceIsNoFilesystem(t *testing.T) {
	quickLUKS(t)
	device, _ := loop(t, 64<<20)
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte("key"), 0o600))
	tool(t, "cryptsetup", "luksFormat", "--batch-mode", "--label", "ecs-volatile", "--key-file", key, device)
	b := newBox(t)
	if p := b.plan("ignore: {data: true}"); len(p.Absent) != 1 || strings.Contains(p.text(), "mount "+device) {
		t.Error(p.text())
	}
	r, err := b.volumes("ignore: {data: true}").begin(t.Context())
	must(t, err)
	uuid := strings.TrimSpace(tool(t, "cryptsetup", "luksUUID", device))
	must(t, r.backUpHeader(t.Context(), r.find(device), uuid)) // on a host where nothing was begun yet
	if info, err := b.sys.Stat(Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of headers: %v, %v", info, err)
	}
}
