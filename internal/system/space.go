package system

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is how much a file system holds, in bytes and files.
type Space struct {
	Size, Free uint64 // Free is for everybody but root
	Files      uint64 // that can still be made
	AllFiles   uint64 // of them and those there are; 0 is not limited
}

// Space tells of the file system that path lies on, or would lie on once it is made.
func (s *System) Space(path string) (Space, error) {
	real, err := s.resolve(path)
	if err != nil {
		return Space{}, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(real, &fs); err != nil {
		return Space{}, fmt.Errorf("cannot tell the space at %s: %w", path, err)
	}
	block := uint64(fs.Bsize)
	return Space{Size: fs.Blocks * block, Free: fs.Bavail * block, Files: fs.Ffree, AllFiles: fs.Files}, nil
}
