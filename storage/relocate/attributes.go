package relocate

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes gives an entry of the copy the owner, mode, extended attributes and times of its source. Their order is that in which one
// does not undo the other: who changes the owner takes setuid and capabilities away, an access list changes the mode. The times
// are last: a file that has them is whole.
func (c *copier) attributes(from, to int, name string, st *unix.Stat_t, path string) error {
	if err := c.sys.Observe("attributes", filepath.Join(c.to, path)); err != nil {
		return err
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot keep its owner: %w", err)
	}
	if !isKind(st, unix.S_IFLNK) { // nothing asks for the mode of a link
		if err := setMode(to, name, st.Mode&0o7777); err != nil {
			return fmt.Errorf("cannot keep its mode: %w", err)
		}
	}
	if err := copyXattrs(from, to, name); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot keep its times: %w", err)
	}
	return nil
}

// setMode sets the mode of what is at a name, and never of what a link there leads to, as fchmodat(2) does.
func setMode(dir int, name string, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if isKind(&st, unix.S_IFLNK) {
		return unix.ELOOP
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// inDir is a path of an entry of an open directory, for calls that want one. None of it can be a link but the entry, which
// they do not follow.
func inDir(dir int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name) }

// copyXattrs makes the extended attributes the same: access lists, capabilities, labels and what overlay file systems note.
func copyXattrs(from, to int, name string) error {
	source, target := inDir(from, name), inDir(to, name)
	wanted, err := xattrs(source)
	if err != nil {
		return err
	}
	there, err := xattrs(target)
	if err != nil {
		return err
	}
	for _, attr := range there { // inherited from its directory, or of an earlier copy
		if slices.Contains(wanted, attr) {
			continue
		}
		if err := unix.Lremovexattr(target, attr); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("cannot remove the extended attribute %s: %w", attr, err)
		}
	}
	for _, attr := range wanted {
		value, err := xattr(source, attr)
		if err != nil {
			return err
		}
		if has, err := xattr(target, attr); slices.Contains(there, attr) && err == nil && bytes.Equal(has, value) {
			continue
		}
		if err := unix.Lsetxattr(target, attr, value, 0); err != nil {
			return fmt.Errorf("cannot keep the extended attribute %s: %w", attr, err)
		}
	}
	return nil
}

// xattrs lists extended attributes, sorted; a file system without them has none.
func xattrs(path string) ([]string, error) {
	list, err := grown(func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) })
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("cannot list extended attributes: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	slices.Sort(names)
	return names, nil
}

func xattr(path, attr string) ([]byte, error) {
	value, err := grown(func(buf []byte) (int, error) { return unix.Lgetxattr(path, attr, buf) })
	if err != nil {
		return nil, fmt.Errorf("cannot read the extended attribute %s: %w", attr, err)
	}
	return value, nil
}

// grown reads into a buffer that is as large as it must be.
func grown(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if errors.Is(err, syscall.ERANGE) && size < 1<<20 { // the kernel's limit is 64 KiB
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
