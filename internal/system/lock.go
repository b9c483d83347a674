package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// Lock takes the advisory lock at path for as long as the returned file stays open, and writes our PID into it. The lock
// belongs to the open file and not to the process, so it goes along through an exec that keeps the descriptor.
// It answers ErrLocked, with the holder's PID in the text, when somebody else has it.
func (s *System) Lock(path string) (*os.File, error) {
	if err := s.Mkdir(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := s.Observe("lock", path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(s.Path(path), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		holder, _ := s.ReadFile(path) // only for the message
		return nil, fmt.Errorf("cannot lock %s: %w (PID %s)", path, ErrLocked, strings.TrimSpace(string(holder)))
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return file, nil
}
