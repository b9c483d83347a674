// Package disk makes volumes of disks as appliance.storage.setup says: partition tables, arrays, encrypted devices, volume
// groups, filesystems, mounts and swap. It first looks and plans, and can do so without changing anything; what it then does, it
// does step by step, each in a journal before it begins, so that a cut at any point is gone on from.
//
// Nothing that holds anything is ever given another content: a signature of any kind, or an edge of two MiB that is not
// empty, keeps a device as it is. There are two exceptions. What the journal says was being made, and what can be told to be
// that very thing, by identifiers that were chosen and written down before, is made again. And a disk whose serial number
// stands in appliance.storage.overwrite is given up, but never one that is in use or has our own data on it.
package disk

import (
	"context"
	"log/slog"
	"slices"

	"appliance/env"
	"appliance/internal/system"
)

// Dir is where the journal and the backups of LUKS headers are: with the state, on the root disk, since they must be there
// when a volume is not.
const Dir = "/var/lib/appliance/storage"

// Config says what is wanted, and of which host.
type Config struct {
	System *system.System // below whose root journal, units and mount points are; devices are the machine's own
	Wanted env.Volumes
	All    bool // make also what is missing while every required filesystem is there: an operator orders it
	Log    *slog.Logger
}

// Volumes plans and makes volumes. One process at a time may do so.
type Volumes struct {
	sys    *system.System
	wanted env.Volumes
	all    bool
	log    *slog.Logger
}

// New returns the volumes that c wants.
func New(c Config) *Volumes {
	return &Volumes{sys: c.System.Plain(), wanted: c.Wanted, all: c.All, log: c.Log}
}

// State is how a step stands.
type State string

// The states of a step.
const (
	Done    State = "done"
	ToDo    State = "to do"
	Waits   State = "waits"   // for a step before it, which makes the device; what is on that is seen then
	Refused State = "refused" // it would destroy something, or cannot work
)

// Step is one thing that makes the volumes what they should be.
type Step struct {
	What     string   `json:"what"` // such as "partitions of /dev/vdb"
	Device   *Device  `json:"device,omitempty"`
	State    State    `json:"state"`
	Why      string   `json:"why"`                // it has that state
	Commands []string `json:"commands,omitempty"` // that it would run; secrets are read from standard input

	gone bool // the device is not there
	anew bool // it gives a device other content, rather than to use what is there
}

// Plan is the steps in the order in which they are taken.
type Plan struct {
	Version int      `json:"version"`
	Missing []Tool   `json:"missing,omitempty"` // programs without which nothing is begun
	Steps   []Step   `json:"steps"`
	Absent  []string `json:"absent,omitempty"` // required labels that no filesystem has

	open string // a step that the journal has not seen the end of
}

// PlanVersion is that of the JSON form of plans.
const PlanVersion = 1

// Work says why there is something to do; "" is nothing. While every required filesystem is there, nothing new is made unless
// it was begun: only what is there is opened, mounted and grown.
func (p Plan) Work() string {
	for _, step := range p.Steps {
		if step.State != Done {
			return step.What + ": " + step.Why
		}
	}
	return p.open
}

// Refused lists the steps that are refused.
func (p Plan) Refused() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.State != Refused })
}

// Plan looks at the host and tells what Apply would do. It changes nothing.
func (v *Volumes) Plan(ctx context.Context) (Plan, error) {
	plan := Plan{Version: PlanVersion, Missing: v.missing(), Steps: []Step{}}
	if len(plan.Missing) > 0 {
		if v.wanted.Empty() { // a container may have neither disks nor these programs
			plan.Missing = nil
		}
		return plan, nil
	}
	r, err := v.begin(ctx)
	switch {
	case err != nil && v.wanted.Empty() && ctx.Err() == nil:
		v.log.Warn("the disks cannot be seen, and nothing is wanted of them", "err", err, "todo", "see why lsblk fails")
		return plan, nil
	case err != nil:
		return plan, err
	}
	plan.Absent = r.absent
	if e := r.journal.unfinished(); e != nil {
		plan.open = e.Step + ": the journal has not seen its end"
	}
	ahead := map[string]bool{} // devices that earlier steps will have made
	for _, t := range r.tasks {
		step, err := r.see(ctx, t, ahead)
		if err != nil {
			return plan, err
		}
		if step.State != Done {
			for _, name := range t.makes() {
				ahead[name] = true
			}
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan, nil
}
