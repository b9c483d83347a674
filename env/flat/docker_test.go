package flat_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
)

// TestDockerReadsWhatIsMeant gives an env file to a real container and looks at what its process gets.
func TestDockerReadsWhatIsMeant(t *testing.T) {
	image := emptyImage(t)
	program := filepath.Join(t.TempDir(), "printenv")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/printenv")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the program that prints its environment: %v\n%s", err, out)
	}
	run := func(envFile string) (map[string]string, error) {
		file := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(file, []byte(envFile), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network=none", "--env-file", file,
			"-v", program+":/printenv:ro", "--entrypoint", "/printenv", image).Output()
		return parseResults(string(out) + "end\x00")[0], err
	}
	base, err := run("")
	if err != nil {
		t.Fatal(err)
	}

	name := "A_LONG="
	want := map[string]string{"A_LONG": strings.Repeat("x", 64<<10-1-len(name))} // as long as a line can be
	var data strings.Builder
	fmt.Fprintf(&data, "a:\n  long: %s\n", want["A_LONG"])
	for i, value := range []string{"it's", `"x"`, "$HOME ${HOME}", "# no comment", "a #b", `back\slash\n`, "a=b", "=", "a  b\tc", "in\rside", "é日本\u2028\u0085x", "\x01\x7f\x1b", "", "--x", "`x`"} {
		fmt.Fprintf(&data, "  some-key.%d: %+q\n", i, value)
		want[fmt.Sprintf("A_SOME-KEY.%d", i)] = value
	}
	data.WriteString("  ü: 2001-12-14 21:59:43\n")
	want["A_Ü"] = "2001-12-14 21:59:43"
	file, err := printed([]byte(data.String()), "a", flat.Docker)
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(file)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(want, base)
	delete(want, "HOSTNAME") // each container has its own
	delete(got, "HOSTNAME")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := run(name + strings.Repeat("x", 64<<10-len(name)) + "\n"); err == nil {
		t.Error("docker reads longer lines than we write")
	}
}

// emptyImage makes an image with nothing in it, for as long as the test runs.
func emptyImage(t *testing.T) string {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		if os.Getenv("APPLIANCE_ENGINE") == "require" {
			t.Fatalf("no container engine answers: %v\n%s", err, out)
		}
		t.Skipf("no container engine answers: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "docker", "import", "-")
	cmd.Stdin = bytes.NewReader(make([]byte, 1024)) // the end of a tar archive, and nothing before it
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot make an image: %v", err)
	}
	id := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", id).CombinedOutput(); err != nil {
			t.Errorf("cannot remove the image: %v\n%s", err, out)
		}
	})
	return id
}
