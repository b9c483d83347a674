package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"appliance/internal/disc"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// fromDrive reads the file called name on the one drive that has one of the labels.
func (s *search) fromDrive(ctx context.Context, source string, labels []string, name string) (*UserData, error) {
	found, err := s.drives(ctx, labels)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, absent{why: "there is no drive labelled " + labels[0]}
	case len(found) > 1:
		return nil, remedy.With(fmt.Errorf("%s and %s are both labelled %s", found[0].device, found[1].device, labels[0]),
			"detach the one that is not meant for this machine")
	}
	place := fmt.Sprintf("%s (%s)", found[0].device, name)
	packed, err := found[0].read(s.System, name, s.Limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent{why: place + ": there is no such file"}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	data, err := s.userData(source, source+" on "+place, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return data, nil
}

// drive is a device with a file system that seeds are made of.
type drive struct {
	device     string
	fileSystem string // as the kernel calls it
	info       fs.FileInfo
}

// drives answers the drives with one of the labels, each once. Those of other file systems are none: a hard disk may be
// labelled by chance.
func (s *search) drives(ctx context.Context, labels []string) ([]drive, error) {
	if s.Machine.Drives == nil {
		return nil, absent{why: "there are no drives here", unasked: true}
	}
	var found []drive
	for _, label := range labels {
		devices, err := s.Machine.Drives(ctx, label)
		if err != nil {
			return nil, err
		}
		for _, device := range devices {
			d, err := examine(device)
			if err != nil {
				return nil, err
			}
			if d.fileSystem != "" && !d.isIn(found) {
				found = append(found, d)
			}
		}
	}
	return found, nil
}

func (d drive) isIn(others []drive) bool {
	for _, other := range others {
		a, b := d.info.Sys().(*syscall.Stat_t), other.info.Sys().(*syscall.Stat_t)
		if os.SameFile(d.info, other.info) || a.Rdev != 0 && a.Rdev == b.Rdev {
			return true
		}
	}
	return false
}

// examine looks which file system is on a device. The name is left out for one that is no seed.
func examine(device string) (drive, error) {
	file, err := os.Open(device)
	if err != nil {
		return drive{}, remedy.With(fmt.Errorf("%s: %w", device, cause(err)), "attach the drive again, or detach it")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return drive{}, fmt.Errorf("%s: %w", device, cause(err))
	}
	d := drive{device: device, info: info}
	magic, boot := make([]byte, 5), make([]byte, 512)
	if _, err := file.ReadAt(magic, 16*2048+1); err == nil && string(magic) == "CD001" {
		d.fileSystem = "iso9660"
		return d, nil
	}
	if _, err := file.ReadAt(boot, 0); err != nil && !errors.Is(err, io.EOF) {
		return d, remedy.Passing(remedy.With(fmt.Errorf("%s: %w", device, cause(err)), "replace the drive, or detach it"))
	}
	if boot[510] == 0x55 && boot[511] == 0xaa && (string(boot[54:57]) == "FAT" || string(boot[82:85]) == "FAT") {
		d.fileSystem = "vfat"
	}
	return d, nil
}

// read reads a file of the drive: through the kernel, or in user space where the kernel cannot or we may not.
func (d drive) read(sys *system.System, name string, limit int64) ([]byte, error) {
	root, err := sys.OpenDrive(d.device, d.fileSystem)
	if system.CannotMount(err) {
		return d.readImage(name, limit)
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not make us wait
	if err != nil {
		return nil, cause(err)
	}
	defer file.Close()
	return readFile(file, limit)
}

func (d drive) readImage(name string, limit int64) ([]byte, error) {
	file, err := os.Open(d.device)
	if err != nil {
		return nil, cause(err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd) // of a device too
	if err != nil {
		return nil, cause(err)
	}
	image, err := disc.Open(file, size)
	if err != nil {
		return nil, err
	}
	return image.ReadFile(name, limit)
}
