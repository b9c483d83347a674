package system

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Place is where something lies, and what tells it from everything else that was ever there.
type Place struct {
	Device uint64 // of the file system
	Mount  uint64 // through which it is seen: names can be moved within one mount only. 0: the kernel does not say
	// Identity stays the same as long as the thing exists, whatever it is called and over boots: its inode and when that
	// was made.
	Identity string
}

// Place tells of what is at path, or of what a link there leads to.
func (s *System) Place(path string) (Place, error) {
	var st unix.Statx_t
	const wanted = unix.STATX_INO | unix.STATX_BTIME | unix.STATX_MNT_ID
	if err := unix.Statx(unix.AT_FDCWD, s.Path(path), 0, wanted, &st); err != nil {
		return Place{}, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	p := Place{Device: unix.Mkdev(st.Dev_major, st.Dev_minor), Identity: fmt.Sprint(st.Ino)}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		p.Mount = st.Mnt_id
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		p.Identity = fmt.Sprintf("%d@%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
	}
	return p, nil
}

// MountsBelow lists the mount points at path and below it, as they are called below the root.
func (s *System) MountsBelow(path string) ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read the table of mounts: %w", err)
	}
	top, err := s.RealPath(path)
	if err != nil {
		return nil, err
	}
	var below []string
	for line := range bytes.Lines(table) {
		fields := strings.Fields(string(line))
		if len(fields) < 5 {
			continue
		}
		if rest, ok := within(unescapeOctal(fields[4]), top); ok {
			below = append(below, filepath.Join(path, rest))
		}
	}
	slices.Sort(below)
	return slices.Compact(below), nil
}

// RealPath returns where path lies in the file system we see, without links on the way there. What is at path itself is not
// followed, and need not be there.
func (s *System) RealPath(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(s.Path(filepath.Dir(path)))
	if err != nil {
		return "", fmt.Errorf("cannot look at %s: %w", path, err)
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// within says whether path is dir or below it, and what it is called there.
func within(path, dir string) (rest string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
