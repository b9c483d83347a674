package relocate

import (
	"context"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// link is a file of the source that has several names.
type link struct {
	path string // of the first, below the top
	left uint64 // names yet to come
}

// named copies a file of several names: its content once, and then its names.
func (c *copier) named(ctx context.Context, j job) error {
	first := c.links[inodeOf(&j.stat)]
	if first == nil {
		c.links[inodeOf(&j.stat)] = &link{j.path(), uint64(j.stat.Nlink) - 1}
		return c.firstName(ctx, j)
	}
	if first.left--; first.left == 0 {
		delete(c.links, inodeOf(&j.stat))
	}
	return c.nextName(ctx, j, first.path)
}

func (c *copier) firstName(ctx context.Context, j job) error {
	if there, err := stat(j.to, j.name); !j.fresh && err == nil && c.taken[there.Ino] { // once a name of another file
		if err := (removal{sys: c.sys}).entry(ctx, j.to, j.name, filepath.Join(c.to, j.path())); err != nil {
			return c.targetError(j.path(), err)
		}
	}
	copyIt := c.special
	if isKind(&j.stat, unix.S_IFREG) {
		copyIt = func(ctx context.Context, j job) error { return c.file(ctx, j, make([]byte, blockSize)) }
	}
	if err := copyIt(ctx, j); err != nil {
		return err
	}
	st, err := stat(j.to, j.name)
	if err != nil {
		return c.targetError(j.path(), err)
	}
	c.taken[st.Ino] = true
	return nil
}

func (c *copier) nextName(ctx context.Context, j job, first string) error {
	if err := c.nameAgain(ctx, j, first); err != nil {
		return c.targetError(j.path(), err)
	}
	return nil
}

func (c *copier) nameAgain(ctx context.Context, j job, first string) error {
	dir, err := c.dirOf(first)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := filepath.Base(first)
	st, err := stat(dir, name)
	if err != nil {
		return err
	}
	if there, err := c.make(ctx, j, func(t *unix.Stat_t) bool { return t.Ino == st.Ino }); there || err != nil {
		return err
	}
	if err := c.sys.Observe("link", filepath.Join(c.to, j.path())); err != nil {
		return err
	}
	return unix.Linkat(dir, name, j.to, j.name, 0)
}

// dirOf opens the directory that a path of the copy is in, name by name: the kernel takes no path of any length.
func (c *copier) dirOf(path string) (dir int, err error) {
	if dir, err = openDir(c.top, "."); err != nil {
		return -1, err
	}
	names := strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		next, err := openDir(dir, name)
		unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}
