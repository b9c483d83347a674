package system

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenDrive opens the file system on a block device for reading. One that is mounted is read where it is; otherwise it is
// mounted read-only without a place in the tree, so that it goes when the result is closed or the process ends, however it ends.
// Nothing outside the device can be reached through the result. The device is a path of the machine itself, not below the root.
//
// CannotMount tells an error that means nothing for the device.
func (s *System) OpenDrive(device, fileSystem string) (*os.Root, error) {
	if root := openMounted(device); root != nil {
		return root, nil
	}
	if err := s.Observe("mount", device); err != nil {
		return nil, err
	}
	root, err := mountDetached(device, fileSystem)
	if err != nil {
		return nil, fmt.Errorf("cannot mount %s: %w", device, err)
	}
	return root, nil
}

// CannotMount says whether err comes from a kernel that lacks the file system or the call, from a container or an observer
// that does not permit mounting, or from an image that is no device: who can read the device can still read what is on it.
func CannotMount(err error) bool {
	for _, reason := range []error{
		ErrReadOnly, unix.ENODEV, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.ENOTBLK,
		unix.EBUSY,  // mounted for writing in a tree that we do not see
		unix.EINVAL, // damaged, or a kernel without the character set that vfat wants: it does not say which
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

func mountDetached(device, fileSystem string) (*os.Root, error) {
	context, err := unix.Fsopen(fileSystem, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(context)
	if err := unix.FsconfigSetString(context, "source", device); err != nil {
		return nil, err
	}
	if err := unix.FsconfigSetFlag(context, "ro"); err != nil {
		return nil, err
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, err
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC,
		unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(mount) // the open root keeps the file system, as an open file keeps one that is unmounted lazily
	return os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", mount))
}

// openMounted opens the place where the device is mounted as a whole, or answers nil.
func openMounted(device string) *os.Root {
	info, err := os.Stat(device)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return nil
	}
	number := info.Sys().(*syscall.Stat_t).Rdev
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for _, place := range mountPoints(string(table), number) {
		root, err := os.OpenRoot(place)
		if err != nil {
			continue
		}
		if top, err := root.Stat("."); err == nil && top.Sys().(*syscall.Stat_t).Dev == number {
			return root
		}
		root.Close() // something else is mounted over it
	}
	return nil
}

// mountPoints lists where the whole of a device is mounted. The table is that of proc(5), mountinfo.
func mountPoints(table string, device uint64) (places []string) {
	number := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[2] == number && fields[3] == "/" {
			places = append(places, unescapeOctal(fields[4]))
		}
	}
	return places
}

// unescapeOctal undoes how the kernel writes blanks, tabs, newlines and backslashes in the table of mounts.
func unescapeOctal(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		code, err := strconv.ParseUint(after[:min(3, len(after))], 8, 8)
		if err != nil {
			b.WriteByte('\\')
			text = after
			continue
		}
		b.WriteByte(byte(code))
		text = after[min(3, len(after)):]
	}
}
