package disc_test

import (
	"os"
	"os/exec"
	"testing"
)

// try runs a program of the host. Where it is missing the test is skipped, unless APPLIANCE_TOOLS=require.
func try(t testing.TB, argv ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		if os.Getenv("APPLIANCE_TOOLS") == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := try(t, argv...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return out
}
