package relocate

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

// Flags of chattr(1), from the kernel's linux/fs.h.
const (
	flagSync    = 0x8        // S
	flagNoDump  = 0x40       // d
	flagNoATime = 0x80       // A
	flagDirSync = 0x10000    // D
	flagNoCOW   = 0x800000   // C: of a database on btrfs
	flagProject = 0x20000000 // P: what is made in the directory counts for its project

	flagsKept = flagSync | flagNoDump | flagNoATime | flagDirSync | flagNoCOW
)

// keepFlags gives a copy the flags that say how it is to be written. It comes before there is content: afterwards btrfs takes none. Flags that the
// file system of the copy does not know mean nothing there.
func keepFlags(from, to int) error {
	flags, err := unix.IoctlGetUint32(from, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&flagsKept == 0 {
		return nil //nolint:nilerr // a file system without flags
	}
	has, err := unix.IoctlGetUint32(to, unix.FS_IOC_GETFLAGS)
	if err == nil && has|flags&flagsKept != has {
		err = unix.IoctlSetPointerInt(to, unix.FS_IOC_SETFLAGS, int(has|flags&flagsKept))
	}
	if err != nil && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("cannot keep its flags: %w", err)
	}
	return nil
}

// fixed says whether nobody, root neither, may remove what is at a name, or write to it anew (chattr +i, +a).
func fixed(dir int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0
}

// inProject says whether what is made in an open directory counts for the quota of a project.
func inProject(dir int) bool {
	flags, err := unix.IoctlGetUint32(dir, unix.FS_IOC_GETFLAGS)
	return err == nil && flags&flagProject != 0
}

// removable refuses to copy what could not be removed afterwards.
func (m measured) removable() error {
	if m.fixed == "" {
		return nil
	}
	return remedy.With(fmt.Errorf("%s is not to be changed by anybody (`lsattr -d` tells)", m.fixed),
		fmt.Sprintf("`chattr -i -a %s`, and of all else that was so protected", m.fixed))
}
