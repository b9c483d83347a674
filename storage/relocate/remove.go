package relocate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// removal takes trees away. It follows no link, stays on their mount, and holds one listing for each level.
type removal struct {
	sys *system.System
}

// tree takes away the directory at path, if there is one, durably.
func (r removal) tree(ctx context.Context, path string) error {
	if !r.sys.Exists(path) {
		return nil
	}
	parent, err := unix.Open(r.sys.Path(filepath.Dir(path)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	defer unix.Close(parent)
	if err := r.entry(ctx, parent, filepath.Base(path), path); err != nil {
		return err
	}
	return r.sys.SyncDirs(filepath.Dir(path))
}

// entry takes away what is at a name in an open directory. The path is what it is called.
func (r removal) entry(ctx context.Context, dir int, name, path string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st, err := stat(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	flags := 0
	if err == nil && isKind(&st, unix.S_IFDIR) {
		flags = unix.AT_REMOVEDIR
		if err := r.within(ctx, dir, name, path); err != nil {
			return err
		}
	}
	if err == nil {
		err = r.sys.Observe("remove", path)
	}
	if err == nil {
		err = unix.Unlinkat(dir, name, flags)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return nil
}

// within takes away what is in a directory. A listing need not be right once something of it has gone, so it is taken until it
// is empty.
func (r removal) within(ctx context.Context, dir int, name, path string) error {
	fd, err := openDir(dir, name)
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	defer unix.Close(fd)
	for found := true; found; {
		found = false
		err := eachName(fd, func(name string) error {
			found = true
			return r.entry(ctx, fd, name, filepath.Join(path, name))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// abandoned fails when somebody works on an old directory, or has since a moment.
func (r *Relocator) abandoned(old string, since time.Time) error {
	users, err := r.System.UsersBelow(old)
	if err == nil && len(users) > 0 {
		err = stillThere(users)
	}
	if err != nil || since.IsZero() { // of a version before this one
		return err
	}
	top, err := openTop(r.System.Path(old))
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", old, err)
	}
	defer unix.Close(top)
	newer, err := writtenSince(top, old, since)
	if err != nil || newer == "" {
		return err
	}
	return remedy.With(fmt.Errorf("cannot remove %s: %s was written to after it was copied", old, newer),
		fmt.Sprintf("see whether it is of use (`find %s -newermt '%s'`), then remove it", old, since.Format(time.DateTime)))
}

// writtenSince finds a file in an open directory that was written to after a moment. Directories do not count: a removal that was cut off
// has changed some. Nor does one of the times alone: images have files of the future, and who loses a name was not written to.
func writtenSince(dir int, path string, since time.Time) (newer string, err error) {
	err = eachName(dir, func(name string) error {
		st, err := stat(dir, name)
		if err != nil || newer != "" {
			return err
		}
		at := filepath.Join(path, name)
		if !isKind(&st, unix.S_IFDIR) {
			if min(st.Mtim.Nano(), st.Ctim.Nano()) > since.UnixNano() {
				newer = at
			}
			return nil
		}
		fd, err := openDir(dir, name)
		if err != nil {
			return fmt.Errorf("cannot remove %s: %w", at, err)
		}
		defer unix.Close(fd)
		newer, err = writtenSince(fd, at, since)
		return err
	})
	return newer, err
}
