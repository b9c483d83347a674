package pack_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"appliance/env/pack"
)

// Nothing clear ever lies on a disk: the kernel is asked what a process that packages and recovers opens for writing.
func TestNothingTouchesADisk(t *testing.T) {
	if os.Getenv("PACK_IN_MEMORY") != "" {
		packageAndRecover(t)
		return
	}
	need(t, "strace")
	log := filepath.Join(t.TempDir(), "calls")
	out := run(t, "strace", "-f", "-qq", "-o", log, "-e", "trace=file", "env", "PACK_IN_MEMORY=1", "TMPDIR=/nonexistent",
		os.Args[0], "-test.run=^TestNothingTouchesADisk$", "-test.v")
	if !strings.Contains(out, "--- PASS: TestNothingTouchesADisk") {
		t.Fatalf("the traced process did not do its work:\n%s", out)
	}
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(calls), "execve(") {
		t.Fatalf("nothing was traced:\n%s", calls)
	}
	writes := regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE| (creat|rename|mkdir|mknod|link|symlink)(at2?)?\(`)
	for call := range strings.Lines(string(calls)) {
		if writes.MatchString(call) && !strings.Contains(call, `"/dev/null"`) {
			t.Error(call)
		}
	}
}

func packageAndRecover(t *testing.T) {
	vault := newKey(t, "vault", 0)
	outputs := packaged(t, order(file("k", public(t, vault))))
	var inputs []pack.Input
	for name, o := range outputs {
		inputs = append(inputs, file(name, o.Data))
	}
	found, err := pack.Recover(inputs, pack.Keys{Secret: []pack.Input{file("s", secret(t, vault))}})
	if err != nil || len(found.Origins) != 3 || string(found.Document) != document {
		t.Errorf("%q from %v, %v", found.Document, found.Origins, err)
	}
}
