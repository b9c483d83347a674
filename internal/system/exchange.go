package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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

// SyncAll makes durable all that was written to the file system that path lies on.
func (s *System) SyncAll(path string) error {
	if err := s.Observe("syncfs", path); err != nil {
		return err
	}
	fd, err := unix.Open(s.Path(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot sync the file system of %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("cannot sync the file system of %s: %w", path, err)
	}
	return nil
}

// What follows is for directories that somebody else may write to, whose links must lead us nowhere else.

// LinkIn gives the file or link at from a second name, durably. Both are names below the directory dir, and nothing outside of it is reached.
func (s *System) LinkIn(dir, from, to string) error {
	place := filepath.Join(dir, to)
	err := s.Observe("link", place)
	if err == nil {
		err = s.within(dir, func(root *os.Root) error { return root.Link(from, to) })
	}
	if err != nil {
		return fmt.Errorf("cannot link %s to %s: %w", place, from, err)
	}
	return s.syncDir(filepath.Dir(place))
}

// LchownIn sets the numeric owner of what is at name below the directory dir; of a link itself, and of nothing outside of dir.
func (s *System) LchownIn(dir, name string, uid, gid int) error {
	place := filepath.Join(dir, name)
	err := s.Observe("chown", place)
	if err == nil {
		err = s.within(dir, func(root *os.Root) error { return root.Lchown(name, uid, gid) })
	}
	if err != nil {
		return fmt.Errorf("cannot set the owner of %s: %w", place, err)
	}
	return nil
}

func (s *System) within(dir string, do func(*os.Root) error) error {
	root, err := os.OpenRoot(s.Path(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	return do(root)
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
