package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"appliance/internal/system"
)

// HeaderPath is where the backup of a LUKS header is kept, by the UUID of the device.
func HeaderPath(uuid string) string { return Dir + "/luks-" + strings.ToLower(uuid) + ".header" }

// Header is a backup of a LUKS header, as cryptsetup luksHeaderRestore takes it: with the passphrase of its time it opens the
// device, whatever has become of the header there.
type Header struct {
	Name string
	Data []byte
}

// Headers answers the backups of the headers that this host has.
func Headers(sys *system.System) (list []Header, err error) {
	entries, err := os.ReadDir(sys.Path(Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for backups of LUKS headers: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "luks-") || !strings.HasSuffix(entry.Name(), ".header") {
			continue
		}
		data, err := sys.ReadFile(filepath.Join(Dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("cannot read a backup of a LUKS header: %w", err)
		}
		list = append(list, Header{entry.Name(), data})
	}
	return list, nil
}

// backUpHeader keeps a copy of the header: without one, a damaged sector costs all data. It is with the state on the root disk
// since a copy on the device itself would be locked with it.
func (r *run) backUpHeader(ctx context.Context, d *Device, uuid string) error {
	if err := r.sys.Mkdir(Dir, 0o700); err != nil {
		return err
	}
	whole := HeaderPath(uuid) + ".new"
	if err := r.sys.Remove(whole); err != nil { // of a try before: the program overwrites none
		return err
	}
	if _, err := r.sys.Command(ctx, "cryptsetup", "luksHeaderBackup", d.Path, "--header-backup-file", r.sys.Path(whole)); err != nil {
		return err
	}
	data, err := r.sys.ReadFile(whole)
	if err != nil {
		return fmt.Errorf("cannot read the backup of the header: %w", err)
	}
	if err := r.sys.WriteFile(HeaderPath(uuid), trim(data), 0o600); err != nil {
		return err
	}
	return r.sys.Remove(whole)
}

// headerIsOld says whether there is no backup of a header as it is now. Each change of a header of LUKS2 counts up a number, the
// eight bytes at 16; one of LUKS1 has none, and its backup is taken for good.
func (r *run) headerIsOld(d *Device, uuid string) (bool, error) {
	backup, err := r.sys.ReadFile(HeaderPath(uuid))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the backup of a LUKS header: %w", err)
	}
	file, err := os.Open(d.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var now [24]byte
	if _, err := file.ReadAt(now[:], 0); err != nil {
		return false, fmt.Errorf("cannot read the header of %s: %w", d.Path, err)
	}
	return len(backup) < len(now) || bytes.HasPrefix(now[:], []byte("LUKS\xba\xbe\x00\x02")) && !bytes.Equal(backup[16:24], now[16:24]), nil
}

// trim empties what no key is in. cryptsetup fills it with noise: 16 MiB that nothing makes smaller, of which each key takes a
// quarter of one. The format is that of the LUKS2 specification, version 1.1; of anything else nothing is touched.
func trim(header []byte) []byte {
	if len(header) < 4096 || !bytes.HasPrefix(header, []byte("LUKS\xba\xbe\x00\x02")) {
		return header
	}
	size := binary.BigEndian.Uint64(header[8:16]) // of each of the two copies of the metadata
	if size < 4096 || size > uint64(len(header))/2 {
		return header
	}
	var metadata struct {
		Keyslots map[string]struct {
			Area struct{ Offset, Size string }
		}
	}
	text, _, _ := bytes.Cut(header[4096:size], []byte{0})
	if err := json.Unmarshal(text, &metadata); err != nil {
		return header
	}
	small := make([]byte, len(header))
	copy(small, header[:2*size])
	for _, slot := range metadata.Keyslots {
		from, err := strconv.ParseUint(slot.Area.Offset, 10, 40)
		length, sizeErr := strconv.ParseUint(slot.Area.Size, 10, 40)
		if err != nil || sizeErr != nil || from+length > uint64(len(header)) {
			return header
		}
		copy(small[from:from+length], header[from:from+length])
	}
	return small
}
