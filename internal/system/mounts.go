package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mount is a file system in its place.
type Mount struct {
	Point    string // path below the root, or above it as we see it
	Source   string // "/dev/vdb1", as the kernel names it
	Type     string // "ext4"
	ReadOnly bool   // the mount, or the file system as a whole
	device   string // "253:17"
	root     string // which directory of the file system is at Point: "/", unless only a part of it is seen there
}

// MountOf tells which file system path lies on, links followed, and whether it is mounted at that very place. What is at path
// may be missing: then its parent counts.
func (s *System) MountOf(path string) (m Mount, there bool, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m, false, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	real, err := s.resolve(path)
	if err != nil {
		return m, false, err
	}
	m, found := mountOf(string(table), real)
	if !found {
		return m, false, fmt.Errorf("cannot tell what %s is mounted from: the kernel lists nothing", path)
	}
	there = m.Point == real && s.Exists(path)
	if root, err := s.resolve("/"); err == nil && below(m.Point, root) {
		m.Point = filepath.Join("/", strings.TrimPrefix(m.Point, root))
	}
	return m, there, nil
}

// resolve follows the links of what is there of path.
func (s *System) resolve(path string) (string, error) {
	for ; ; path = filepath.Dir(path) {
		real, err := filepath.EvalSymlinks(s.Path(path))
		if err == nil {
			return filepath.Abs(real)
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return "", fmt.Errorf("cannot look at %s: %w", path, err)
		}
	}
}

// mountOf finds the mount that a path without links lies on. The table is that of proc(5), mountinfo.
func mountOf(table, path string) (m Mount, found bool) { return deepest(mountsIn(table), path) }

// mountsIn reads such a table.
func mountsIn(table string) (mounts []Mount) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			continue
		}
		mounts = append(mounts, Mount{Point: unescapeOctal(fields[4]), Source: unescapeOctal(fields[dash+2]), Type: fields[dash+1],
			ReadOnly: hasOption(fields[5], "ro") || hasOption(fields[dash+3], "ro"), device: fields[2], root: unescapeOctal(fields[3])})
	}
	return mounts
}

// deepest is the mount with the longest mount point above a path and, of several at one place, the last.
func deepest(mounts []Mount, path string) (m Mount, found bool) {
	for _, candidate := range mounts {
		if below(path, candidate.Point) && len(candidate.Point) >= len(m.Point) {
			m, found = candidate, true
		}
	}
	return m, found
}

// inside is where a path that lies on the mount lies in its file system.
func (m Mount) inside(path string) string {
	return filepath.Join(m.root, strings.TrimPrefix(path, m.Point))
}

// below says whether path is at or below dir; both are clean.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func hasOption(list, option string) bool { return slices.Contains(strings.Split(list, ","), option) }

// From says whether the mount is of the block device at path, by whatever name.
func (m Mount) From(device string) bool {
	info, err := os.Stat(device)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return false
	}
	number := info.Sys().(*syscall.Stat_t).Rdev
	if m.device == fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)) {
		return true
	}
	source, err := os.Stat(m.Source) // btrfs has a number of its own
	return err == nil && source.Mode()&os.ModeDevice != 0 && source.Sys().(*syscall.Stat_t).Rdev == number
}

// MountChanges makes the result readable after each change of what is mounted, until ctx ends.
func (s *System) MountChanges(ctx context.Context) (<-chan struct{}, error) {
	// Not by os.Open: the runtime would poll the file too, and the kernel tells of a change only the first that asks.
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot watch what is mounted: %w", err)
	}
	ended, end, err := os.Pipe()
	if err != nil {
		unix.Close(table)
		return nil, fmt.Errorf("cannot watch what is mounted: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { end.Close() })
	changed := make(chan struct{}, 1)
	go func() {
		defer func() { unix.Close(table); ended.Close(); stop(); end.Close() }()
		for ctx.Err() == nil {
			fds := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}, {Fd: int32(ended.Fd())}} // proc(5): mounts
			if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			if fds[0].Revents == 0 {
				continue
			}
			select {
			case changed <- struct{}{}:
			default: // it is readable already
			}
		}
	}()
	return changed, nil
}
