package storage

import (
	"testing"

	"appliance/internal/system"
)

func TestLevels(t *testing.T) {
	limits := Limits{Warn: 20, Hold: 10, Protect: 3}
	for _, test := range []struct {
		name   string
		free   uint64 // of 1000
		files  uint64 // of 1000; 0 is without a limit
		before Level
		want   Level
	}{
		{"empty", 1000, 1000, Ample, Ample},
		{"at the limit", 200, 900, Ample, Ample},
		{"below the first", 199, 900, Ample, Warn},
		{"below the second", 99, 900, Ample, Hold},
		{"below the third", 29, 900, Ample, Protect},
		{"full", 0, 900, Hold, Protect},
		{"a little better is not better", 39, 900, Protect, Protect},
		{"better", 40, 900, Protect, Hold},
		{"much better", 210, 900, Protect, Ample},
		{"a little worse is worse at once", 29, 900, Hold, Protect},
		{"files are scarce", 900, 50, Ample, Hold},
		{"files without a limit", 900, 0, Ample, Ample},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := system.Space{Size: 1000, Free: test.free, Files: test.files}
			if test.files > 0 {
				s.AllFiles = 1000
			}
			if got := limits.Level(s, test.before); got != test.want {
				t.Errorf("%s after %s is %s, not %s", Share(s), test.before, got, test.want)
			}
		})
	}
}

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234567: "1.2 MB", 20e9: "20.0 GB", 3e15: "3.0 PB", 5e18: "5000.0 PB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
	if got, want := Share(system.Space{Size: 1000, Free: 500, Files: 10, AllFiles: 1000}), "10 files (1.0 %)"; got != want {
		t.Errorf("scarce files are %q", got)
	}
	if got, want := Share(system.Space{Size: 1000, Free: 500, Files: 900, AllFiles: 1000}), "500 B (50.0 %)"; got != want {
		t.Errorf("it is %q", got)
	}
}
