package flat_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
)

// generator has systemd's parser of environment files in it, and runs without systemd.
const generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"

// TestSystemdReadsWhatIsMeant lets systemd's own parser read what we write for EnvironmentFile=. Unlike a unit, the
// generator then replaces $NAME, and prints what it has found in quotes of its own; it drops empty values.
func TestSystemdReadsWhatIsMeant(t *testing.T) {
	if _, err := os.Stat(generator); err != nil {
		unjudged(t, generator+" of the Debian package systemd is not installed")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "environment.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	values := []string{"plain", "two words", " # no comment", "; neither", "it's", `"x"`, `\`, `\\`, `\n`, `back\slash`, "`x`", "$HOME", "${HOME}", "$$", "a=b", "several\nlines\n\nof it",
		"a line\\\ncontinued", "100% %n %%", "é日本", `mixed '"\$` + "`", "-x"}
	var data strings.Builder
	data.WriteString("a:\n")
	want := map[string]string{}
	for i, value := range values {
		fmt.Fprintf(&data, "  v%d: %+q\n", i, strings.ReplaceAll(value, "$", "$$")) // $$ is a $ to the generator
		want[fmt.Sprintf("A_V%d", i)] = strings.TrimSpace(value)
	}
	file, err := printed([]byte(data.String()), "a", flat.Systemd)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "environment.d", "a.conf"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), generator)
	cmd.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "LANG=C.UTF-8"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, &stderr)
	}
	got := parseGenerated(string(out))
	for name := range got {
		if !strings.HasPrefix(name, "A_") { // of the host
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// parseGenerated reads lines of NAME=plain and NAME="with \" escapes of C".
func parseGenerated(out string) map[string]string {
	found, unescaped := map[string]string{}, strings.NewReplacer("n", "\n", "t", "\t")
	for out != "" {
		name, rest, _ := strings.Cut(out, "=")
		quoted := strings.HasPrefix(rest, `"`)
		rest = strings.TrimPrefix(rest, `"`)
		var value strings.Builder
		i := 0
		for ; i < len(rest) && (quoted && rest[i] != '"' || !quoted && rest[i] != '\n'); i++ {
			if quoted && rest[i] == '\\' {
				i++
				value.WriteString(unescaped.Replace(rest[i : i+1]))
				continue
			}
			value.WriteByte(rest[i])
		}
		found[name] = value.String()
		_, out, _ = strings.Cut(rest[i:], "\n")
	}
	return found
}
