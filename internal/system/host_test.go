package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// The test binary is its own second process.
const (
	lockRoot  = "APPLIANCE_TEST_LOCK_ROOT"  // take the lock below this directory and say how that went
	killRoot  = "APPLIANCE_TEST_KILL_ROOT"  // write a file below this directory, killed before the effect of that number
	killPoint = "APPLIANCE_TEST_KILL_POINT" // the number, from 1
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(lockRoot) != "":
		_, err := New(Config{Root: os.Getenv(lockRoot)}).Lock("/run/lock")
		fmt.Println(errors.Is(err, ErrLocked), err)
	case os.Getenv(killRoot) != "":
		os.Exit(writeUntilKilled(os.Getenv(killRoot), os.Getenv(killPoint)))
	default:
		os.Exit(m.Run())
	}
}

// recorder counts effects and denies one of them.
type recorder struct {
	mu      sync.Mutex
	deny    int // number of the effect, from 1
	effects []Effect
}

var errDenied = errors.New("denied by the test")

func (r *recorder) observe(e Effect) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.effects = append(r.effects, e)
	if len(r.effects) == r.deny {
		return errDenied
	}
	return nil
}

func (r *recorder) ops() (ops []string) {
	for _, e := range r.effects {
		ops = append(ops, e.Op)
	}
	return ops
}

// everyPoint runs do on a fresh host once without and then once for each effect that it has, with that effect denied.
func everyPoint(t *testing.T, before func(*System), do func(*System) error, after func(t *testing.T, root string, err error)) {
	t.Helper()
	points := 1
	for deny := 0; deny < points+1; deny++ {
		root, rec := t.TempDir(), &recorder{}
		sys := New(Config{Root: root, Observe: rec.observe})
		before(sys)
		*rec = recorder{deny: deny}
		name := "all goes well"
		err := do(sys)
		switch {
		case deny == 0:
			points = len(rec.effects)
			if err != nil {
				t.Fatal(err)
			}
		default:
			name = fmt.Sprintf("%d of %d denied: %s", deny, points, rec.effects[deny-1].Op)
		}
		t.Run(name, func(t *testing.T) {
			if deny > 0 && !errors.Is(err, errDenied) {
				t.Errorf("the error is %v", err)
			}
			after(t, root, err)
		})
	}
}

// tree lists what is below root: files with mode and content, links with their targets.
func tree(t *testing.T, root string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%s %s", info.Mode(), rel)
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " = " + string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// withUmask holds for the whole process: such tests are not parallel.
func withUmask(t *testing.T, mask int) {
	t.Helper()
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}
