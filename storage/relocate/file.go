package relocate

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// blockSize is how much of a file is copied by one call.
const blockSize = 1 << 20

// file copies a regular file, or leaves what is there if that is the same. What it has copied is handed over to be proven.
func (c *copier) file(ctx context.Context, j job, buf []byte) error {
	there, err := c.make(ctx, j, func(st *unix.Stat_t) bool { return sameFile(&j.stat, st) })
	if err == nil && there {
		var kept bool
		if kept, err = c.keep(ctx, j, buf); kept && err == nil {
			return nil
		}
		if err == nil { // it is what a cut has left of a copy
			err = removal{sys: c.sys}.entry(ctx, j.to, j.name, filepath.Join(c.to, j.path()))
		}
	}
	if err != nil {
		return c.targetError(j.path(), err)
	}
	return c.copyFile(ctx, j, buf)
}

// sameFile says whether a copy has what copying gives a file last.
func sameFile(source, there *unix.Stat_t) bool {
	return source.Mode == there.Mode && source.Uid == there.Uid && source.Gid == there.Gid && source.Size == there.Size &&
		source.Mtim == there.Mtim && (source.Nlink > 1 || there.Nlink == 1)
}

// keep holds a copy of an earlier run against its source, as that is on the disk.
func (c *copier) keep(ctx context.Context, j job, buf []byte) (bool, error) {
	src, err := openFile(j.from, j.name)
	if err != nil {
		return false, c.sourceError(j.path(), err)
	}
	defer unix.Close(src)
	dst, err := openFile(j.to, j.name)
	if err != nil {
		return false, err
	}
	defer unix.Close(dst)
	same, err := c.sameContent(ctx, src, dst, j.stat.Size, buf)
	if err == nil && same {
		err = keepFlags(src, dst)
	}
	if err != nil || !same {
		return false, err
	}
	return true, c.attributes(j.from, j.to, j.name, &j.stat, j.path())
}

func (c *copier) copyFile(ctx context.Context, j job, buf []byte) error {
	src, err := openFile(j.from, j.name)
	if err != nil {
		return c.sourceError(j.path(), err)
	}
	if err := c.sys.Observe("copy", filepath.Join(c.to, j.path())); err != nil {
		unix.Close(src)
		return err
	}
	dst, err := unix.Openat(j.to, j.name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		unix.Close(src)
		return c.targetError(j.path(), err)
	}
	p := proof{path: j.path(), src: src, dst: dst, size: j.stat.Size}
	if err = keepFlags(src, dst); err == nil {
		p.hash, err = c.content(ctx, j, src, dst, buf)
	}
	if err == nil {
		err = c.unchanged(j, src)
	}
	if err == nil {
		err = c.attributes(j.from, j.to, j.name, &j.stat, j.path())
	}
	if err != nil {
		p.close()
		return c.targetError(j.path(), err)
	}
	if p.sparse = sparse(&j.stat); !p.sparse {
		unix.Close(p.src)
		p.src = -1
	}
	return c.proofs.add(ctx, p)
}

