package relocate

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Trees are walked by open directories and single names, never by paths: so no link leads out of them, names are what the
// kernel says, and a path may be of any length.

// errMounted says that something is mounted within a tree.
var errMounted = errors.New("something is mounted there")

// openDir opens a directory within another. A link, or a mount point, is refused.
func openDir(dir int, name string) (int, error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.6
		return openOnDevice(dir, name)
	}
	if errors.Is(err, unix.EXDEV) {
		err = errMounted
	}
	return fd, err
}

// openOnDevice opens a directory that is on the file system of the one it is in.
func openOnDevice(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var above, st unix.Stat_t
	if err = errors.Join(unix.Fstat(dir, &above), unix.Fstat(fd, &st)); err == nil && above.Dev != st.Dev {
		err = errMounted
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openTop opens the top of a tree.
func openTop(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// stat looks at a name in a directory.
func stat(dir int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// namesAtOnce is how many bytes of a directory's listing are held in memory.
const namesAtOnce = 32 << 10

// eachName calls do with every name in an open directory, from its beginning.
func eachName(dir int, do func(name string) error) error {
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return err
	}
	buf := make([]byte, namesAtOnce)
	var names []string
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n == 0 {
			return err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
	}
}

// inode tells files of a tree apart: subvolumes of btrfs, which are crossed like directories, count theirs each from the start.
type inode struct{ device, number uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} } //nolint:unconvert // it is shorter on other machines

// isKind says whether what was looked at is of a kind, one of unix.S_IF*.
func isKind(st *unix.Stat_t, kind uint32) bool { return st.Mode&unix.S_IFMT == kind }

// Measure tells how much a move has to do.
func (r *Relocator) Measure(m Move) (Size, error) {
	found, err := r.measure(m.From)
	return found.Size, err
}

// measured is what is at a place.
type measured struct {
	Size
	fixed   string // the first that nobody may remove
	project string // the first directory with a quota of its own
}

// measure counts what is at a place. What has several names counts once.
func (r *Relocator) measure(path string) (measured, error) {
	top, err := openTop(r.System.Path(path))
	if err != nil {
		return measured{}, fmt.Errorf("cannot measure %s: %w", path, err)
	}
	defer unix.Close(top)
	st, err := stat(top, ".")
	if err != nil {
		return measured{}, fmt.Errorf("cannot measure %s: %w", path, err)
	}
	m := measuring{seen: map[inode]bool{}}
	m.count(&st)
	m.look(top, ".", path)
	err = m.directory(top, path)
	return m.measured, err
}

type measuring struct {
	measured
	seen map[inode]bool // of more than one name
}

func (m *measuring) count(st *unix.Stat_t) {
	if st.Nlink > 1 && !isKind(st, unix.S_IFDIR) {
		if m.seen[inodeOf(st)] {
			return
		}
		m.seen[inodeOf(st)] = true
	}
	m.Files++
	m.Bytes += uint64(st.Blocks) * 512
}

// look notes what is out of the ordinary with an entry.
func (m *measuring) look(dir int, name, path string) {
	if m.fixed == "" && fixed(dir, name) {
		m.fixed = path
	}
}

func (m *measuring) directory(dir int, path string) error {
	if m.project == "" && inProject(dir) {
		m.project = path
	}
	return eachName(dir, func(name string) error {
		at := filepath.Join(path, name)
		st, err := stat(dir, name)
		if errors.Is(err, unix.ENOENT) {
			return nil // who uses it may still be at work
		}
		if err != nil {
			return fmt.Errorf("cannot measure %s: %w", at, err)
		}
		m.count(&st)
		m.look(dir, name, at)
		if !isKind(&st, unix.S_IFDIR) {
			return nil
		}
		fd, err := openDir(dir, name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, errMounted) { // that is looked at when nobody uses it any more
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot measure %s: %w", at, err)
		}
		defer unix.Close(fd)
		return m.directory(fd, at)
	})
}

// fingerprint is a sum over the entries of a tree, whatever their order, that another tree, or the same after a change, does not have.
type fingerprint struct {
	seed maphash.Seed
	sum  uint64
}

// trait is what of an entry changes when somebody changes it.
type trait struct {
	path                               string
	inode, size, nlink, rdev           uint64
	mode, uid, gid                     uint32
	mtime, mtimeNano, ctime, ctimeNano int64
}

func (f *fingerprint) add(path string, st *unix.Stat_t) {
	f.sum += maphash.Comparable(f.seed, trait{path, st.Ino, uint64(st.Size), uint64(st.Nlink), st.Rdev, st.Mode, st.Uid, st.Gid,
		st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec}) // that it may overflow does not matter
}

// directory adds all that is in an open directory. The path is of that, below the top.
func (f *fingerprint) directory(ctx context.Context, dir int, path string) error {
	return eachName(dir, func(name string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := filepath.Join(path, name)
		st, err := stat(dir, name)
		if err != nil {
			return fmt.Errorf("cannot look at %s: %w", at, err)
		}
		f.add(at, &st)
		if !isKind(&st, unix.S_IFDIR) {
			return nil
		}
		fd, err := openDir(dir, name)
		if err != nil {
			return fmt.Errorf("cannot look at %s: %w", at, err)
		}
		defer unix.Close(fd)
		return f.directory(ctx, fd, at)
	})
}
