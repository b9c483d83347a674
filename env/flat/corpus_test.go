package flat_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
	"appliance/env/yaml11"
)

// flattened does what the predecessor's program does with a document and its KEY argument.
func flattened(data []byte, key string) (string, error) {
	doc, err := yaml11.Parse("stdin", data)
	if err != nil {
		return "", err
	}
	vars, err := flat.Flatten(doc.Top, "_", strings.Split(key, ",")...)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = flat.WriteShell(&out, vars)
	return out.String(), err
}

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
