package relocate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

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
