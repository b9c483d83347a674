package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/internal/system"
)

// changed is a captured host with other texts in what its programs say: file, old and new text in turn.
func changed(t *testing.T, name string, changes ...string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "host", name))))
	for ; len(changes) > 0; changes = changes[3:] {
		file := filepath.Join(dir, changes[0])
		data, err := os.ReadFile(file)
		if must(t, err); !strings.Contains(string(data), changes[1]) {
			t.Fatalf("%s has no %s", file, changes[1])
		}
		must(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(data), changes[1], changes[2])), 0o644))
	}
	capturedIn(t, dir)
}

// A disk that has doubled is used layer by layer from below, whatever of it is done already.
func TestPlansOfADiskThatHasGrown(t *testing.T) {
	layout := strings.Replace(vmLayout, "size: 256m", "extents: 100%FREE", 1)
	disk := []string{"lsblk", `"size": 1073741824`, `"size": 2147483648`}
	part := append([]string{"lsblk", `"size": 1071644672`, `"size": 2145386496`, "sfdisk", `"size": 2093056`, `"size": 4190208`}, disk...)
	open := append([]string{"lsblk", `"size": 1054867456`, `"size": 2128609280`, "pvs", `"dev_size":"1054867456"`, `"dev_size":"2128609280"`}, part...)
	group := append([]string{"pvs", `"pv_size":"1052770304"`, `"pv_size":"2126512128"`, "vgs", `"vg_extent_count":"251", "vg_free_count":"91"`, `"vg_extent_count":"507", "vg_free_count":"347"`}, open...)
	volume := append(group, "lsblk", `"size": 268435456`, `"size": 1723858944`, "lvs", `"lv_size":"268435456"`, `"lv_size":"1723858944"`, "vgs", `"vg_free_count":"347"`, `"vg_free_count":"0"`)
	for _, test := range []struct {
		name    string
		changes []string
	}{
		{"disk", disk}, {"partition", part}, {"encrypted-device", open}, {"group", group}, {"volume", volume},
		{"table-not-told", append([]string{"sfdisk", `"size": 2093056`, `"size": 4190208`}, disk...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed(t, "standing", test.changes...)
			sys := system.New(system.Config{Root: t.TempDir()}).Reader()
			p, err := New(Config{System: sys, Wanted: wanted(t, layout), Log: quiet()}).Plan(t.Context())
			must(t, err)
			golden(t, "plan-grown-"+test.name+".txt", p.text())
		})
	}
}

const rootTable = `{"partitiontable": {"label": "LABEL", "partitions": [{"node": "/dev/vda14", "start": 2048, "size": 8192}, {"node": "/dev/vda1", "start": 10240, "size": 8378368}BEHIND]}}`

func TestPlansOfTheRoot(t *testing.T) {
	for _, test := range []struct{ name, label, behind, size string }{
		{"larger-disk", "gpt", "", "17179869184"},
		{"full-disk", "gpt", "", "4295999488"},
		{"another-partition-behind", "gpt", `, {"node": "/dev/vda2", "start": 8388608, "size": 2048}`, "17179869184"},
		{"mbr-beyond-2TiB", "dos", "", "8796093022208"},
		{"unknown-table", "sun", "", "17179869184"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			for file, text := range map[string]string{
				"lsblk": fmt.Sprintf(`{"blockdevices":[{"name":"vda","kname":"vda","path":"/dev/vda","type":"disk","size":%s,"log-sec":512,"children":[
					{"name":"vda1","kname":"vda1","path":"/dev/vda1","type":"part","size":4289724416,"mountpoint":"/"}]}]}`, test.size),
				"blkid_vda1":                     "TYPE=ext4\nUSAGE=filesystem\nPART_ENTRY_OFFSET=10240\n",
				"dumpe2fs":                       "Block count:              1047296\nBlock size:               4096\n",
				"findmnt_" + filepath.Base(root): `{"filesystems":[{"source":"/dev/vda1"}]}`,
				"sfdisk":                         strings.NewReplacer("LABEL", test.label, "BEHIND", test.behind).Replace(rootTable),
			} {
				must(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
			}
			capturedIn(t, dir)
			sys := system.New(system.Config{Root: root}).Reader()
			p, err := New(Config{System: sys, Wanted: wanted(t, "{ignore: {data: true, volatile: true}, grow_root: true}"), Log: quiet()}).Plan(t.Context())
			must(t, err)
			golden(t, "plan-root-"+test.name+".txt", p.text())
		})
	}
}

