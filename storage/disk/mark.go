package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
)

// A disk without a serial number, with no partition table on it, has nothing that it could be known by again until its new
// content is whole. It gets a mark beforehand, at the begin of its last edge: the identifier that was chosen and is in the journal. What
// is made there does not reach so far, or has its own identifier by then. Who finds the mark beside half of something knows
// whose it is. It stays, in what is free space from then on.

func mark(uuid string) []byte { return []byte("appliance: to become " + uuid) }

// start writes down that something is made of a device, and readies it: it is wiped if it is given up, and marked if nothing else
// names it.
func (r *run) start(ctx context.Context, e entry, d *Device, wipe bool, uuid string) error {
	e.Devices = []identity{identityOf(d)}
	if err := r.journal.begin(e); err != nil {
		return err
	}
	if wipe {
		if err := r.wipe(ctx, d); err != nil {
			return err
		}
	}
	if !unnamed(d) {
		return nil
	}
	if err := r.sys.Observe("write", d.Path); err != nil {
		return err
	}
	sector := make([]byte, d.sector)
	copy(sector, mark(uuid))
	file, err := os.OpenFile(d.Path, os.O_WRONLY|os.O_EXCL|os.O_SYNC, 0)
	if err == nil {
		defer file.Close()
		_, err = file.WriteAt(sector, int64(d.Size-edge))
	}
	if err != nil {
		return fmt.Errorf("cannot mark %s: %w", d.Path, err)
	}
	return nil
}

// unnamed says that a device has no identity of its own, and room for a mark beside what a filesystem begins with.
func unnamed(d *Device) bool { return !identityOf(d).strong() && d.Size >= 16*edge }

// marked says whether a device bears the mark of an entry.
func (e *entry) marked(d *Device) (bool, error) {
	if !unnamed(d) {
		return false, nil
	}
	_, last, err := edges(d)
	for _, uuid := range e.UUIDs {
		if err == nil && bytes.HasPrefix(last, mark(uuid)) {
			return true, nil
		}
	}
	return false, err
}
