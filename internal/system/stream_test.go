package system

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAStreamIsSeenWhenItIsWhole(t *testing.T) {
	dir := t.TempDir()
	s := New(Config{Root: dir})
	seen := func() string {
		data, err := os.ReadFile(filepath.Join(dir, "f"))
		if errors.Is(err, fs.ErrNotExist) {
			return "nothing"
		}
		return string(data)
	}
	for _, test := range []struct {
		name   string
		before string // "" is nothing
		end    func(*Stream) error
		want   string
		err    error
	}{
		{"new", "", (*Stream).Commit, "data", nil},
		{"given up", "", func(f *Stream) error { f.Abort(); return nil }, "nothing", nil},
		{"something is there", "old", (*Stream).Commit, "old", fs.ErrExist},
		{"in its place", "old", (*Stream).CommitOver, "data", nil},
		{"in the place of nothing", "", (*Stream).CommitOver, "data", nil},
	} {
		for _, named := range []bool{false, true} {
			_ = os.Remove(filepath.Join(dir, "f"))
			if test.before != "" {
				if err := os.WriteFile(filepath.Join(dir, "f"), []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := seen()
			f, err := s.Create("/f", 0o640)
			if err != nil {
				t.Fatal(err)
			}
			if named { // as on a file system that has no files without names
				f.named = f.temporary()
				if err := f.link(f.named); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.WriteString("data"); err != nil || seen() != before {
				t.Fatalf("%s: %q is seen before it is whole, %v", test.name, seen(), err)
			}
			if err := test.end(f); !errors.Is(err, test.err) || seen() != test.want {
				t.Errorf("%s: %q, %v", test.name, seen(), err)
			}
			if info, err := os.Stat(filepath.Join(dir, "f")); err == nil && test.want == "data" && info.Mode().Perm() != 0o640 {
				t.Errorf("%s: its mode is %s", test.name, info.Mode())
			}
			if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); len(hidden) > 0 {
				t.Errorf("%s: these are left: %q", test.name, hidden)
			}
		}
	}
}
