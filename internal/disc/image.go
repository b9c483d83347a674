// Package disc reads files out of iso9660 and FAT images in user space, and writes small iso9660 images, all in memory.
//
// Drives with an environment (cidata, config-2) are read with it where there is nothing that could mount them, and seeds
// are made with it without a clear byte ever lying on a disk. An image is hostile input: whatever it says of itself is
// held against its true size and against fixed bounds before anything is read or allocated.
package disc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Image is an opened image. It holds no resources besides the reader it was opened with, which must stay open. It is safe
// for concurrent use if the reader is.
type Image struct {
	// Label is the volume's name as written in it, without padding. Some tools write it in capitals.
	Label string

	format format
}

// Open recognises the file system in the first size bytes of r: iso9660 or FAT12, FAT16 and FAT32 without a partition table.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	v := volume{r, size}
	if image, err := openISO(v); !errors.Is(err, errOther) {
		return image, err
	}
	image, err := openFAT(v)
	if errors.Is(err, errOther) {
		return nil, errors.New("cannot find a file system: this is neither iso9660 nor FAT")
	}
	return image, err
}

// ReadFile reads the file at name, a path with slashes and without a leading one. A file larger than limit bytes is an
// error; one that is not there is an error that wraps fs.ErrNotExist.
//
// Names are compared as a Linux mount does it: exactly with Rock Ridge, without regard to case elsewhere. An iso9660 image
// that has neither Rock Ridge nor Joliet has only names such as "user_dat".
func (i *Image) ReadFile(name string, limit int64) ([]byte, error) {
	data, err := i.read(name, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s from the image: %w", name, err)
	}
	return data, nil
}

func (i *Image) read(name string, limit int64) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	at := i.format.root()
	for part := range strings.SplitSeq(name, "/") {
		if !at.dir {
			return nil, fs.ErrNotExist
		}
		var err error
		if at, err = i.format.lookup(at, part); err != nil {
			return nil, err
		}
	}
	switch {
	case at.dir:
		return nil, errors.New("it is a directory")
	case at.size > limit:
		return nil, fmt.Errorf("it has %d bytes, more than %d", at.size, limit)
	}
	return i.format.read(at)
}

// errOther says that an image is of another format.
var errOther = errors.New("another format")

// maxDirectory bounds how much of one directory is read, in bytes. A drive with an environment holds a handful of files.
const maxDirectory = 256 << 10

// format is a kind of file system.
type format interface {
	root() node
	lookup(dir node, name string) (node, error) // fs.ErrNotExist when there is none
	read(file node) ([]byte, error)
}

// node is a file or a directory.
type node struct {
	dir   bool
	start uint32 // first logical block, or first cluster
	size  int64  // in bytes; 0 for a directory of FAT
}

// volume is the data below a format.
type volume struct {
	r    io.ReaderAt
	size int64
}

// at reads n bytes at an offset. Nothing is allocated for what the image does not hold.
func (v volume) at(offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || offset > v.size-n {
		return nil, fmt.Errorf("the image is cut off or broken: it has %d bytes and lacks %d at %d", v.size, n, offset)
	}
	data := make([]byte, n)
	if got, err := v.r.ReadAt(data, offset); int64(got) < n {
		return nil, err
	}
	return data, nil
}
