package relocate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// compare holds a finished copy against its source, name by name and with all but the content, which was read back before. It
// also finds that something was changed in the source since it was copied.
func (c *copier) compare(ctx context.Context) error {
	from, err := openTop(c.sys.Path(c.from))
	if err != nil {
		return c.sourceError("", err)
	}
	defer unix.Close(from)
	to, err := openTop(c.sys.Path(c.to))
	if err != nil {
		return c.targetError("", err)
	}
	defer unix.Close(to)
	now := comparison{copier: c, source: fingerprint{seed: c.seed}, inodes: map[inode]inode{}}
	if err := now.entry(from, to, ".", ""); err != nil {
		return err
	}
	if err := now.directory(ctx, from, to, ""); err != nil {
		return err
	}
	if now.source.sum != c.source.sum { // then it is no wonder that the copy differs
		return c.sourceError(now.newest, errChanged)
	}
	return now.first
}

// unchangedAt fails when the source, which has another name by now, is not as it was copied.
func (c *copier) unchangedAt(ctx context.Context, path string) error {
	top, err := openTop(c.sys.Path(path))
	if err != nil {
		return c.sourceError("", err)
	}
	defer unix.Close(top)
	now := fingerprint{seed: c.seed}
	if err := now.directory(ctx, top, ""); err != nil {
		return err
	}
	if now.sum != c.source.sum {
		return c.sourceError("", errChanged)
	}
	return nil
}

type comparison struct {
	*copier
	source fingerprint
	inodes map[inode]inode // of files with several names: that of the source to that of the copy

	first  error  // difference that was found
	newest string // entry of the source that was changed last
	when   unix.Timespec
}

func (c *comparison) directory(ctx context.Context, from, to int, path string) error {
	names := 0
	err := eachName(from, func(name string) error {
		names++
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := filepath.Join(path, name)
		if err := c.entry(from, to, name, at); err != nil {
			return err
		}
		st, err := stat(from, name)
		if err != nil || !isKind(&st, unix.S_IFDIR) {
			return err
		}
		if copied, err := stat(to, name); err != nil || !isKind(&copied, unix.S_IFDIR) {
			return nil // noted already
		}
		return c.subdirectory(ctx, from, to, name, at)
	})
	if err == nil {
		err = eachName(to, func(string) error { names--; return nil })
	}
	if err == nil && names != 0 {
		c.differs(path, "it has more entries or fewer")
	}
	var known *copyError
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		err = c.sourceError(path, err)
	}
	return err
}

func (c *comparison) subdirectory(ctx context.Context, from, to int, name, path string) error {
	source, err := openDir(from, name)
	if err != nil {
		return c.sourceError(path, err)
	}
	defer unix.Close(source)
	target, err := openDir(to, name)
	if err != nil {
		return c.targetError(path, err)
	}
	defer unix.Close(target)
	return c.directory(ctx, source, target, path)
}

func (c *comparison) entry(from, to int, name, path string) error {
	a, err := stat(from, name)
	if err != nil {
		return c.sourceError(path, err)
	}
	if path != "" {
		c.source.add(path, &a)
	}
	if c.newest == "" || a.Ctim.Nano() > c.when.Nano() {
		c.newest, c.when = path, a.Ctim
	}
	b, err := stat(to, name)
	if errors.Is(err, unix.ENOENT) {
		c.differs(path, "it is missing")
		return nil
	}
	if err != nil {
		return c.targetError(path, err)
	}
	if what := c.difference(&a, &b); what != "" {
		c.differs(path, "its "+what+" differs")
		return nil
	}
	if isKind(&a, unix.S_IFLNK) {
		leads, err := readlink(from, name, a.Size)
		copied, errCopy := readlink(to, name, a.Size)
		if err := errors.Join(err, errCopy); err != nil {
			return c.targetError(path, err)
		}
		if leads != copied {
			c.differs(path, "it leads elsewhere")
			return nil
		}
	}
	return c.xattrs(inDir(from, name), inDir(to, name), path)
}

// difference names what differs between an entry and its copy, as far as can be told without opening it.
func (c *comparison) difference(a, b *unix.Stat_t) string {
	directory := isKind(a, unix.S_IFDIR)
	switch {
	case a.Mode&unix.S_IFMT != b.Mode&unix.S_IFMT:
		return "kind"
	case a.Mode != b.Mode && !isKind(a, unix.S_IFLNK):
		return "mode"
	case a.Uid != b.Uid || a.Gid != b.Gid:
		return "owner"
	case a.Size != b.Size && !directory: // of a directory it says how the file system keeps it
		return "size"
	case a.Mtim != b.Mtim:
		return "time of change"
	case a.Rdev != b.Rdev:
		return "device"
	case directory:
		return ""
	}
	if b.Nlink > a.Nlink { // fewer: some names of it are elsewhere
		return "number of names"
	}
	if a.Nlink == 1 {
		return ""
	}
	if known, ok := c.inodes[inodeOf(a)]; ok && known != inodeOf(b) {
		return "hard link"
	}
	c.inodes[inodeOf(a)] = inodeOf(b)
	return ""
}

func (c *comparison) xattrs(source, target, path string) error {
	wanted, err := xattrs(source)
	if err != nil {
		return c.sourceError(path, err)
	}
	there, err := xattrs(target)
	if err != nil {
		return c.targetError(path, err)
	}
	if !slices.Equal(wanted, there) {
		c.differs(path, "it has other extended attributes")
		return nil
	}
	for _, attr := range wanted {
		value, err := xattr(source, attr)
		copied, errCopy := xattr(target, attr)
		if err := errors.Join(err, errCopy); err != nil {
			return c.targetError(path, err)
		}
		if !bytes.Equal(value, copied) {
			c.differs(path, "its extended attribute "+attr+" differs")
			return nil
		}
	}
	return nil
}

// differs notes a difference. Why there is one is known at the end.
func (c *comparison) differs(path, what string) {
	if c.first == nil {
		c.first = &copyError{fmt.Errorf("cannot trust the copy of %s: %s", filepath.Join(c.from, path), what)}
	}
}