// openFile opens a regular file to read, and does not leave a trace of that on the source where that can be helped.
func openFile(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	fd, err := unix.Openat(dir, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	return fd, err
}

// unchanged fails when the file that was opened is not as it was seen in its directory.
func (c *copier) unchanged(j job, src int) error {
	var now unix.Stat_t
	if err := unix.Fstat(src, &now); err != nil {
		return c.sourceError(j.path(), err)
	}
	if now.Ino != j.stat.Ino || now.Size != j.stat.Size || now.Mtim != j.stat.Mtim || now.Ctim != j.stat.Ctim {
		return c.sourceError(j.path(), errChanged)
	}
	return nil
}

// sparse says whether a file has holes, as far as its blocks tell.
func sparse(st *unix.Stat_t) bool { return st.Blocks*512 < st.Size }

// content copies what is in a file, and answers the sum of it, for one without holes.
func (c *copier) content(ctx context.Context, j job, src, dst int, buf []byte) (uint64, error) {
	if sparse(&j.stat) {
		return 0, c.sparseContent(ctx, j, src, dst, buf)
	}
	sum := newSum(c.seed)
	for at := int64(0); ; {
		n, err := unix.Read(src, buf)
		if err != nil {
			return 0, c.sourceError(j.path(), err)
		}
		if n == 0 {
			return sum.Sum64(), nil
		}
		_, _ = sum.Write(buf[:n])
		if err := writeAt(dst, buf[:n], at); err != nil {
			return 0, err
		}
		at += int64(n)
		c.done.Add(uint64(n))
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

// sparseContent copies the parts of a file that are not holes.
func (c *copier) sparseContent(ctx context.Context, j job, src, dst int, buf []byte) error {
	if err := unix.Ftruncate(dst, j.stat.Size); err != nil {
		return err
	}
	for at := int64(0); ; {
		from, to, err := nextData(src, at)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.sourceError(j.path(), err)
		}
		for at = from; at < to; {
			n, err := unix.Pread(src, buf[:min(int64(len(buf)), to-at)], at)
			if err != nil {
				return c.sourceError(j.path(), err)
			}
			if n == 0 {
				return c.sourceError(j.path(), errChanged)
			}
			if err := writeAt(dst, buf[:n], at); err != nil {
				return err
			}
			at += int64(n)
			c.done.Add(uint64(n))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
}

// nextData finds where the next part begins and ends that is no hole. io.EOF: there is none.
func nextData(fd int, at int64) (from, to int64, err error) {
	if from, err = unix.Seek(fd, at, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
		return 0, 0, io.EOF
	}
	if err == nil {
		to, err = unix.Seek(fd, from, unix.SEEK_HOLE)
	}
	return from, to, err
}

func writeAt(fd int, data []byte, at int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, at)
		if err != nil {
			return err
		}
		data, at = data[n:], at+int64(n)
	}
	return nil
}

// sameContent holds two files of a size against each other. The second is read from its disk. Where both have a hole, nothing is read.
func (c *copier) sameContent(ctx context.Context, a, b int, size int64, buf []byte) (bool, error) {
	_ = unix.Fadvise(b, 0, 0, unix.FADV_DONTNEED) // dirty pages stay: these were never on the disk, and a sync is still to come
	half := len(buf) / 2
	for at := int64(0); at < size; {
		fromA, _, errA := nextData(a, at)
		fromB, _, errB := nextData(b, at)
		switch {
		case errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF):
			return true, nil
		case errors.Is(errA, io.EOF):
			fromA = size
		case errors.Is(errB, io.EOF):
			fromB = size
		}
		if err := errors.Join(notEOF(errA), notEOF(errB)); err != nil {
			return false, err
		}
		at = min(fromA, fromB)
		want := int(min(int64(half), size-at))
		n, err := readAt(a, buf[:want], at)
		m, errOther := readAt(b, buf[half:half+want], at)
		if err := errors.Join(err, errOther); err != nil {
			return false, err
		}
		if n != m || !bytes.Equal(buf[:n], buf[half:half+m]) {
			return false, nil
		}
		if n == 0 {
			return true, nil
		}
		at += int64(n)
		c.done.Add(uint64(n))
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return true, nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// readAt reads as much as there is, up to the length of buf.
func readAt(fd int, buf []byte, at int64) (read int, err error) {
	for read < len(buf) {
		n, err := unix.Pread(fd, buf[read:], at+int64(read))
		if err != nil || n == 0 {
			return read, err
		}
		read += n
	}
	return read, nil
}

// newSum is a checksum of 64 bits with a key of this run. It is to find what disks and cables do, not what people do.
func newSum(seed maphash.Seed) *maphash.Hash {
	var sum maphash.Hash
	sum.SetSeed(seed)
	return &sum
}
