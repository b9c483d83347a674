package vault

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// seer gets what is below a directory, by its name there; or why a directory, "." for all, cannot be read. Its error ends the walk.
type seer func(name string, info fs.FileInfo, err error) error

const maxDepth = 100 // directories in each other; a way through more of them takes longer with each

var errTooDeep = errors.New("there are too many directories in each other")

// walk looks at all that is below a directory, in which somebody else may be at work: nothing outside of it is reached and no link followed,
// and nothing but directories is opened. What is in a directory comes before what is below that.
func walk(root *os.Root, seen seer) error { return walkDir(root, ".", nil, maxDepth, seen) }

func walkDir(root *os.Root, name string, was fs.FileInfo, depth int, seen seer) error {
	below, err := look(root, name, was, depth, seen)
	if err != nil {
		return err
	}
	for _, dir := range below {
		if err := walkDir(root, path.Join(name, dir.Name()), dir, depth-1, seen); err != nil {
			return err
		}
	}
	return nil
}

// look answers the directories in one, which is given up where it was taken away or another has its name by now.
func look(root *os.Root, name string, was fs.FileInfo, depth int, seen seer) (below []fs.FileInfo, err error) {
	if depth < 0 {
		return nil, seen(name, nil, errTooDeep)
	}
	dir, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, unlessGone(root, name, was, err, seen)
	}
	defer dir.Close()
	if now, err := dir.Stat(); was != nil && (err != nil || !os.SameFile(was, now)) {
		return nil, nil
	}
	const some = 256 // at once, so that many take no memory
	for {
		entries, err := dir.ReadDir(some)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil { // taken away meanwhile
				continue
			}
			if info.IsDir() {
				below = append(below, info)
			}
			if err := seen(path.Join(name, e.Name()), info, nil); err != nil {
				return nil, err
			}
		}
		if err == io.EOF {
			return below, nil
		}
		if err != nil {
			return below, seen(name, nil, err)
		}
	}
}

// unlessGone tells of a directory that cannot be opened.
func unlessGone(root *os.Root, name string, was fs.FileInfo, err error, seen seer) error {
	if now, lost := root.Lstat(name); was != nil && (lost != nil || !os.SameFile(was, now)) {
		return nil
	}
	return seen(name, nil, err)
}
