package system

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stream is a file that is being written and has no name yet: a process that is killed leaves nothing of it behind.
type Stream struct {
	*os.File
	system *System
	path   string
	perm   fs.FileMode
	named  string // on file systems where a file must have a name, what it is called meanwhile
}

// Create begins a file that is to be at path, with exactly the mode perm. The directory must be there. Nobody sees it before
// Commit or CommitOver; Abort gives it up.
func (s *System) Create(path string, perm fs.FileMode) (*Stream, error) {
	if err := s.Observe("write", path); err != nil {
		return nil, err
	}
	name := s.Path(path)
	stream := &Stream{system: s, path: path, perm: perm}
	var err error
	stream.File, err = os.OpenFile(filepath.Dir(name), unix.O_TMPFILE|os.O_WRONLY, perm)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // vfat, NFS
		stream.named = stream.temporary()
		stream.File, err = os.OpenFile(s.Path(stream.named), os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return stream, nil
}

func (f *Stream) temporary() string {
	return filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+"."+rand.Text()[:12])
}

// Commit gives the file its name, durably. It answers fs.ErrExist where something of that name is there by now.
func (f *Stream) Commit() error { return f.commit(false) }

// CommitOver gives the file its name as Commit does, in the place of a file that has it.
func (f *Stream) CommitOver() error { return f.commit(true) }

func (f *Stream) commit(over bool) error {
	defer f.Abort()
	err := errors.Join(f.Chmod(f.perm), f.Sync())
	if f.named != "" && errors.Is(err, unix.EPERM) { // these file systems may not know permissions
		err = f.Sync()
	}
	if err == nil {
		err = f.system.Observe("link", f.path)
	}
	if err == nil && over && f.named == "" {
		named := f.temporary()
		if err = f.link(named); err == nil {
			f.named = named
		}
	}
	switch {
	case err != nil:
	case over:
		if err = os.Rename(f.system.Path(f.named), f.system.Path(f.path)); err == nil {
			f.named = ""
		}
	case f.named != "":
		err = unix.Renameat2(unix.AT_FDCWD, f.system.Path(f.named), unix.AT_FDCWD, f.system.Path(f.path), unix.RENAME_NOREPLACE)
		if err == nil {
			f.named = ""
		}
	default:
		err = f.link(f.path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", f.path, err)
	}
	return f.system.syncDir(filepath.Dir(f.path))
}

func (f *Stream) link(to string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, f.system.Path(to), unix.AT_SYMLINK_FOLLOW)
}

// Abort gives the file up, unless it has its name.
func (f *Stream) Abort() {
	_ = f.Close()
	if f.named != "" {
		_ = os.Remove(f.system.Path(f.named)) // nobody has seen it
		f.named = ""
	}
}
