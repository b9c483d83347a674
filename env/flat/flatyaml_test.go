package flat_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
)

// TestFlatyamlIsADropIn runs the command line over the corpus.
func TestFlatyamlIsADropIn(t *testing.T) {
	files, err := filepath.Glob("testdata/flat/*.yml")
	if err != nil || len(files) < 90 {
		t.Fatalf("only %d documents in the corpus: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".yml")
		var out, errs bytes.Buffer
		key := strings.TrimRight(string(readFile(t, base+".key")), "\n")
		status := flat.Main([]string{key}, bytes.NewReader(readFile(t, file)), &out, &errs)
		if want, err := os.ReadFile(base + ".env"); err == nil {
			if diff := cmp.Diff(string(want), out.String()); diff != "" || status != 0 {
				t.Errorf("%s: status %d, %s\n%s", file, status, &errs, diff)
			}
		} else if status != 1 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "flatyaml: cannot ") {
			t.Errorf("%s: status %d, printed %q, said %q", file, status, &out, &errs)
		}
	}
}

func TestFlatyamlCommandLine(t *testing.T) {
	const data = "a: {b: x y, c: [1]}\nz: 1\n"
	file := filepath.Join(t.TempDir(), "env.yml")
	if err := os.WriteFile(file, []byte("a: {file: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		status int
		out    string
		errs   string
	}{
		{"options before", []string{"--prefix", "export ", "--postfix=;", "-combine", "__", "--assign", " = ", "a"}, 0,
			"export A__B = 'x y';\nexport A__C__0 = 1;\nexport A__C__LEN = 1;\n", ""},
		{"options behind", []string{"z,a", "--prefix", "-e "}, 0, "-e Z_=1\n-e A_B='x y'\n-e A_C_0=1\n-e A_C_LEN=1\n", ""},
		{"everything", []string{"."}, 0, "A_B='x y'\nA_C_0=1\nA_C_LEN=1\nZ=1\n", ""},
		{"a file", []string{"--file", file, "a"}, 0, "A_FILE=1\n", ""},
		{"a key that is not there", []string{"nope,z"}, 0, "Z_=1\n", "flatyaml: standard input: has no key \"nope\" at its top\n"},
		{"a key that begins with a hyphen", []string{"--", "-z"}, 0, "", "flatyaml: standard input: has no key \"-z\" at its top\n"},
		{"no such file", []string{"--file", file + "x", "a"}, 1, "", "flatyaml: cannot read the document: open " + file + "x: no such file or directory\n"},
		{"no key", nil, 2, "", "flatyaml: cannot read the command line: one KEY is needed, found 0\nTo do: see `flatyaml --help`.\n"},
		{"two keys", []string{"a", "z"}, 2, "", "flatyaml: cannot read the command line: one KEY is needed, found 2\nTo do: see `flatyaml --help`.\n"},
		{"no such option", []string{"a", "--format", "json"}, 2, "",
			"flatyaml: cannot read the command line: flag provided but not defined: -format\nTo do: see `flatyaml --help`.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			status := flat.Main(tt.args, strings.NewReader(data), &out, &errs)
			if status != tt.status {
				t.Errorf("status %d, not %d", status, tt.status)
			}
			if diff := cmp.Diff(tt.out, out.String()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.errs, errs.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlatyamlHelp(t *testing.T) {
	for _, option := range []string{"--help", "-h"} {
		var out, errs bytes.Buffer
		if status := flat.Main([]string{option}, nil, &out, &errs); status != 0 || errs.Len() > 0 {
			t.Errorf("%s: status %d, said %q", option, status, &errs)
		}
		for _, want := range []string{"--file", "--prefix", "--postfix", "--combine", "--assign", "Example: flatyaml", "Exit status"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not tell of %s", option, want)
			}
		}
	}
}

func TestFlatyamlTellsOfWhatCannotBeRead(t *testing.T) {
	var out, errs bytes.Buffer
	if status := flat.Main([]string{"a"}, iotest.ErrReader(errors.New("torn")), &out, &errs); status != 1 ||
		errs.String() != "flatyaml: cannot read standard input: torn\n" {
		t.Errorf("status %d, said %q", status, &errs)
	}
	errs.Reset()
	if status := flat.Main([]string{"a"}, strings.NewReader("a: {1: x}"), &out, &errs); status != 1 ||
		errs.String() != "flatyaml: cannot flatten: standard input:1:5: the key is a number, not text\nTo do: put the key in quotes.\n" {
		t.Errorf("status %d, said %q", status, &errs)
	}
}
