package system

import (
	"io"
	"os"
	"testing"
)

func TestAChildHasTheUserAndGroupItIsGiven(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may choose the user of a child")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child, err := New(Config{Root: t.TempDir()}).Spawn(Child{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $(id -u) $(id -G)"},
		Env: []string{"PATH=/usr/bin:/bin"}, Files: []*os.File{nil, w}, Owner: 65534, Group: 54321})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(r)
	if string(said) != "65534 54321\n" || err != nil {
		t.Errorf("it says %q, %v", said, err)
	}
	if state, err := child.Wait(); err != nil || !state.Success() {
		t.Error(state, err)
	}
}
