package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// WriteFile puts data at path in one step that a power cut cannot tear: a temporary file in the same directory, fsync,
// rename, fsync of the directory. The file has exactly the mode perm from its first byte on; missing directories are
// made with mode 0755.
func (s *System) WriteFile(path string, data []byte, perm fs.FileMode) error {
	if err := s.Mkdir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := s.Observe("write", path); err != nil {
		return err
	}
	name := s.Path(path)
	removeStale(name)
	file, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)), renameio.WithStaticPermissions(perm))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() { _ = file.Cleanup() }() // nothing to clean up once it is in place
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := s.Observe("rename", path); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil { // fsync and rename
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return s.syncDir(filepath.Dir(path))
}

// WriteNewFile puts data at path as WriteFile does, unless something is there already: then it answers fs.ErrExist and changes
// nothing. The directory must be there. Until the file is whole it has no name, so that a process that is killed leaves none.
func (s *System) WriteNewFile(path string, data []byte, perm fs.FileMode) error {
	if err := s.Observe("write", path); err != nil {
		return err
	}
	name := s.Path(path)
	file, err := os.OpenFile(filepath.Dir(name), unix.O_TMPFILE|os.O_WRONLY, perm)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // vfat, NFS: there it has its name from the start
		file, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
		if err == nil {
			return s.fill(file, path, data, perm)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer file.Close()
	if _, err = file.Write(data); err == nil {
		err = errors.Join(file.Chmod(perm), file.Sync()) // whatever the umask is
	}
	if err == nil {
		err = s.Observe("link", path)
	}
	if err == nil {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", file.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return s.syncDir(filepath.Dir(path))
}

// fill writes a file that has its name already, and takes it away again where that fails.
func (s *System) fill(file *os.File, path string, data []byte, perm fs.FileMode) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	_ = file.Chmod(perm) // these file systems may not know permissions
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(s.Path(path)) // the error that counts is the first
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return s.syncDir(filepath.Dir(path))
}

// Tidy takes away what a write of the files at paths that was cut off has left beside them.
func (s *System) Tidy(paths ...string) {
	for _, path := range paths {
		removeStale(s.Path(path))
	}
}

// removeStale takes away the temporary files that a crash in the middle of WriteFile has left beside name. They are ours
// alone: a host has one writer of each file. Their names end in the many digits of renameio's random number.
func removeStale(name string) {
	stale, err := filepath.Glob(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"[0-9]*"))
	if err != nil {
		return // a name with glob characters: litter is all that stays
	}
	for _, file := range stale {
		number := strings.TrimPrefix(filepath.Base(file), "."+filepath.Base(name))
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && len(number) >= 12 && strings.Trim(number, "0123456789") == "" {
			_ = os.Remove(file)
		}
	}
}

// Mkdir makes the directory at path, and its parents with mode 0755, unless it is there. A new one has exactly mode perm.
func (s *System) Mkdir(path string, perm fs.FileMode) error {
	name := s.Path(path)
	if info, err := os.Stat(name); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("cannot make directory %s: something else is there", path)
		}
		return nil
	}
	if parent := filepath.Dir(path); parent != path {
		if err := s.Mkdir(parent, 0o755); err != nil {
			return err
		}
	}
	if err := s.Observe("mkdir", path); err != nil {
		return err
	}
	if err := os.Mkdir(name, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make directory %s: %w", path, err)
	}
	if err := s.Chmod(path, perm); err != nil { // whatever the umask is
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// MakeDir makes the directory at path with exactly the given mode and numeric owner (-1: ours), in one step: it is never
// seen with another owner, not even after a power cut.
func (s *System) MakeDir(path string, perm fs.FileMode, owner int) error {
	fresh := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := s.Remove(fresh); err != nil { // of a try before
		return err
	}
	if err := s.Mkdir(fresh, perm); err != nil {
		return err
	}
	if owner >= 0 {
		if err := s.Chown(fresh, owner, owner); err != nil {
			return err
		}
	}
	return s.Rename(fresh, path)
}

// Chmod sets the permissions of what is at path, if they differ.
func (s *System) Chmod(path string, perm fs.FileMode) error {
	info, err := s.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot set permissions of %s: %w", path, err)
	}
	if info.Mode().Perm() == perm {
		return nil
	}
	if err := s.Observe("chmod", path); err != nil {
		return err
	}
	if err := os.Chmod(s.Path(path), perm); err != nil {
		return fmt.Errorf("cannot set permissions of %s: %w", path, err)
	}
	return nil
}

// Owner returns the numeric owner of what is at path.
func (s *System) Owner(path string) (uid, gid int, err error) {
	info, err := s.Stat(path)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot tell the owner of %s: %w", path, err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid), nil
}

// Chown sets the numeric owner of what is at path; -1 leaves a part as it is.
func (s *System) Chown(path string, uid, gid int) error {
	if err := s.Observe("chown", path); err != nil {
		return err
	}
	if err := os.Chown(s.Path(path), uid, gid); err != nil {
		return fmt.Errorf("cannot set the owner of %s: %w", path, err)
	}
	return nil
}

// Symlink makes path a symbolic link to target, replacing another link in one step.
func (s *System) Symlink(target, path string) error {
	if err := s.Mkdir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := s.Observe("symlink", path); err != nil {
		return err
	}
	if err := renameio.Symlink(target, s.Path(path)); err != nil {
		return fmt.Errorf("cannot link %s to %s: %w", path, target, err)
	}
	return s.syncDir(filepath.Dir(path))
}

// Readlink returns where the link at path points.
func (s *System) Readlink(path string) (string, error) { return os.Readlink(s.Path(path)) }

// Rename moves from one path to another on the same file system, durably.
func (s *System) Rename(from, to string) error {
	if err := s.Observe("rename", from+" to "+to); err != nil {
		return err
	}
	if err := os.Rename(s.Path(from), s.Path(to)); err != nil {
		return fmt.Errorf("cannot move %s to %s: %w", from, to, err)
	}
	if err := s.syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(from))
}

// Remove takes away the file, link or empty directory at path; nothing there is no error.
func (s *System) Remove(path string) error {
	if !s.Exists(path) {
		return nil
	}
	if err := s.Observe("remove", path); err != nil {
		return err
	}
	if err := os.Remove(s.Path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return s.syncDir(filepath.Dir(path))
}

func (s *System) syncDir(path string) error {
	if err := s.Observe("syncdir", path); err != nil {
		return err
	}
	dir, err := os.Open(s.Path(path))
	if err != nil {
		return fmt.Errorf("cannot sync directory %s: %w", path, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: a file system without directory sync
		return fmt.Errorf("cannot sync directory %s: %w", path, err)
	}
	return nil
}
