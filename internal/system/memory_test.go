package system_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"appliance/internal/system"
)

// residentFile is how much of mapped files is in memory, in kB.
func residentFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Skip("this kernel does not tell RssFile")
	return 0
}

func TestFreeMemory(t *testing.T) {
	before := residentFile(t)
	if err := system.FreeMemory(); err != nil {
		t.Fatal(err)
	}
	if after := residentFile(t); after > before*3/4 {
		t.Errorf("%d kB of the program are in memory, %d before", after, before)
	}
}
