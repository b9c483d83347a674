package relocate

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"appliance/internal/system"
)

// copier makes a directory the same as another. One goroutine walks the source and makes directories, links and special files;
// some copy the contents of files; one syncs what they have written, and reads it back. Whatever there is of an earlier copy is
// kept where it is the same.
type copier struct {
	sys      *system.System
	from, to string // as they are called on the host, for messages
	seed     maphash.Seed
	top      int // the target, open
	links    map[inode]*link
	taken    map[uint64]bool // inodes of the target that have all the names of a file with several
	source   fingerprint

	jobs   chan job
	proofs *proofs
	done   atomic.Uint64 // bytes
	files  atomic.Uint64
}

// pair is a directory of the source and its copy, both open until everything directly in them is there.
type pair struct {
	from, to int
	path     string // below the top
	stat     unix.Stat_t
	fresh    bool // made by this copy: nothing else is in it
	pending  atomic.Int32
}

// job is a file to copy.
type job struct {
	*pair
	name string
	stat unix.Stat_t
}

func (j job) path() string { return filepath.Join(j.pair.path, j.name) }

// copiers is how many files are copied at once: their cost is half the processor's, half the kernel's.
const copiers = 2

// errChanged says that somebody works on the source.
var errChanged = errors.New("it has changed while it was copied: somebody still works on it")

// copyTree makes what is at a path the same as what is at another, and makes it if need be. When it returns without an
// error, all is on the disk, and was read back.
func (c *copier) copyTree(ctx context.Context) error {
	c.seed = maphash.MakeSeed()
	c.source = fingerprint{seed: c.seed}
	c.links, c.taken = map[inode]*link{}, map[uint64]bool{}
	c.jobs, c.proofs = make(chan job, 64), newProofs(c)
	root, err := c.open()
	defer func() { unix.Close(c.top) }()
	if err != nil {
		unix.Close(root.from)
		unix.Close(root.to)
		return c.targetError("", err)
	}

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var workers, prover sync.WaitGroup
	for range copiers {
		workers.Go(func() { c.work(ctx, fail) })
	}
	prover.Go(func() { c.proofs.work(ctx, fail) })
	if err := c.directory(ctx, root); err != nil {
		fail(err)
	}
	c.release(ctx, root, fail)
	close(c.jobs)
	workers.Wait()
	c.proofs.end(ctx)
	prover.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.sync()
}

// open opens both tops. What an earlier run has written is brought to the disk, so that it can be read from there.
func (c *copier) open() (p *pair, err error) {
	p, c.top = &pair{from: -1, to: -1, fresh: !c.sys.Exists(c.to)}, -1
	p.pending.Store(1)
	if p.fresh {
		if err := c.sys.Mkdir(c.to, 0o700); err != nil {
			return p, err
		}
	}
	if p.from, err = openTop(c.sys.Path(c.from)); err == nil {
		p.stat, err = stat(p.from, ".")
	}
	if err != nil {
		return p, err
	}
	if p.to, err = openTop(c.sys.Path(c.to)); err == nil {
		c.top, err = unix.FcntlInt(uintptr(p.to), unix.F_DUPFD_CLOEXEC, 0) // hard links are made from it to the end
	}
	if err == nil && !p.fresh {
		if err = c.close(p.to); err == nil {
			err = c.sync()
		}
	}
	return p, err
}

// close lets nobody but us into the copy: one that was whole before a cut had the owner and mode of the source.
func (c *copier) close(top int) error {
	if err := c.sys.Observe("attributes", c.to); err != nil {
		return err
	}
	return errors.Join(unix.Fchown(top, os.Geteuid(), os.Getegid()), unix.Fchmod(top, 0o700))
}

// sync brings to the disk what was written. It is asked by one open directory from first to last: so the kernel tells of every failed write since that
// was opened, whoever else was told of it.
func (c *copier) sync() error {
	if err := c.sys.Observe("syncfs", c.to); err != nil {
		return err
	}
	if err := unix.Syncfs(c.top); err != nil {
		return fmt.Errorf("cannot sync the file system of %s: %w", c.to, err)
	}
	return nil
}

// directory makes the copy of a directory have all that the source has in it, and nothing else.
func (c *copier) directory(ctx context.Context, p *pair) error {
	if !p.fresh {
		if err := c.removeExtras(ctx, p); err != nil {
			return err
		}
	}
	err := eachName(p.from, func(name string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := filepath.Join(p.path, name)
		st, err := stat(p.from, name)
		if err != nil {
			return c.sourceError(path, err)
		}
		c.source.add(path, &st)
		c.files.Add(1)
		j := job{p, name, st}
		switch {
		case isKind(&st, unix.S_IFDIR):
			return c.subdirectory(ctx, j)
		case st.Nlink > 1:
			return c.named(ctx, j)
		case isKind(&st, unix.S_IFREG):
			p.pending.Add(1)
			select {
			case c.jobs <- j:
				return nil
			case <-ctx.Done():
				p.pending.Add(-1)
				return context.Cause(ctx)
			}
		}
		return c.special(ctx, j)
	})
	var known *copyError
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		err = c.sourceError(p.path, err)
	}
	return err
}

func (c *copier) subdirectory(ctx context.Context, j job) (err error) {
	child := &pair{path: j.path(), stat: j.stat}
	child.pending.Store(1)
	if child.from, err = openDir(j.from, j.name); err != nil {
		return c.sourceError(child.path, err)
	}
	if child.fresh, err = c.ensureDir(ctx, j); err == nil {
		child.to, err = openDir(j.to, j.name)
	}
	if err != nil {
		unix.Close(child.from)
		return c.targetError(child.path, err)
	}
	err = c.directory(ctx, child)
	return errors.Join(err, c.finish(ctx, child, err == nil))
}

