package env_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

const wholeSetup = `
parted:
  /dev/vdb:
    type: gpt
    parts:
      - {name: data, start: 1MiB, end: 50%}
      - {name: rest, start: 50%, end: 100%, flags: [lvm]}
mdadm:
  /dev/md0: {level: raid1, devices: [/dev/vdc, /dev/vdd], chunk: 64}
crypt:
  /dev/vdb1: {target: data-crypt, password: correct horse, tpm2: true}
lvm:
  pv: [/dev/mapper/data-crypt]
  vg:
    vg0: {devices: [/dev/mapper/data-crypt, /dev/md0]}
  lv:
    data: {vgname: vg0, size: 20g, expand: true}
    swap: {vgname: vg0, extents: 100%FREE, contiguous: y, readahead: none}
format:
  /dev/vg0/data: {fstype: ext4, options: ["-L ecs-data", "-m 1"]}
  /dev/vdb2: {fstype: xfs, options: -L ecs-volatile}
mount:
  /mnt/archive: {device: LABEL=archive, fstype: ext4, opts: "noatime,nodev", mkmnt: true, persist: false}
swap: [/dev/vg0/swap]
`

func parseStorage(t *testing.T, storage string) *env.Document {
	t.Helper()
	doc, err := env.Parse("env.yml", []byte("#cloud-config\nappliance:\n  domain: x\n  storage:\n"+storage))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func indent(text string, by int) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", by))
}

func TestVolumesOfBothForms(t *testing.T) {
	pos := func(b uint64) env.Position { return env.Position{Bytes: b} }
	pct := func(p uint64) env.Position { return env.Position{Percent: true, Hundredths: p * 100} }
	want := env.Volumes{
		NoVolatile: true, Overwrite: []string{"S1"}, GrowRoot: true,
		Disks: []env.Disk{{Device: "/dev/vdb", Table: "gpt", Parts: []env.Part{
			{Name: "data", Start: pos(1 << 20), End: pct(50)}, {Name: "rest", Start: pct(50), End: pct(100), Flags: []string{"lvm"}}}}},
		Arrays: []env.Array{{Device: "/dev/md0", Level: "1", Devices: []string{"/dev/vdc", "/dev/vdd"}, Options: []env.Option{{Name: "chunk", Value: "64"}}}},
		Crypts: []env.Crypt{{Device: "/dev/vdb1", Target: "data-crypt", Phrase: "correct horse", TPM: true}},
		PVs:    []string{"/dev/mapper/data-crypt", "/dev/md0"},
		Groups: []env.Group{{Name: "vg0", Devices: []string{"/dev/mapper/data-crypt", "/dev/md0"}}},
		LVs: []env.LV{{Name: "data", Group: "vg0", Size: 20 << 30, Expand: true},
			{Name: "swap", Group: "vg0", Extents: "100%FREE", Options: []env.Option{{Name: "contiguous", Value: "y"}, {Name: "readahead", Value: "none"}}}},
		Formats: []env.Format{{Device: "/dev/vg0/data", Type: "ext4", Label: "ecs-data", Options: []string{"-m", "1"}}, {Device: "/dev/vdb2", Type: "xfs", Label: "ecs-volatile"}},
		Mounts:  []env.Mount{{Dir: "/mnt/archive", Device: "LABEL=archive", Type: "ext4", Options: []string{"noatime", "nodev"}, MakeDir: true}},
		Swaps:   []string{"/dev/vg0/swap"},
	}
	beside := "    ignore: {volatile: true}\n    overwrite: [S1]\n    grow_root: true\n"
	for name, setup := range map[string]string{"a mapping": "    setup:\n      " + indent(wholeSetup, 6) + "\n", "text": "    setup: |\n      " + indent(wholeSetup, 6) + "\n"} {
		t.Run(name, func(t *testing.T) {
			doc := parseStorage(t, beside+setup)
			if err := doc.Validate(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, doc.Volumes()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"correct horse"}, doc.Secrets()); diff != "" {
				t.Errorf("secrets: %s", diff)
			}
		})
	}
}

