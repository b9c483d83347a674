package disk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/internal/system"
)

// described is a host of two disks with a partition each, as lsblk and blkid tell of it; of what a device holds, "" is that
// the device is not there.
func described(t *testing.T, sdb1, sdc1, above string) *Volumes {
	t.Helper()
	dir := t.TempDir()
	var list []string
	for i, holds := range []string{sdb1, sdc1} {
		name := "sd" + string("bc"[i])
		must(t, os.WriteFile(filepath.Join(dir, "blkid_"+name+"1"), []byte(holds+fmt.Sprintf("\nPART_ENTRY_UUID=part-%d\n", i)), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "blkid_"+name), []byte("PTTYPE=gpt\n"), 0o644))
		if holds != "" {
			list = append(list, fmt.Sprintf(`{"name":"%[1]s","kname":"%[1]s","path":"/dev/%[1]s","type":"disk","size":1000000000,"serial":"S%[2]d","children":[
				{"name":"%[1]s1","kname":"%[1]s1","path":"/dev/%[1]s1","type":"part","size":900000000,"children":[%[3]s]}]}`, name, i, above))
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "lsblk"), []byte(`{"blockdevices":[`+strings.Join(list, ",")+`]}`), 0o644))
	capturedIn(t, dir)
	layout := "ignore: {data: true, volatile: true}\nsetup: {mdadm: {/dev/md0: {level: 1, devices: [/dev/sdb1, /dev/sdc1]}}}"
	return New(Config{System: system.New(system.Config{Root: t.TempDir()}), Wanted: wanted(t, layout), Log: quiet()})
}

const runs = `{"name":"md127","kname":"md127","path":"/dev/md127","type":"raid1","size":800000000,"children":[{"name":"vg-lv","kname":"dm-9","path":"/dev/mapper/vg-lv","type":"lvm","size":5}]}`

func member(uuid string) string { return "UUID=" + uuid + "\nTYPE=linux_raid_member" }

func TestArrays(t *testing.T) {
	a, b := "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	for _, test := range []struct {
		name, sdb1, sdc1, above string
		begun                   string
		want                    string
	}{
		{"runs by another name", member(a), member(a), runs, "", "done: it runs as /dev/md127"},
		{"runs without its first disk", "", member(a), runs, "", "done: it runs as /dev/md127"},
		{"runs without its second disk", member(a), "", runs, "", "done: it runs as /dev/md127"},
		{"runs, and a cut was before its edges were empty", member(a), member(a), runs, a, "to do: it was begun and is not finished"},
		{"runs, and is another one than was begun", member(a), member(a), runs, b, "done: it runs as /dev/md127"},
		{"does not run", member(a), member(a), "", "", "to do: it does not run"},
		{"a disk is missing", "", member(a), "", "", "refused: there is no device /dev/sdb1"},
		{"one of them is a member of another array", member(a), member(b), "", "", "refused: its devices are members of different arrays"},
		{"one of them is something else", member(a), "TYPE=ext4", "", "", "refused: it holds a filesystem of the type ext4"},
		{"begun, and one of them is a member of another array", member(a), member(b), "", a, "refused: it holds a member of an array, and cannot be told"},
		{"begun, and all are members", member(a), member(a), "", a, "to do: it does not run"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := described(t, test.sdb1, test.sdc1, test.above)
			if test.begun != "" {
				data, err := json.Marshal(journal{Version: journalVersion, Entries: []*entry{{Step: "array /dev/md0", UUIDs: map[string]string{"array": test.begun}}}})
				must(t, err, v.sys.WriteFile(journalPath, data, 0o600))
			}
			p, err := v.Plan(t.Context())
			must(t, err)
			if got := string(p.Steps[0].State) + ": " + p.Steps[0].Why; !strings.HasPrefix(got, test.want) {
				t.Errorf("it is %s", got)
			}
		})
	}
}

// Who names a disk's serial number gives up that disk, not what lies on it and on others too.
func TestWhatLiesOnSeveralDisksHasNoSerialNumber(t *testing.T) {
	v := described(t, member("a"), member("a"), runs)
	h, err := look(t.Context(), v.sys, v.wanted)
	must(t, err)
	for path, want := range map[string]string{"/dev/sdb": "S0", "/dev/sdc1": "S1", "/dev/md127": "", "/dev/mapper/vg-lv": ""} {
		if d := h.devices[path]; d.Serial != want {
			t.Errorf("%s has the serial number %q, want %q", path, d.Serial, want)
		}
	}
	if md := h.devices["/dev/md127"]; len(md.children) != 1 || len(h.devices["/dev/mapper/vg-lv"].parents) != 1 {
		t.Errorf("the array has the children %q", md.children)
	}
}

func TestAnArrayOfOneDiskTwice(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 32<<20)
	link := filepath.Join("/dev", "t"+filepath.Base(device)) // a second name, as udev makes them
	must(t, os.Symlink(device, link))
	t.Cleanup(func() { must(t, os.Remove(link)) })
	b := newBox(t)
	r, err := b.volumes("ignore: {data: true, volatile: true}\nsetup: {mdadm: {/dev/md99: {level: 1, devices: [" + device + ", " + link + "]}}}").begin(t.Context())
	if err != nil || len(r.tasks) == 0 {
		t.Fatal(err)
	}
	step, err := r.tasks[0].see(t.Context(), r, nil)
	if err != nil || step.State != Refused || !strings.Contains(step.Why, "one and the same") {
		t.Errorf("%+v, %v", step, err)
	}
}
