package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestModesAreExactWhateverTheUmaskIs(t *testing.T) {
	for _, mask := range []int{0o000, 0o022, 0o077, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			withUmask(t, mask)
			root := t.TempDir()
			must(t, os.Chmod(root, 0o755))
			sys := New(Config{Root: root})
			must(t,
				sys.WriteFile("/a/secret", []byte("s"), 0o600),
				sys.WriteFile("/a/open", []byte("o"), 0o644),
				sys.WriteFile("/a/all", nil, 0o666),
				sys.Mkdir("/b/c/closed", 0o700),
				sys.Mkdir("/b/open", 0o777),
				sys.MakeDir("/b/made", 0o750, -1),
			)
			want := []string{"-rw------- a/secret = s", "-rw-r--r-- a/open = o", "-rw-rw-rw- a/all = ", "drwx------ b/c/closed", "drwxr-x--- b/made",
				"drwxr-xr-x a", "drwxr-xr-x b", "drwxr-xr-x b/c", "drwxrwxrwx b/open"}
			if diff := cmp.Diff(want, tree(t, root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteFileIsOldOrNew(t *testing.T) {
	everyPoint(t,
		func(sys *System) { must(t, sys.WriteFile("/etc/conf", []byte("old"), 0o644)) },
		func(sys *System) error { return sys.WriteFile("/etc/conf", []byte("new"), 0o600) },
		func(t *testing.T, root string, err error) {
			old, fresh := []string{"-rw-r--r-- etc/conf = old", "drwxr-xr-x etc"}, []string{"-rw------- etc/conf = new", "drwxr-xr-x etc"}
			got := tree(t, root)
			if err == nil && !cmp.Equal(got, fresh) || !cmp.Equal(got, old) && !cmp.Equal(got, fresh) {
				t.Errorf("the host holds %q", got)
			}
		})
}

func TestWriteFileOnNothingIsNothingOrAll(t *testing.T) {
	everyPoint(t,
		func(*System) {},
		func(sys *System) error { return sys.WriteFile("/etc/app/conf", []byte("new"), 0o600) },
		func(t *testing.T, root string, err error) {
			files := slices.DeleteFunc(tree(t, root), func(line string) bool { return line[0] == 'd' })
			if err == nil && len(files) != 1 || len(files) > 0 && !cmp.Equal(files, []string{"-rw------- etc/app/conf = new"}) {
				t.Errorf("the host holds %q", files)
			}
		})
}

func writeUntilKilled(root, point string) int {
	at, _ := strconv.Atoi(point)
	n := 0
	sys := New(Config{Root: root, Observe: func(Effect) error {
		if n++; n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}})
	if err := sys.WriteFile("/etc/conf", []byte("new"), 0o600); err != nil {
		return 1
	}
	return 0
}

// A process that is killed leaves the old file or the new one, and what else it leaves goes with the next write.
func TestWriteFileKilledAnywhere(t *testing.T) {
	rec := &recorder{}
	must(t, New(Config{Root: t.TempDir(), Observe: rec.observe}).WriteFile("/etc/conf", nil, 0o600))
	var kills int
	for point := 1; point <= len(rec.effects); point++ {
		root := t.TempDir()
		sys := New(Config{Root: root})
		must(t, sys.WriteFile("/etc/conf", []byte("old"), 0o644), sys.WriteFile("/etc/conf.d", []byte("another's"), 0o644))
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), killRoot+"="+root, fmt.Sprint(killPoint, "=", point))
		if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("point %d: %v", point, err)
		} else if err != nil {
			kills++
		}
		data, err := sys.ReadFile("/etc/conf")
		must(t, err)
		if text := string(data); text != "old" && text != "new" {
			t.Errorf("point %d: the file holds %q", point, text)
		}
		must(t, sys.WriteFile("/etc/conf", []byte("next"), 0o600))
		if diff := cmp.Diff([]string{"-rw------- etc/conf = next", "-rw-r--r-- etc/conf.d = another's", "drwxr-xr-x etc"}, tree(t, root)); diff != "" {
			t.Errorf("point %d: after the next write (-want +got):\n%s", point, diff)
		}
	}
	if kills < 3 { // write, rename, syncdir
		t.Errorf("only %d processes were killed", kills)
	}
}

func TestWriteFileOntoADirectoryLeavesNothingBehind(t *testing.T) {
	root := t.TempDir()
	sys := New(Config{Root: root})
	must(t, sys.Mkdir("/conf", 0o755))
	if err := sys.WriteFile("/conf", []byte("x"), 0o600); err == nil || !strings.HasPrefix(err.Error(), "cannot write /conf: ") {
		t.Errorf("the error is %v", err)
	}
	if diff := cmp.Diff([]string{"drwxr-xr-x conf"}, tree(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMkdir(t *testing.T) {
	t.Run("again changes nothing", func(t *testing.T) {
		rec := &recorder{}
		sys := New(Config{Root: t.TempDir(), Observe: rec.observe})
		must(t, sys.Mkdir("/a/b", 0o700))
		done := len(rec.effects)
		must(t, sys.Mkdir("/a/b", 0o755))
		if len(rec.effects) != done {
			t.Errorf("effects of the second time: %v", rec.effects[done:])
		}
	})
	t.Run("a file in its place", func(t *testing.T) {
		sys := New(Config{Root: t.TempDir()})
		must(t, sys.WriteFile("/a", nil, 0o600))
		for _, path := range []string{"/a", "/a/b"} {
			if err := sys.Mkdir(path, 0o755); err == nil || !strings.Contains(err.Error(), "cannot make directory /a: something else is there") {
				t.Errorf("Mkdir(%s) = %v", path, err)
			}
		}
	})
}

func TestMakeDirIsSeenOnlyAsItShouldBe(t *testing.T) {
	owner := -1
	if os.Geteuid() == 0 {
		owner = 1000
	}
	wanted := func(t *testing.T, root string) bool {
		t.Helper()
		info, err := os.Lstat(filepath.Join(root, "data/vault"))
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		must(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != fs.ModeDir|0o750 || owner >= 0 && (stat.Uid != 1000 || stat.Gid != 1000) {
			t.Errorf("it is seen as %s of %d:%d", info.Mode(), stat.Uid, stat.Gid)
		}
		return true
	}
	everyPoint(t,
		func(sys *System) { must(t, sys.Mkdir("/data", 0o755)) },
		func(sys *System) error { return sys.MakeDir("/data/vault", 0o750, owner) },
		func(t *testing.T, root string, err error) {
			if !wanted(t, root) {
				if err == nil {
					t.Fatal("it is not there")
				}
				must(t, New(Config{Root: root}).MakeDir("/data/vault", 0o750, owner))
			}
			if !wanted(t, root) || len(tree(t, root)) != 2 {
				t.Errorf("after the next try the host holds %q", tree(t, root))
			}
		})
}

func TestMakeDirNeverReplacesData(t *testing.T) {
	root := t.TempDir()
	sys := New(Config{Root: root})
	must(t, sys.WriteFile("/data/vault/key", []byte("k"), 0o600))
	if err := sys.MakeDir("/data/vault", 0o700, -1); err == nil {
		t.Error("it says that it made a directory that holds data")
	}
	if data, err := sys.ReadFile("/data/vault/key"); err != nil || string(data) != "k" {
		t.Errorf("the key is %q, %v", data, err)
	}
}

func TestSymlink(t *testing.T) {
	t.Run("replaced in one step", func(t *testing.T) {
		everyPoint(t,
			func(sys *System) { must(t, sys.Symlink("/old", "/app/etc")) },
			func(sys *System) error { return sys.Symlink("/new", "/app/etc") },
			func(t *testing.T, root string, err error) {
				got := tree(t, root)
				old, fresh := []string{"Lrwxrwxrwx app/etc -> /old", "drwxr-xr-x app"}, []string{"Lrwxrwxrwx app/etc -> /new", "drwxr-xr-x app"}
				if err == nil && !cmp.Equal(got, fresh) || !cmp.Equal(got, old) && !cmp.Equal(got, fresh) {
					t.Errorf("the host holds %q", got)
				}
			})
	})
	t.Run("not over a directory", func(t *testing.T) {
		root := t.TempDir()
		sys := New(Config{Root: root})
		must(t, sys.WriteFile("/app/etc/mine", nil, 0o600))
		if err := sys.Symlink("/data/etc", "/app/etc"); err == nil {
			t.Error("it says that it replaced a directory")
		}
		if diff := cmp.Diff([]string{"-rw------- app/etc/mine = ", "drwxr-xr-x app", "drwxr-xr-x app/etc"}, tree(t, root)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestRename(t *testing.T) {
	rec := &recorder{}
	root := t.TempDir()
	sys := New(Config{Root: root, Observe: rec.observe})
	must(t, sys.WriteFile("/a/f", []byte("x"), 0o600), sys.Mkdir("/b", 0o755))
	rec.effects = nil
	must(t, sys.Rename("/a/f", "/b/g"))
	want := []Effect{{"rename", "/a/f to /b/g"}, {"syncdir", "/b"}, {"syncdir", "/a"}}
	if diff := cmp.Diff(want, rec.effects); diff != "" {
		t.Errorf("a rename that is not durable on both sides (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"-rw------- b/g = x", "drwxr-xr-x a", "drwxr-xr-x b"}, tree(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := sys.Rename("/a/f", "/b/h"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "cannot move /a/f to /b/h: ") {
		t.Errorf("of nothing: %v", err)
	}
}

func TestRemove(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(*System) error
		fail bool
		ops  []string
	}{
		{"nothing there", func(*System) error { return nil }, false, nil},
		{"a file", func(s *System) error { return s.WriteFile("/x", nil, 0o600) }, false, []string{"remove", "syncdir"}},
		{"an empty directory", func(s *System) error { return s.Mkdir("/x", 0o755) }, false, []string{"remove", "syncdir"}},
		{"a link that leads nowhere", func(s *System) error { return s.Symlink("/nowhere", "/x") }, false, []string{"remove", "syncdir"}},
		{"a directory with data", func(s *System) error { return s.WriteFile("/x/data", nil, 0o600) }, true, []string{"remove"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := &recorder{}
			sys := New(Config{Root: t.TempDir(), Observe: rec.observe})
			must(t, test.make(sys))
			rec.effects = nil
			err := sys.Remove("/x")
			if (err != nil) != test.fail || sys.Exists("/x") != test.fail {
				t.Errorf("Remove = %v, there is still something: %v", err, sys.Exists("/x"))
			}
			if diff := cmp.Diff(test.ops, rec.ops()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChmodOnlyWhereItDiffers(t *testing.T) {
	rec := &recorder{}
	sys := New(Config{Root: t.TempDir(), Observe: rec.observe})
	must(t, sys.WriteFile("/x", nil, 0o644))
	rec.effects = nil
	must(t, sys.Chmod("/x", 0o600), sys.Chmod("/x", 0o600))
	if diff := cmp.Diff([]Effect{{"chmod", "/x"}}, rec.effects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := sys.Chmod("/y", 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestChownAndOwner(t *testing.T) {
	sys := New(Config{Root: t.TempDir()})
	must(t, sys.WriteFile("/x", nil, 0o600))
	if os.Geteuid() == 0 {
		must(t, sys.Chown("/x", 1000, 1001), sys.Chown("/x", -1, 1002))
		if uid, gid, err := sys.Owner("/x"); uid != 1000 || gid != 1002 || err != nil {
			t.Errorf("owner is %d:%d, %v", uid, gid, err)
		}
	}
	if _, _, err := sys.Owner("/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}
