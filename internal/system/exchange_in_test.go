package system

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Given away is what was seen, and nothing that has taken its place since or is reached by a link.
func TestGiveInGivesWhatWasSeen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give away")
	}
	const owner = 12345
	for _, test := range []struct {
		name string
		then func(dir, outside string) error
		want error
	}{
		{"the same", func(string, string) error { return nil }, nil},
		{"another file", func(dir, _ string) error {
			return errors.Join(os.Rename(dir+"/sub/file", dir+"/sub/was"), os.WriteFile(dir+"/sub/file", nil, 0o600))
		}, fs.ErrNotExist},
		{"a link", func(dir, outside string) error {
			return errors.Join(os.Remove(dir+"/sub/file"), os.Symlink(outside+"/file", dir+"/sub/file"))
		}, fs.ErrNotExist},
		{"another name of it", func(dir, _ string) error { return os.Link(dir+"/sub/file", dir+"/other") }, fs.ErrNotExist},
		{"gone", func(dir, _ string) error { return os.Remove(dir + "/sub/file") }, fs.ErrNotExist},
		{"by a link to a directory within", func(dir, _ string) error {
			return errors.Join(os.Rename(dir+"/sub", dir+"/was"), os.Symlink("was", dir+"/sub"))
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			dir, outside := filepath.Join(root, "dir"), filepath.Join(root, "outside")
			must(t, os.MkdirAll(dir+"/sub", 0o755), os.Mkdir(outside, 0o755), os.WriteFile(dir+"/sub/file", nil, 0o600), os.WriteFile(outside+"/file", nil, 0o600))
			seen, err := os.Lstat(dir + "/sub/file")
			must(t, err, test.then(dir, outside))
			if err := New(Config{Root: root}).GiveIn("/dir", "sub/file", seen, owner); !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
				t.Errorf("it says %v", err)
			}
			info, err := os.Stat(outside + "/file")
			must(t, err)
			if now, err := os.Stat(dir + "/sub/file"); err == nil && (now.Sys().(*syscall.Stat_t).Uid == owner) != (test.want == nil) || info.Sys().(*syscall.Stat_t).Uid == owner {
				t.Errorf("what is there now was given away: %v", test.want == nil)
			}
		})
	}
	root := t.TempDir()
	must(t, os.Mkdir(root+"/dir", 0o755), os.Mkdir(root+"/outside", 0o755), os.WriteFile(root+"/outside/file", nil, 0o600), os.Symlink("../outside", root+"/dir/sub"))
	sys := New(Config{Root: root})
	if err := sys.LinkIn("/dir", "sub/file", "/linked"); err == nil {
		t.Error("a file outside was linked")
	}
}
