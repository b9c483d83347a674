package storage

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of the manual")

// The operators' manual has the table of places as it is here.
func TestManual(t *testing.T) {
	const manual, begin, end = "../docs/operator.md", "<!-- places: storage/layout.go says what stands here -->\n", "<!-- /places -->\n"
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(data, []byte(begin))
	table, after, whole := bytes.Cut(rest, []byte(end))
	if !found || !whole {
		t.Fatalf("%s has no place for the table", manual)
	}
	want := placesTable()
	if *update {
		if err := os.WriteFile(manual, bytes.Join([][]byte{before, []byte(begin + want + end), after}, nil), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(table)); diff != "" {
		t.Errorf("%s is not what the table says, -update writes it:\n%s", manual, diff)
	}
}

func placesTable() string {
	var b strings.Builder
	b.WriteString("| place | found at | mode, owner | for |\n|---|---|---|---|\n")
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	for _, p := range Places {
		how := fmt.Sprintf("%04o root", p.Perm)
		switch {
		case p.Moved():
			how = "as the service made it; moved where the volume is a file system of its own"
		case p.Owner == Apps:
			how = fmt.Sprintf("%04o application", p.Perm)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(p.Path), code(p.Link), how, p.For)
	}
	return b.String()
}
