package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNoExchange says that a file system cannot let two names change places.
var ErrNoExchange = errors.New("the file system cannot exchange two names in one step")

// Exchange lets what is at two paths of one file system change places, durably. Whoever looks finds both as they were or both
// exchanged, after a power cut too. It answers ErrNoExchange, and has changed nothing, where the file system or the kernel
// does not know how.
func (s *System) Exchange(a, b string) error {
	if err := s.Observe("exchange", a+" and "+b); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, s.Path(a), unix.AT_FDCWD, s.Path(b), unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		err = ErrNoExchange
	}
	if err != nil {
		return fmt.Errorf("cannot exchange %s and %s: %w", a, b, err)
	}
	return s.SyncDirs(filepath.Dir(a), filepath.Dir(b))
}

// SyncDirs makes durable which names are in the directories at paths.
func (s *System) SyncDirs(paths ...string) error {
	done := map[string]bool{}
	for _, path := range paths {
		if done[path] {
			continue
		}
		done[path] = true
		if err := s.syncDir(path); err != nil {
			return err
		}
	}
	return nil
}

// What follows is for directories that somebody else may write to, at the same time as we look: links there lead us nowhere else.

// LinkIn gives the file or link at name below the directory dir a second name, the path to, durably.
func (s *System) LinkIn(dir, name, to string) error {
	err := s.Observe("link", to)
	if err == nil {
		err = s.parentIn(dir, name, func(parent int, base string) error { return unix.Linkat(parent, base, unix.AT_FDCWD, s.Path(to), 0) })
	}
	if err != nil {
		return fmt.Errorf("cannot link %s to %s: %w", to, filepath.Join(dir, name), err)
	}
	return s.syncDir(filepath.Dir(to))
}

// GiveIn sets the numeric owner, user and group, of what is at name below the directory dir: of the very thing that was seen there, and
// which has as many names as then. For anything else it answers fs.ErrNotExist.
func (s *System) GiveIn(dir, name string, seen fs.FileInfo, owner int) error {
	place := filepath.Join(dir, name)
	err := s.Observe("chown", place)
	if err == nil {
		err = s.parentIn(dir, name, func(parent int, base string) error { return giveAt(parent, base, seen, owner) })
	}
	if err != nil {
		return fmt.Errorf("cannot set the owner of %s: %w", place, err)
	}
	return nil
}

func giveAt(parent int, base string, seen fs.FileInfo, owner int) error {
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return err
	}
	if was := seen.Sys().(*syscall.Stat_t); now.Dev != was.Dev || now.Ino != was.Ino || now.Mode != was.Mode || now.Nlink != was.Nlink { // numbers are given out again
		return fs.ErrNotExist
	}
	return unix.Fchownat(fd, "", owner, owner, unix.AT_EMPTY_PATH)
}

// parentIn opens the directory below dir in which name is, and nothing outside of dir.
func (s *System) parentIn(dir, name string, do func(parent int, base string) error) error {
	root, err := os.OpenRoot(s.Path(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	parent, err := root.OpenFile(filepath.Dir(name), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer parent.Close()
	return do(int(parent.Fd()), filepath.Base(name))
}

// RemoveTree takes away what is at path and all below it, and follows no links; nothing there is no error. What a cut leaves of it can be
// removed again.
func (s *System) RemoveTree(path string) error {
	if !s.Exists(path) {
		return nil
	}
	if err := s.Observe("remove", path); err != nil {
		return err
	}
	if err := os.RemoveAll(s.Path(path)); err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return s.syncDir(filepath.Dir(path))
}
