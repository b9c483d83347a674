package disk

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// captured is a host as its programs told of it: each file below testdata/host/NAME is what a program said.
func captured(t *testing.T, name string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", "host", name))
	must(t, err)
	capturedIn(t, dir)
}

func capturedIn(t *testing.T, dir string) {
	t.Helper()
	bin := t.TempDir()
	for _, program := range []string{"lsblk", "pvs", "vgs", "lvs", "findmnt", "blkid", "dumpe2fs", "xfs_info", "sfdisk", "cryptsetup"} {
		script := `#!/bin/sh
for last; do :; done
for file in "` + dir + `/` + program + `_${last##*/}" "` + dir + `/` + program + `"; do
	if [ -e "$file" ]; then exec cat "$file"; fi
done
exit ` + map[string]string{"blkid": "2", "findmnt": "1"}[program] + "\n"
		must(t, os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755))
	}
	for _, program := range []string{"wipefs", "blkdiscard", "partx", "mdadm", "pvcreate", "vgcreate", "lvcreate", "mkfs.ext4", "e2fsck", "resize2fs", "mkfs.xfs", "xfs_growfs", "swapon", "pvresize"} {
		must(t, os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\nexit 99\n"), 0o755))
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

const vmLayout = `
setup:
  parted:
    /dev/vdb: {parts: [{name: safe, start: 1MiB, end: 100%}]}
  crypt:
    /dev/vdb1: {target: safe, password: "correct horse battery"}
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

func (p Plan) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "absent: %s\nmissing: %v\nwork: %s\n\n", p.Absent, p.Missing, p.Work())
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%-7s %s: %s\n", s.State, s.What, s.Why)
		if s.Device != nil {
			fmt.Fprintf(&b, "        %s %q %q %d\n", s.Device.Path, s.Device.Model, s.Device.Serial, s.Device.Size)
		}
		for _, c := range s.Commands {
			fmt.Fprintf(&b, "        + %s\n", c)
		}
	}
	return b.String()
}

// Plans of hosts as they were captured: complete, locked, and with the volumes of before that are to grow.
func TestPlansOfHosts(t *testing.T) {
	for _, test := range []struct{ name, host, layout string }{
		{"standing", "standing", vmLayout},
		{"locked", "locked", vmLayout},
		{"grows", "standing", strings.Replace(vmLayout, "size: 256m", "size: 300m", 1)},
		{"another-group", "standing", strings.ReplaceAll(strings.ReplaceAll(vmLayout, "vg0", "vg1"), "ecs-volatile", "other")},
	} {
		t.Run(test.name, func(t *testing.T) {
			captured(t, test.host)
			sys := system.New(system.Config{Root: t.TempDir()}).Reader()
			p, err := New(Config{System: sys, Wanted: wanted(t, test.layout), Log: quiet()}).Plan(t.Context())
			must(t, err)
			golden(t, "plan-"+test.name+".txt", p.text())
			data, err := json.Marshal(p)
			if must(t, err); strings.Contains(string(data), "horse") || !strings.HasPrefix(string(data), `{"version":1,`) {
				t.Errorf("as JSON: %s", data)
			}
		})
	}
}

func TestProgramsThatAreMissing(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"lsblk", "blkid", "findmnt", "wipefs", "blkdiscard", "partx"} {
		must(t, os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\necho '{}'\n"), 0o755))
	}
	t.Setenv("PATH", dir)
	b := newBox(t)
	err := b.volumes(vmLayout).Apply(t.Context(), func(Step) {})
	if err == nil || !strings.Contains(err.Error(), "there is no sfdisk, cryptsetup, pvs,") ||
		remedy.Of(err) != "run `apt-get install cryptsetup-bin e2fsprogs fdisk lvm2 mount xfsprogs`, or what your distribution has by that name" || len(b.effects) > 0 {
		t.Errorf("it says %v (%s), with the effects %q", err, remedy.Of(err), b.effects)
	}
}

func TestTablesAsWritten(t *testing.T) {
	disk := func(size, sector uint64) *Device { return &Device{Path: "/dev/x", Size: size, sector: sector} }
	uuids := map[string]string{"0": "0xDISK", "1": "PART1", "2": "PART2", "3": "PART3"}
	layout := `{setup: {parted: {/dev/x: {type: TYPE, parts: [{name: boot, start: 0%, end: 300MB, flags: [esp, legacy_boot]}, {name: pool, start: 300MB, end: 50%, flags: [lvm]}, {name: data, start: 50%, end: 100%}]}}}}`
	for _, test := range []struct {
		name, kind string
		disk       *Device
	}{
		{"gpt", "gpt", disk(10<<30, 512)}, {"mbr", "mbr", disk(10<<30, 512)}, {"gpt-4k-sectors", "gpt", disk(10<<30+12345*4096, 4096)},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := &table{wanted(t, strings.Replace(layout, "TYPE", test.kind, 1)).Disks[0]}
			areas, err := table.areas(test.disk)
			must(t, err)
			golden(t, "table-"+test.name+".txt", table.script(areas, uuids))
			for i, a := range areas {
				if a.start*test.disk.sector%(1<<20) != 0 || i > 0 && a.start < areas[i-1].start+areas[i-1].size || (a.start+a.size)*test.disk.sector > test.disk.Size-34*test.disk.sector {
					t.Errorf("partition %d: %+v", i, a)
				}
			}
		})
	}
	large := &table{wanted(t, strings.Replace(layout, "TYPE", "mbr", 1)).Disks[0]}
	if _, err := large.areas(disk(4<<40, 512)); err == nil || !strings.Contains(err.Error(), "an MBR does not reach so far") {
		t.Errorf("of an MBR on 4 TiB it says %v", err)
	}
	for why, layout := range map[string]string{
		"begins before the end of the one before it": "{setup: {parted: {/dev/x: {parts: [{name: a, start: 1MiB, end: 6GiB}, {name: b, start: 50%, end: 100%}]}}}}",
		"ends at 21474836480 bytes":                  "{setup: {parted: {/dev/x: {parts: [{name: a, start: 1MiB, end: 20GiB}]}}}}",
		"there is no room for partition a":           "{setup: {parted: {/dev/x: {parts: [{name: a, start: 99.99%, end: 100%}]}}}}",
	} {
		if _, err := (&table{wanted(t, layout).Disks[0]}).areas(disk(10<<30, 512)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("it says %v, want %s", err, why)
		}
	}
}

func TestUnitsAsWritten(t *testing.T) {
	layout := "setup: {format: {/dev/vdb1: {fstype: ext4, options: -L ecs-data}, /dev/vdb2: {fstype: ext4, options: -L ecs-volatile}}, mount: {/mnt/the archive: {device: LABEL=archive, fstype: xfs, opts: \"noatime,nodev\"}}, swap: [/dev/vdb3]CRYPT}\n"
	for name, crypt := range map[string]string{"plain": "", "encrypted": ", crypt: {/dev/vdb: {password: geheim}}"} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			v := New(Config{System: system.New(system.Config{}), Wanted: wanted(t, strings.Replace(layout, "CRYPT", crypt, 1))})
			for _, task := range v.mounts() {
				switch task := task.(type) {
				case *mount:
					fmt.Fprintf(&b, "== %s\n%s", task.unitPath(), task.render())
				case *swap:
					fmt.Fprintf(&b, "== %s.swap\n%s", escape(task.dev), task.render())
				case *opener:
					fmt.Fprintf(&b, "== %s\n%s", openerPath, task.render("/usr/bin/appliance"))
				}
			}
			golden(t, "units-"+name+".txt", b.String())
		})
	}
}

// The order is by what is made of what, whatever the order of the parts is.
func TestTheOrderOfThings(t *testing.T) {
	names := func(layout string) (names []string) {
		list, err := inOrder(New(Config{System: system.New(system.Config{}), Wanted: wanted(t, layout)}).tasks())
		must(t, err)
		for _, task := range list {
			names = append(names, task.name())
		}
		return names
	}
	got := names(`ignore: {data: true, volatile: true}
setup:
  parted: {/dev/md0: {parts: [{name: a, start: 0%, end: 100%}]}}
  mdadm: {/dev/md0: {level: 1, devices: [/dev/vdb, /dev/vdc]}}
  crypt: {/dev/vg0/data: {password: geheim, target: d}}
  lvm: {vg: {vg0: {devices: [/dev/md0p1]}}, lv: {data: {vgname: vg0, size: 1g}}}
  format: {/dev/mapper/d: {fstype: ext4, options: -L x}}
  mount: {/mnt/a: {device: LABEL=x, fstype: ext4}}
`)
	want := []string{"array /dev/md0", "partitions of /dev/md0", "physical volume /dev/md0p1", "group vg0", "volume vg0/data", "encryption of /dev/vg0/data",
		"ext4 on /dev/mapper/d", "mount of /mnt/a", "unit that opens volumes at boot"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	list := []task{&crypt{env.Crypt{Device: "/dev/mapper/a", Target: "b"}}, &crypt{env.Crypt{Device: "/dev/mapper/b", Target: "a"}}}
	if _, err := inOrder(slices.Clone(list)); err == nil || remedy.Of(err) == "" {
		t.Errorf("of a circle it says %v", err)
	}
}

func TestEscape(t *testing.T) {
	for path, want := range map[string]string{"/data": "data", "/": "-", "/dev/disk/by-label/ecs-data": `dev-disk-by\x2dlabel-ecs\x2ddata`,
		"/mnt/the archive": `mnt-the\x20archive`, "/.hidden/a.b": `\x2ehidden-a.b`, "/mnt/ä": `mnt-\xc3\xa4`} {
		if got := escape(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// On a host that speaks German, what programs say is read all the same.
func TestProgramsAreAskedInOneLanguage(t *testing.T) {
	captured(t, "standing")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "dumpe2fs"), []byte("#!/bin/sh\n[ \"$LC_ALL\" = C ] && printf 'Block count: 1024\\nBlock size: 1024\\n'\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	p, err := New(Config{System: system.New(system.Config{Root: t.TempDir()}), Wanted: wanted(t, vmLayout), Log: quiet()}).Plan(t.Context())
	if must(t, err); !strings.Contains(p.text(), "it has 1048576 of 268435456 bytes") {
		t.Error(p.text())
	}
}
