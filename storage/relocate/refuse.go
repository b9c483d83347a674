package relocate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/storage"
)

// apartInTree refuses places of which one is in the other.
func (r *Relocator) apartInTree(m Move) error {
	from, err := r.System.RealPath(m.From)
	if err != nil {
		return err
	}
	to, err := r.realTarget(m.To)
	if err != nil {
		return err
	}
	if from == to || strings.HasPrefix(from, to+"/") || strings.HasPrefix(to, from+"/") {
		return fmt.Errorf("one of them is within the other")
	}
	return nil
}

// realTarget is where To lies without links on the way; directories on the way may still have to be made.
func (r *Relocator) realTarget(to string) (string, error) {
	above := r.existing(filepath.Dir(to))
	real, err := filepath.EvalSymlinks(r.System.Path(above))
	if err != nil {
		return "", fmt.Errorf("cannot look at %s: %w", above, err)
	}
	return filepath.Join(real, strings.TrimPrefix(to, above)), nil
}

// existing is the nearest directory at or above path that is there.
func (r *Relocator) existing(path string) string {
	for path != "/" {
		if info, err := r.System.Stat(path); err == nil && info.IsDir() {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

// oneFileSystem says whether From could be renamed to To.
func (r *Relocator) oneFileSystem(m Move) (bool, error) {
	from, err := r.System.Place(filepath.Dir(m.From))
	if err != nil {
		return false, err
	}
	to, err := r.System.Place(r.existing(filepath.Dir(m.To)))
	if err != nil {
		return false, err
	}
	return from.Device == to.Device && from.Mount == to.Mount, nil
}

// layered says whether a directory is merged of several layers of an overlay file system: such a one has a single link, and is
// not renamed by the kernel.
func (r *Relocator) layered(path string) (bool, error) {
	var on unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Statfs(r.System.Path(path), &on), unix.Lstat(r.System.Path(path), &st)); err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	return on.Type == unix.OVERLAYFS_SUPER_MAGIC && st.Nlink == 1, nil
}

func (r *Relocator) isEmpty(path string) (bool, error) {
	dir, err := os.Open(r.System.Path(path))
	if err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	return false, nil
}

// spare is what is asked of the target's file system, over what there is to copy: it may have larger blocks, and others fill it
// meanwhile. In percent.
const spare = 5

// fits refuses a copy that the target has no room for, with the numbers; and one of what could not be removed afterwards.
func (r *Relocator) fits(m Move, size measured) error {
	if err := size.removable(); err != nil {
		return err
	}
	at := r.existing(filepath.Dir(m.To))
	if err := r.writable(at); err != nil {
		return err
	}
	space, err := r.System.Space(at)
	if err != nil {
		return err
	}
	if begun, err := r.measure(copyOf(m)); err == nil { // of a try before
		space.Free += begun.Bytes
		space.Files += begun.Files
	}
	if need := size.Bytes + size.Bytes*spare/100; need > space.Free {
		return remedy.With(fmt.Errorf("%s needs %s there, and %s are free", m.From, storage.Bytes(need), storage.Bytes(space.Free)),
			fmt.Sprintf("free space on %s, or make it larger", at))
	}
	if need := size.Files + size.Files*spare/100; need > space.Files && space.Files > 0 { // some make them as they need them, and tell none
		return remedy.With(fmt.Errorf("%s needs %d files there, and no more than %d can be made", m.From, need, space.Files),
			fmt.Sprintf("take files away from %s, or make its file system with more inodes", at))
	}
	return nil
}

func (r *Relocator) writable(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(r.System.Path(path), &st); err != nil {
		return fmt.Errorf("cannot look at %s: %w", path, err)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return remedy.With(fmt.Errorf("%s is mounted for reading only", path), "see why (`dmesg`), and mount it for writing")
	}
	return nil
}
