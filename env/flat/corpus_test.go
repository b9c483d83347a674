package flat_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
	"appliance/env/yaml11"
)

func options(format string) flat.Options {
	return flat.Options{Format: format, Combine: "_", Assign: "="}
}

// printed is what a document and a KEY argument come to in a format.
func printed(data []byte, key, format string) (string, error) {
	doc, err := yaml11.Parse("stdin", data)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = flat.Print(&out, doc, strings.Split(key, ","), options(format))
	return out.String(), err
}

// flattened does what the predecessor's program does with a document and its KEY argument.
func flattened(data []byte, key string) (string, error) { return printed(data, key, flat.Compat) }

func TestFlattenAsThePredecessor(t *testing.T) {
	files, err := filepath.Glob("testdata/flat/*.yml")
	if err != nil || len(files) < 90 {
		t.Fatalf("only %d documents in the corpus: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".yml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			data := readFile(t, file)
			got, err := flattened(data, strings.TrimRight(string(readFile(t, base+".key")), "\n"))
			if _, fails := os.Stat(base + ".fails"); fails == nil {
				if err == nil {
					t.Fatalf("flattened what the predecessor refused:\n%s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(readFile(t, base+".env")), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestShellIsThePredecessorWhereItIsSafe: for a shell we write other bytes only where it would misread the predecessor's.
func TestShellIsThePredecessorWhereItIsSafe(t *testing.T) {
	other := map[string]string{} // documents whose output differs, and why
	files, err := filepath.Glob("testdata/flat/*.env")
	if err != nil || len(files) < 80 {
		t.Fatalf("only %d documents in the corpus: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".env")
		want := string(readFile(t, file))
		doc, err := yaml11.Parse("stdin", readFile(t, base+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		keys := strings.Split(strings.TrimRight(string(readFile(t, base+".key")), "\n"), ",")
		notes, err := flat.Print(&out, doc, keys, options(flat.Shell))
		quoted := slices.ContainsFunc(notes, func(p yaml11.Problem) bool { return strings.Contains(p.Message, "is quoted") })
		switch name := filepath.Base(base); {
		case err != nil:
			other[name] = "refused"
		case quoted:
			other[name] = "quoted"
		case out.String() != want:
			t.Errorf("%s: %s", name, cmp.Diff(want, out.String()))
		}
	}
	want := map[string]string{"binary": "quoted", "case": "refused", "collide": "refused", "yaml11_bools": "refused"}
	if diff := cmp.Diff(want, other); diff != "" {
		t.Error(diff)
	}
}
