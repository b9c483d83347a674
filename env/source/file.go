package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// EnvPath is where an operator writes the environment of this host.
const EnvPath = "/app/env.yml"

// envYML asks the file that the variable names. One that is not there is no error, as it always was.
func (s *search) envYML(context.Context) (*UserData, error) {
	if s.EnvYML == "" {
		return nil, absent{why: "the variable is not set", unasked: true}
	}
	path := s.EnvYML
	if s.System.Real() { // below a root there is no directory that we are in
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		path = absolute
	}
	return s.ownFile(path)
}

func (s *search) envFile(context.Context) (*UserData, error) { return s.ownFile(EnvPath) }

// ownFile is a file that somebody wrote for this host alone. An empty one has lost its document: what another source has
// must not take its place. (Seeds are often empty: cloud-init wants the file to be there.)
func (s *search) ownFile(path string) (*UserData, error) {
	found, err := s.hostFile("file", path)
	var none absent
	if errors.As(err, &none) {
		if _, failed := s.System.Stat(path); failed == nil {
			return nil, remedy.With(fmt.Errorf("%s: it is empty", path), "write the environment to it, or remove it")
		}
	}
	return found, err
}

// hostFile is the document in a file of the host.
func (s *search) hostFile(name, path string) (*UserData, error) {
	file, err := os.OpenFile(s.System.Path(path), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not make us wait
	if errors.Is(err, fs.ErrNotExist) {
		if s.System.Exists(path) { // not absent: what it means may be on a disk that is not mounted
			return nil, remedy.With(fmt.Errorf("%s is a link to something that is not there", path), "mount what it leads to, or remove the link")
		}
		return nil, absent{why: "there is no " + path}
	}
	if err != nil {
		return nil, remedy.With(fmt.Errorf("%s: %w", path, cause(err)), "make "+path+" a readable file")
	}
	defer file.Close()
	if err := refuseForeign(file, path); err != nil {
		return nil, err
	}
	packed, err := readFile(file, s.Limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	found, err := s.userData(name, path, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	found.Path = path
	return found, nil
}

// refuseForeign refuses a file of somebody who is neither root nor us: its owner could change what runs here.
func refuseForeign(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", path, cause(err))
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	if uid == 0 || int(uid) == os.Geteuid() {
		return nil
	}
	owner := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner += " (" + u.Username + ")"
	}
	return remedy.With(fmt.Errorf("%s: it belongs to user %s, who could change what runs here", path, owner),
		"look at what is in it, then: chown root "+path)
}

// readFile reads a regular file of at most limit bytes; of a larger one it reads nothing.
func readFile(file fs.File, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, remedy.With(errors.New("it is no regular file"), "put a regular file there")
	}
	if info.Size() > limit {
		return nil, tooLarge(limit)
	}
	return readLimited(file, limit)
}

// readLimited reads to the end, or answers an error where that is more than limit bytes away.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, cause(err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(limit)
	}
	return data, nil
}

func tooLarge(limit int64) error {
	return remedy.With(fmt.Errorf("it is larger than the %d bytes that an environment may have", limit), "move large content out of the environment")
}

// cause leaves out the path that the file functions put into their errors: ours name the path on the host.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// File reads one further file of the host with the same care: its owner, its size, its packing.
func File(sys *system.System, path string, limit int64) (*UserData, error) {
	s := &search{Config: Config{System: sys, Limit: limit}}
	found, err := s.hostFile("file", path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the environment: %w", err)
	}
	return found, nil
}

// IsAbsent says whether err of File means that there is no such file, or that it is empty.
func IsAbsent(err error) bool {
	var none absent
	return errors.As(err, &none)
}