// ensureDir makes a directory in the copy, with access for root alone until all is in it.
func (c *copier) ensureDir(ctx context.Context, j job) (fresh bool, err error) {
	if there, err := c.make(ctx, j, func(st *unix.Stat_t) bool { return isKind(st, unix.S_IFDIR) }); there || err != nil {
		return false, err
	}
	if err := c.sys.Observe("mkdir", filepath.Join(c.to, j.path())); err != nil {
		return false, err
	}
	return true, unix.Mkdirat(j.to, j.name, 0o700)
}

// make clears the way for an entry of the copy, unless one that is the same is there already.
func (c *copier) make(ctx context.Context, j job, same func(there *unix.Stat_t) bool) (there bool, err error) {
	if j.fresh {
		return false, nil
	}
	st, err := stat(j.to, j.name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil || same(&st) {
		return true, err
	}
	return false, removal{sys: c.sys}.entry(ctx, j.to, j.name, filepath.Join(c.to, j.path()))
}

// removeExtras takes out of the copy what the source does not have, or does not have any more.
func (c *copier) removeExtras(ctx context.Context, p *pair) error {
	for found := true; found; { // a listing need not be right once something of it has gone
		found = false
		err := eachName(p.to, func(name string) error {
			path := filepath.Join(p.path, name)
			if _, err := stat(p.from, name); err == nil {
				return nil
			} else if !errors.Is(err, unix.ENOENT) {
				return c.sourceError(path, err)
			}
			found = true
			if err := (removal{sys: c.sys}).entry(ctx, p.to, name, filepath.Join(c.to, path)); err != nil {
				return c.targetError(path, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish lets go of a directory for one of those who work in it. The last one gives it its attributes, as making something in
// it has changed its times.
func (c *copier) finish(ctx context.Context, p *pair, good bool) (err error) {
	if p.pending.Add(-1) > 0 {
		return nil
	}
	if good && ctx.Err() == nil {
		if err = keepFlags(p.from, p.to); err == nil {
			err = c.attributes(p.from, p.to, ".", &p.stat, p.path)
		}
		if err != nil {
			err = c.targetError(p.path, err)
		}
	}
	unix.Close(p.from)
	unix.Close(p.to)
	return err
}

func (c *copier) release(ctx context.Context, p *pair, fail context.CancelCauseFunc) {
	if err := c.finish(ctx, p, true); err != nil {
		fail(err)
	}
}

// work copies files until there are no more. After a failure it only lets go of what they belong to.
func (c *copier) work(ctx context.Context, fail context.CancelCauseFunc) {
	buf := make([]byte, blockSize)
	for j := range c.jobs {
		if ctx.Err() == nil {
			if err := c.file(ctx, j, buf); err != nil {
				fail(err)
			}
		}
		c.release(ctx, j.pair, fail)
	}
}

// special copies what has no content: links, pipes, sockets and devices, and the whiteouts of overlay file systems.
func (c *copier) special(ctx context.Context, j job) error {
	target, err := "", error(nil)
	if isKind(&j.stat, unix.S_IFLNK) {
		if target, err = readlink(j.from, j.name, j.stat.Size); err != nil {
			return c.sourceError(j.path(), err)
		}
	}
	there, err := c.make(ctx, j, func(st *unix.Stat_t) bool {
		if st.Mode&unix.S_IFMT != j.stat.Mode&unix.S_IFMT || st.Rdev != j.stat.Rdev || j.stat.Nlink == 1 && st.Nlink > 1 {
			return false
		}
		has, err := readlink(j.to, j.name, j.stat.Size)
		return !isKind(st, unix.S_IFLNK) || err == nil && has == target
	})
	if err == nil && !there {
		err = c.makeSpecial(j, target)
	}
	if err == nil {
		err = c.attributes(j.from, j.to, j.name, &j.stat, j.path())
	}
	if err != nil {
		return c.targetError(j.path(), err)
	}
	return nil
}

func (c *copier) makeSpecial(j job, target string) error {
	object := filepath.Join(c.to, j.path())
	if isKind(&j.stat, unix.S_IFLNK) {
		if err := c.sys.Observe("symlink", object); err != nil {
			return err
		}
		return unix.Symlinkat(target, j.to, j.name)
	}
	if err := c.sys.Observe("mknod", object); err != nil {
		return err
	}
	return unix.Mknodat(j.to, j.name, j.stat.Mode&unix.S_IFMT|0o600, int(j.stat.Rdev))
}

func readlink(dir int, name string, size int64) (string, error) {
	buf := make([]byte, max(size, 0)+1)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// copyError names the path.
type copyError struct{ error }

func (e *copyError) Unwrap() error { return e.error }

// sourceError says what is wrong with a path of the source.
func (c *copier) sourceError(path string, err error) error {
	if errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("it has gone while it was copied: somebody still works on it")
	}
	return &copyError{fmt.Errorf("cannot read %s: %w", filepath.Join(c.from, path), err)}
}

func (c *copier) targetError(path string, err error) error {
	var known *copyError
	if errors.As(err, &known) {
		return err
	}
	return &copyError{fmt.Errorf("cannot copy %s: %w", filepath.Join(c.from, path), err)}
}
