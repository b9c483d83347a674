package disk

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"appliance/env"
)

// verdict is whether a device may be given other content.
type verdict struct {
	may    bool
	why    string
	wipe   bool   // first, with all that is on it
	serial string // by which it is given up
	resume bool   // it was being made
}

// mayReplace judges a device by what is on it, by the journal and by the serial numbers that the environment gives up. ours says
// that what is on it can be told to be what was being made.
func (r *run) mayReplace(ctx context.Context, step string, d *Device, ours bool) (verdict, error) {
	if used := r.inUse(d); used != "" {
		return verdict{why: "it is in use: " + used}, nil
	}
	if d.readOnly {
		return verdict{why: "it is read-only"}, nil
	}
	c, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return verdict{}, err
	}
	e := r.journal.of(step)
	begun := e != nil && e.Done == nil
	if begun && !ours && !c.signed() { // a signature that is not ours is of somebody who came after the cut
		if ours, err = e.marked(d); err != nil {
			return verdict{}, err
		}
		ours = ours || e.unfinished(d)
	}
	if begun && ours {
		return verdict{may: true, resume: true, wipe: e.Serial != "", serial: e.Serial, why: "it was begun and is not finished"}, nil
	}
	given := d.Serial != "" && slices.Contains(r.wanted.Overwrite, d.Serial)
	if other := e.elsewhere(d); other != "" && !given && !r.all {
		return verdict{why: fmt.Sprintf("it was made before on the disk with the serial number %s, and this is another one; if that disk is gone for good, `appliance storage apply --all` makes it anew", other)}, nil
	}
	if c.blank() && len(d.children) == 0 {
		return verdict{may: true, why: "it is empty"}, nil
	}
	holds := "it holds " + c.String()
	if c.blank() {
		holds = "it is empty, but the kernel still knows what was on it (`partx --delete " + d.Path + "`)"
	}
	if begun {
		holds += ", and cannot be told to be what was being made before"
	}
	if !given {
		return verdict{why: holds}, nil
	}
	for _, on := range r.below(d) {
		if on.label == env.DataLabel || on.label == env.VolatileLabel {
			return verdict{why: fmt.Sprintf("%s, and on %s is a filesystem with the label %s, which is never overwritten: wipe it by hand if it is of no more use", holds, on.Path, on.label)}, nil
		}
	}
	return verdict{may: true, wipe: true, serial: d.Serial, why: holds + ", which is given up by its serial number " + d.Serial}, nil
}

// judged makes a step of a verdict.
func (v verdict) judged(commands ...string) Step {
	if !v.may {
		return Step{State: Refused, Why: v.why, anew: true}
	}
	return Step{State: ToDo, Why: v.why, Commands: commands, anew: true}
}

// wipe takes all signatures from a device and what lies on it, innermost first, and empties its edges. Nothing is forced: the
// kernel refuses what has come into use since the last look, and is asked for all of the device before a part of it is gone.
func (r *run) wipe(ctx context.Context, d *Device) error {
	alone, err := os.OpenFile(d.Path, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		return fmt.Errorf("cannot empty %s: %w", d.Path, err)
	}
	alone.Close()
	all := r.below(d)
	slices.Reverse(all)
	for _, part := range all {
		if _, err := r.sys.Command(ctx, "wipefs", "--all", "--quiet", part.Path); err != nil {
			return err
		}
	}
	return r.empty(ctx, d.Path, [2]uint64{0, d.Size})
}

// empty writes zeros to both edges of areas of a device, each from and to in bytes.
func (r *run) empty(ctx context.Context, device string, areas ...[2]uint64) error {
	for _, area := range areas {
		from, to := area[0], area[1]
		n := min(edge, to-from)
		for _, at := range slices.Compact([]uint64{from, to - n}) {
			if _, err := r.sys.Command(ctx, "blkdiscard", "--zeroout", "--offset", strconv.FormatUint(at, 10),
				"--length", strconv.FormatUint(n, 10), device); err != nil {
				return err
			}
		}
	}
	return nil
}

// refusal is the verdict as an error, when something has come onto a device since it was planned for.
func (v verdict) refusal() error {
	if v.may {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrRefused, v.why)
}
