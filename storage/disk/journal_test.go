package disk

import (
	"strings"
	"testing"

	"appliance/internal/remedy"
)

func TestADeviceIsKnownAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b identity
		is   bool
	}{
		{"by its serial number", identity{Path: "/dev/vdb", Serial: "S1", Size: 9}, identity{Path: "/dev/vdc", Serial: "S1", Size: 9}, true},
		{"by a partition's UUID", identity{PartUUID: "p", Size: 9}, identity{PartUUID: "p", Size: 9}, true},
		{"not by name and size", identity{Path: "/dev/vdb", Size: 9}, identity{Path: "/dev/vdb", Size: 9}, false},
		{"not with another serial number", identity{Path: "/dev/vdb", Serial: "S1", Size: 9}, identity{Path: "/dev/vdb", Serial: "S2", Size: 9}, false},
		{"not with another size", identity{Serial: "S1", Size: 9}, identity{Serial: "S1", Size: 10}, false},
		{"not where only one has a serial number", identity{Serial: "S1", WWN: "w", Size: 9}, identity{WWN: "w", Size: 9}, false},
		{"not as a disk that became a partition", identity{Serial: "S1", Size: 9}, identity{PartUUID: "p", Size: 9}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.a.is(test.b) != test.is || test.b.is(test.a) != test.is {
				t.Errorf("%+v is %+v: %v", test.a, test.b, test.a.is(test.b))
			}
		})
	}
}

func TestAJournalThatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{"damaged": "{", "of a newer program": `{"version": 2}`} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			must(t, b.sys.WriteFile(journalPath, []byte(content), 0o600))
			_, err := openJournal(b.sys)
			if err == nil || !strings.HasPrefix(err.Error(), "cannot read the journal of volumes: ") || remedy.Of(err) == "" {
				t.Errorf("it says %v (%s)", err, remedy.Of(err))
			}
		})
	}
}
