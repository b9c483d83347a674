package disk

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"appliance/env"
	"appliance/internal/system"
)

// format is a filesystem, or swap, on a device.
type format struct{ env.Format }

// swapOn is a device that is named only as swap.
func swapOn(device string) env.Format { return env.Format{Device: device, Type: "swap"} }

func (f *format) name() string    { return f.Type + " on " + f.Device }
func (f *format) device() string  { return f.Device }
func (f *format) needs() []string { return []string{f.Device} }

func (f *format) makes() []string {
	names := []string{"fs " + f.Device}
	if f.Label != "" {
		names = append(names, byLabel(f.Label))
	}
	return names
}

func byLabel(label string) string { return "/dev/disk/by-label/" + label }

func (f *format) command(d *Device, uuid string) []string {
	argv := map[string][]string{"ext4": {"mkfs.ext4", "-q", "-F", "-U", uuid}, "xfs": {"mkfs.xfs", "-q", "-f", "-m", "uuid=" + uuid}, "swap": {"mkswap", "-U", uuid}}[f.Type]
	if f.Label != "" {
		argv = append(argv, "-L", f.Label)
	}
	if unnamed(d) { // a discard would take the mark
		switch {
		case f.Type == "xfs":
			argv = append(argv, "-K")
		case f.Type == "ext4" && !slices.ContainsFunc(f.Options, func(o string) bool { return strings.HasPrefix(o, "-E") }):
			argv = append(argv, "-E", "nodiscard")
		}
	}
	return append(append(argv, f.Options...), d.Path)
}

func (f *format) see(ctx context.Context, r *run, d *Device) (Step, error) {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return Step{}, err
	}
	e := r.journal.of(f.name())
	own := f.own(e, has)
	switch {
	case own:
		if whole, err := f.whole(ctx, r, d); err != nil || whole {
			return Step{State: Done, Why: "it is there"}, err
		}
	case has.kind == f.Type && (f.Label == "" || has.label == f.Label) && has.table == "" && !e.unfinished(d):
		return Step{State: Done, Why: "it is there"}, nil
	}
	if others := r.labelled(f.Label); f.Label != "" && len(others) > 0 && others[0] != d {
		return Step{State: Refused, Why: fmt.Sprintf("%s has the label %s already", others[0].Path, f.Label), anew: true}, nil
	}
	v, err := r.mayReplace(ctx, f.name(), d, own)
	return v.judged(strings.Join(f.command(d, "…"), " ")), err
}

// own says that what is on the device has the identifier that was chosen for it by a format that is not finished.
func (f *format) own(e *entry, has content) bool {
	return e != nil && e.Done == nil && has.kind == f.Type && strings.EqualFold(has.uuid, e.UUIDs["fs"])
}

// whole says whether a format that was cut off had come to its end. A filesystem that was in use since is whole, whatever
// a check of it finds: it must not be made again.
func (f *format) whole(ctx context.Context, r *run, d *Device) (bool, error) {
	if r.inUse(d) != "" {
		return true, nil
	}
	switch f.Type {
	case "ext4":
		_, err := r.sys.Query(ctx, "e2fsck", "-n", "-f", d.Path)
		if err == nil {
			return true, nil
		}
		if system.Status(err) < 0 {
			return false, err
		}
		out, err := r.sys.Query(ctx, "dumpe2fs", "-h", d.Path) // it also fails after it has told of a superblock, over a damaged journal
		_, last, told := strings.Cut(out, "Last mount time:")
		if !told {
			return false, fmt.Errorf("cannot tell whether the filesystem on %s was ever in use: %w", d.Path, cmp.Or(err, errors.New("dumpe2fs does not say so")))
		}
		return !strings.HasPrefix(strings.TrimSpace(last), "n/a"), nil
	case "xfs":
		return xfsWhole(d)
	}
	return false, nil // there is nothing of value in swap
}

// xfsWhole reads from the superblock whether mkfs has come to its end: it sets sb_inprogress, the byte at 126, until then.
func xfsWhole(d *Device) (bool, error) {
	file, err := os.Open(d.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var sb [512]byte
	if _, err := file.ReadAt(sb[:], 0); err != nil {
		return false, err
	}
	return binary.BigEndian.Uint32(sb[:]) == 0x58465342 && sb[126] == 0, nil // "XFSB"
}

func (f *format) take(ctx context.Context, r *run, d *Device) error {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return err
	}
	v, err := r.mayReplace(ctx, f.name(), d, f.own(r.journal.of(f.name()), has))
	if err != nil || !v.may {
		return cmp.Or(err, v.refusal())
	}
	uuids := r.journal.chosen(f.name(), v, map[string]string{"fs": newUUID()})
	if err := r.start(ctx, entry{Step: f.name(), UUIDs: uuids, Serial: v.serial}, d, v.wipe, uuids["fs"]); err != nil {
		return err
	}
	_, err = r.sys.Command(ctx, f.command(d, uuids["fs"])...)
	return err
}