// larger makes a disk larger, as its hypervisor does.
func larger(t *testing.T, device, file string, size int64) {
	t.Helper()
	must(t, os.Truncate(file, size))
	tool(t, "losetup", "--set-capacity", device)
}

// The root filesystem is mounted while its partition and it grow, with what is on it and what stands before it.
func TestTheRootGrows(t *testing.T) {
	for kind, mkfs := range map[string][]string{"ext4": {"mkfs.ext4", "-q"}, "xfs": {"mkfs.xfs", "-q"}} {
		for _, label := range []string{"gpt", "dos"} {
			t.Run(kind+", "+label, func(t *testing.T) {
				device, file := loop(t, 360<<20)
				tool(t, "sh", "-c", "printf '2048,20480\n22528,'$((330*2048))'\n' | sfdisk --quiet --label "+label+" "+device)
				tool(t, "partx", "--update", device)
				tool(t, append(mkfs, device+"p2")...)
				before := tool(t, "sfdisk", "--dump", device)
				b := newBox(t)
				tool(t, "mount", device+"p2", b.root)
				t.Cleanup(func() { tool(t, "umount", b.root) })
				must(t, os.WriteFile(filepath.Join(b.root, "data"), []byte("data"), 0o600))
				larger(t, device, file, 720<<20)
				const layout = "{ignore: {data: true, volatile: true}, grow_root: true}"
				err := b.apply(layout)
				after := tool(t, "sfdisk", "--dump", device)
				rows := func(text string) string { return strings.ReplaceAll(text[strings.Index(text, device+"p1"):], " ", "") }
				if strings.Replace(rows(before), "size=675840", "size=1449984", 1) != rows(after) {
					t.Errorf("the table was\n%s\nand is\n%s", before, after)
				}
				if size := strings.TrimSpace(tool(t, "blockdev", "--getsize64", device+"p2")); size != fmt.Sprint(1449984*512) {
					t.Errorf("the partition has %s bytes", size)
				}
				if err != nil && strings.Contains(err.Error(), "Permission denied to resize") {
					t.Skip("growing a mounted ext4 takes CAP_SYS_RESOURCE, which this machine does not give; its partition has grown: ", err)
				}
				must(t, err)
				if work := b.plan(layout).Work(); work != "" {
					t.Errorf("there is work left: %s", work)
				}
				if data, err := os.ReadFile(filepath.Join(b.root, "data")); string(data) != "data" || err != nil {
					t.Errorf("the data is %q, %v", data, err)
				}
			})
		}
	}
}

const stackLayout = "ignore: {data: true, volatile: true}\nsetup: {parted: {DISK: {parts: [{name: a, start: 1MiB, end: 8MiB}, {name: b, start: 8MiB, end: 100%}]}}, lvm: {vg: {GROUP: {devices: [DISKp2]}}LV}}"

// A disk becomes larger, and the partition at its end with the physical volume on it. A cut between the table and the kernel's
// learning of it is gone on from. Volumes and what is on them need device mapper, which plans alone are tested of.
func TestTheStackGrows(t *testing.T) {
	device, file := loop(t, 64<<20)
	group := "t" + filepath.Base(device)
	layout := func(lv string) string {
		return strings.NewReplacer("DISK", device, "GROUP", group, "LV", lv).Replace(stackLayout)
	}
	b := newBox(t)
	must(t, b.apply(layout("")))
	t.Cleanup(func() { tool(t, "vgremove", "--force", group) })
	larger(t, device, file, 256<<20)
	expanding := layout(", lv: {x: {vgname: " + group + ", extents: 100%FREE, expand: true}}")
	b.until(expanding, "exec partx --update --nr")
	r, err := b.volumes(expanding).begin(t.Context())
	must(t, err)
	for _, task := range r.tasks {
		switch task.(type) {
		case *table, *growPart, *growPV:
			must(t, r.step(t.Context(), task, func(s Step) { t.Logf("%-5s %s: %s", s.State, s.What, s.Why) }))
		}
	}
	if size := tool(t, "pvs", "--noheadings", "--units", "m", "--nosuffix", "--options", "pv_size", device+"p2"); !strings.Contains(size, "244.00") {
		t.Errorf("the physical volume has %s MiB", size)
	}
	if e := r.journal.of("size of the physical volume " + device + "p2"); e == nil || e.Done == nil {
		t.Errorf("the journal has %+v", e)
	}
	b.effects = nil
	for _, task := range r.tasks {
		if _, isLV := task.(*lv); isLV {
			continue
		}
		if step, err := r.see(t.Context(), task, nil); err == nil && step.State != Done && !step.gone {
			t.Errorf("%s: %+v", task.name(), step)
		}
	}
}