func TestLayoutsThatCannotWork(t *testing.T) {
	for _, test := range []struct{ name, setup, want string }{
		{"overlap", "parted: {/dev/vdb: {parts: [{name: a, start: 1MiB, end: 5GiB}, {name: b, start: 4GiB, end: 100%}]}}",
			"parts[1].start: the partition begins before the end of the one before it (put partitions in their order on the disk, without overlaps)"},
		{"out of order", "parted: {/dev/vdb: {parts: [{name: a, start: 50%, end: 100%}, {name: b, start: 0%, end: 50%}]}}", "parts[1].start: the partition begins before"},
		{"nothing in it", "parted: {/dev/vdb: {parts: [{name: a, start: 5MiB, end: 1MiB}]}}", "parts[0].end: the partition ends where it begins, or before"},
		{"more than there is", "parted: {/dev/vdb: {parts: [{name: a, start: 1MiB, end: 101%}]}}", "expected at most 100%, found 101%"},
		{"unknown flag", "parted: {/dev/vdb: {parts: [{name: a, start: 1MiB, end: 100%, flags: [lmv]}]}}", `unknown flag "lmv" (write one of boot,`},
		{"one name twice", "parted: {/dev/vdb: {parts: [{name: a, start: 1MiB, end: 10%}, {name: a, start: 10%, end: 100%}]}}", "parts[1].name: two partitions have this name"},
		{"two uses", "{crypt: {/dev/vdb: {password: geheim}}, format: {/dev/vdb: {fstype: ext4}}}", "the device is named for two uses: encryption and a filesystem"},
		{"swap and filesystem", "{format: {/dev/vdb: {fstype: ext4}}, swap: [/dev/vdb]}", "the device is named for two uses: a filesystem and swap"},
		{"no device", "format: {vdb: {fstype: ext4}}", `"vdb" is no path of a device`},
		{"no group", "lvm: {lv: {data: {vgname: vg0, size: 20g}}}", "there is no such group in lvm.vg (name one of lvm.vg, or write the group there with its devices)"},
		{"unknown unit", "lvm: {vg: {vg0: {devices: [/dev/vdb]}}, lv: {data: {vgname: vg0, size: 20x}}}", `expected one of the units b, s, k, m, g, t and p, found "x"`},
		{"neither size nor extents", "lvm: {vg: {vg0: {devices: [/dev/vdb]}}, lv: {data: {vgname: vg0}}}", "needs either size or extents"},
		{"a device in two groups", "lvm: {vg: {a: {devices: [/dev/vdb]}, b: {devices: [/dev/vdb]}}}", "a device of it is in the group a too"},
		{"no key", "crypt: {/dev/vdb: {tpm2: true}}", "nothing opens the device: it has neither password nor key_file"},
		{"one name for two", "crypt: {/dev/vdb: {password: geheim, target: a}, /dev/vdc: {password: geheim, target: a}}", "is open under the same name as /dev/vdb"},
		{"one label twice", "format: {/dev/vdb: {fstype: ext4, options: -L a}, /dev/vdc: {fstype: ext4, options: -L a}}", "has the same label as /dev/vdb"},
		{"a long label", "format: {/dev/vdb: {fstype: xfs, options: -L ecs-volatile1}}", "the label has 13 characters, xfs takes 12"},
		{"our label on swap", "format: {/dev/vdb: {fstype: swap, options: -L ecs-data}}", "swap cannot have the label ecs-data"},
		{"a UUID", "format: {/dev/vdb: {fstype: ext4, options: -U random}}", `cannot hand on the option "-U"`},
		{"the system's directory", "mount: {/usr: {device: /dev/vdb, fstype: ext4}}", "belongs to the system"},
		{"a label's directory", "mount: {/data: {device: /dev/vdb, fstype: ext4}}", "is mounted by the label of its filesystem (remove it, and give the filesystem the label ecs-data)"},
		{"an option that names a device, of xfs", "format: {/dev/vdb: {fstype: xfs, options: -l logdev=/dev/vdc}}", `cannot hand on the option "logdev=/dev/vdc"`},
		{"an option that names a device, of ext4", "format: {/dev/vdb: {fstype: ext4, options: -J device=UUID=0}}", `cannot hand on the option "device=UUID=0"`},
		{"a device in the place of an option", "format: {/dev/vdb: {fstype: swap, options: /dev/vdc}}", `cannot hand on the option "/dev/vdc"`},
		{"an option of an array that names a device", "mdadm: {/dev/md0: {level: 5, devices: [/dev/vdb, /dev/vdc, /dev/vdd], write_journal: /dev/vde}}", "names a device, which nobody would look at before it is written to"},
		{"an option of a volume that names a device", "lvm: {vg: {vg0: {devices: [/dev/vdb]}}, lv: {data: {vgname: vg0, size: 1g, cachedevice: /dev/vdc}}}", "names a device, which nobody would look at"},
		{"an array that is no device", "mdadm: {--stop: {level: 1, devices: [/dev/vdb, /dev/vdc]}}", `"--stop" is no path of a device`},
		{"an MBR of five", "parted: {/dev/vdb: {type: mbr, parts: [{name: a, start: 0%, end: 1%}, {name: b, start: 1%, end: 2%}, {name: c, start: 2%, end: 3%}, {name: d, start: 3%, end: 4%}, {name: e, start: 4%, end: 5%}]}}", "an MBR has room for four partitions"},
		{"half an array", "mdadm: {/dev/md0: {level: 1, devices: [/dev/vdb, /dev/vdb]}}", "an array of this level needs 2 different devices"},
		{"an option of ours", "mdadm: {/dev/md0: {level: 1, devices: [/dev/vdb, /dev/vdc], assume-clean: true}}", "is an option that the appliance gives itself"},
		{"no option", "mdadm: {/dev/md0: {level: 1, devices: [/dev/vdb, /dev/vdc], --force: true}}", "is no option"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, form := range []string{"    setup:\n      " + test.setup + "\n", "    setup: |\n      " + test.setup + "\n"} {
				var report *env.Report
				if err := parseStorage(t, form).Validate(); !errors.As(err, &report) || len(report.Problems) != 1 {
					t.Fatalf("%s answers %v, want one problem", form, err)
				}
				got := report.Problems[0]
				if !strings.Contains(got.String(), test.want) || got.Line != 6 || !strings.HasPrefix(got.Path, "appliance.storage.setup.") || got.Remedy == "" {
					t.Errorf("%s answers\n%s, want\nenv.yml:6: … %s", form, got, test.want)
				}
			}
		})
	}
}

func TestProblemsOfTextHaveTheirPlace(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "    setup: |\n      swap: []\n\n      formatt: {}\n", `env.yml:8:1: appliance.storage.setup.formatt: unknown key; did you mean "format"?`},
		{"twice", "    setup: |\n      swap: []\n      swap: []\n", "env.yml:5:12: appliance.storage.setup: is text that is no YAML to work with, at its line 2"},
		{"no YAML", "    setup: \"[\"\n", "env.yml:5:12: appliance.storage.setup: is text that is no YAML to work with"},
		{"a list", "    setup: \"[a]\"\n", "env.yml:5:12: appliance.storage.setup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := parseStorage(t, test.text).Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v, want %s", err, test.want)
			}
		})
	}
}
