package storage

import (
	"strings"
	"testing"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

func TestVolumesThatCannotBeUsed(t *testing.T) {
	data := Volumes[0]
	disk := system.Mount{Point: "/data", Source: "/dev/vdb1", Type: "ext4"}
	root := system.Mount{Point: "/", Source: "/dev/vda1", Type: "ext4"}
	readOnly := system.Mount{Point: "/data", Source: "/dev/vdb1", Type: "ext4", ReadOnly: true}
	for _, test := range []struct {
		name        string
		found       Found
		wrong, todo string
		doubt       string
	}{
		{"in its place", Found{Volume: data, Required: true, Mounted: true, Mount: disk, Devices: []string{"/dev/vdb1"}}, "", "", ""},
		{"not asked for", Found{Volume: data, Mount: root}, "", "", ""},
		{"not asked for, and something else is there", Found{Volume: data, Mount: disk, Stranger: true}, "", "", ""},
		{"there is none", Found{Volume: data, Required: true, Mount: root},
			"cannot use /data: there is no file system labelled ecs-data", "appliance.storage.ignore.data: true", ""},
		{"not mounted", Found{Volume: data, Required: true, Mount: root, Devices: []string{"/dev/vdb1"}},
			"cannot use /data: the file system labelled ecs-data is not mounted there", "`mount /dev/vdb1 /data`", ""},
		{"two, none mounted", Found{Volume: data, Required: true, Mount: root, Devices: []string{"/dev/vdb1", "/dev/vdc1"}},
			"cannot use /data: /dev/vdb1 and /dev/vdc1 are all labelled ecs-data", "detach or relabel", "which of them the next boot takes"},
		{"two, one mounted", Found{Volume: data, Required: true, Mounted: true, Mount: disk, Devices: []string{"/dev/vdb1", "/dev/vdc1"}},
			"", "", "which of them the next boot takes"},
		{"another label", Found{Volume: data, Required: true, Stranger: true, Mount: disk},
			"cannot use /data: /dev/vdb1 is mounted there, which is not labelled ecs-data", "`e2label /dev/vdb1 ecs-data`", ""},
		{"read-only", Found{Volume: data, Required: true, Mounted: true, Mount: readOnly, Devices: []string{"/dev/vdb1"}},
			"cannot use /data: its file system (/dev/vdb1) is read-only", "remount,rw /data", ""},
		{"read-only, and not asked for", Found{Volume: data, Mount: system.Mount{Point: "/", Source: "/dev/vda1", ReadOnly: true}},
			"cannot use /data: its file system (/dev/vda1) is read-only", "remount,rw /`", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.found.Wrong()
			if (err == nil) != (test.wrong == "") || err != nil && (err.Error() != test.wrong || !strings.Contains(remedy.Of(err), test.todo)) {
				t.Errorf("it says %v (%s)", err, remedy.Of(err))
			}
			if doubt := test.found.Doubt(); !strings.Contains(doubt, test.doubt) || test.doubt == "" && doubt != "" {
				t.Errorf("it doubts %q", doubt)
			}
		})
	}
}
