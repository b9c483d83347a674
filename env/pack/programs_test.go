package pack_test

import (
	"os"
	"os/exec"
	"testing"
)

// need skips the test where a program of the host is missing, unless APPLIANCE_TOOLS=require.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			lacks(t, err)
		}
	}
}

// lacks skips a test on a host that does not have what it needs, unless APPLIANCE_TOOLS=require: then it fails.
func lacks(t testing.TB, what any) {
	t.Helper()
	if os.Getenv("APPLIANCE_TOOLS") == "require" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

func save(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
