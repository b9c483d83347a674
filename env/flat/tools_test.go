package flat_test

import (
	"os"
	"os/exec"
	"testing"
)

// tool is the path of a program that judges what we write. Without it the test is skipped, unless all are required.
func tool(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unjudged(t, name+" of the Debian package "+debian+" is not installed")
	}
	return path
}

func unjudged(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("APPLIANCE_TOOLS") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}
