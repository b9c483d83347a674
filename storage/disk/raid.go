package disk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
)

// array is a software RAID. The kernel may call it otherwise than the environment: it is known by its members.
type array struct{ env.Array }

func (a *array) name() string    { return "array " + a.Device }
func (a *array) device() string  { return "" } // it runs without some of its members too
func (a *array) needs() []string { return a.Devices }
func (a *array) makes() []string { return []string{a.Device} }

// members are its devices, each as often as it is named; nil is one that is not there.
func (a *array) members(r *run) (list []*Device, absent string) {
	for _, name := range a.Devices {
		d := r.find(name)
		if d == nil {
			absent = cmp.Or(absent, name)
		}
		list = append(list, d)
	}
	return list, absent
}

// begun answers the identifier of the array while it is not finished.
func (a *array) begun(r *run) string {
	if e := r.journal.of(a.name()); e != nil && e.Done == nil {
		return e.UUIDs["array"]
	}
	return ""
}

func (a *array) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	members, absent := a.members(r)
	if d := r.find(a.Device); d != nil {
		if own := a.begun(r); slices.ContainsFunc(members, func(m *Device) bool { return m != nil && m.seen != nil && sameUUID(m.seen.uuid, own) }) {
			return Step{State: ToDo, Why: "it was begun and is not finished", Commands: []string{"blkdiscard --zeroout " + d.Path}, anew: true}, nil
		}
		return Step{State: Done, Why: "it runs as " + d.Path}, nil
	}
	if absent != "" {
		return Step{State: Refused, Why: "there is no device " + absent, anew: true, gone: true}, nil
	}
	if twice := sameDisk(members); twice != "" {
		return Step{State: Refused, Why: "two of its devices are one and the same: " + twice, anew: true}, nil
	}
	return a.judge(ctx, r, members)
}

// sameDisk names two devices that are one, by another name or on another way to it.
func sameDisk(members []*Device) string {
	for i, a := range members {
		for _, b := range members[:i] {
			if a == b || identityOf(a).is(identityOf(b)) {
				return b.Path + " and " + a.Path
			}
		}
	}
	return ""
}

// judge tells what is to be done with members of an array that does not run.
func (a *array) judge(ctx context.Context, r *run, members []*Device) (Step, error) {
	own, why := a.begun(r), ""
	var found []string // UUIDs of members
	for i, d := range members {
		c, err := contentOf(ctx, r.sys, d)
		if err != nil {
			return Step{}, err
		}
		if c.kind == "linux_raid_member" && (own == "" || sameUUID(c.uuid, own)) {
			found = append(found, c.uuid)
			continue
		}
		v, err := r.mayReplace(ctx, a.name(), d, false)
		if err != nil || !v.may {
			return v.judged(), err
		}
		why = cmp.Or(why, a.Devices[i]+": "+v.why)
	}
	switch {
	case len(slices.Compact(found)) > 1:
		return Step{State: Refused, Why: "its devices are members of different arrays", anew: true}, nil
	case len(found) == len(members):
		return Step{State: ToDo, Why: "it does not run", Commands: []string{strings.Join(a.assemble(found[0], members), " ")}}, nil
	case len(found) == 0, own != "":
		return Step{State: ToDo, Why: cmp.Or(why, "it was begun and is not finished"), Commands: []string{strings.Join(a.create("…", members), " ")}, anew: true}, nil
	}
	return Step{State: Refused, Why: fmt.Sprintf("only %d of its %d devices are members of an array", len(found), len(members)), anew: true}, nil
}

// sameUUID compares as blkid writes it, 8-4-4-4-12, and as mdadm does, in four groups with colons.
func sameUUID(a, b string) bool {
	plain := strings.NewReplacer("-", "", ":", "")
	return a != "" && strings.EqualFold(plain.Replace(a), plain.Replace(b))
}

func (a *array) create(uuid string, members []*Device) []string {
	argv := []string{"mdadm", "--create", a.Device, "--run", "--homehost=any", "--level=" + a.Level, "--uuid=" + uuid, "--raid-devices=" + strconv.Itoa(len(members))}
	for _, option := range a.Options {
		argv = append(argv, option.String())
	}
	return append(argv, paths(members)...)
}

func (a *array) assemble(uuid string, members []*Device) []string {
	return append([]string{"mdadm", "--assemble", "--run", "--uuid=" + uuid, a.Device}, paths(members)...)
}

func paths(devices []*Device) (list []string) {
	for _, d := range devices {
		list = append(list, d.Path)
	}
	return list
}

func (a *array) take(ctx context.Context, r *run, _ *Device) error {
	step, err := a.see(ctx, r, nil)
	if err != nil || step.State != ToDo {
		return cmp.Or(err, step.refusal())
	}
	members, _ := a.members(r)
	switch {
	case r.find(a.Device) != nil:
	case !step.anew:
		c, err := contentOf(ctx, r.sys, members[0])
		if err == nil {
			_, err = r.sys.Command(ctx, a.assemble(c.uuid, members)...)
		}
		return err
	default:
		if err := a.make(ctx, r, members); err != nil {
			return err
		}
	}
	return a.blank(ctx, r)
}

func (a *array) make(ctx context.Context, r *run, members []*Device) error {
	e := entry{Step: a.name()}
	var all verdict
	for _, d := range members {
		c, err := contentOf(ctx, r.sys, d)
		if err != nil {
			return err
		}
		v, err := r.mayReplace(ctx, a.name(), d, sameUUID(c.uuid, a.begun(r)))
		if err != nil || !v.may {
			return cmp.Or(err, v.refusal())
		}
		all.resume = all.resume || v.resume
		e.Serial = cmp.Or(e.Serial, v.serial)
		e.Devices = append(e.Devices, identityOf(d))
	}
	e.UUIDs = r.journal.chosen(a.name(), all, map[string]string{"array": newUUID()})
	if err := r.journal.begin(e); err != nil {
		return err
	}
	for _, d := range members {
		if err := r.wipe(ctx, d); err != nil {
			return err
		}
	}
	if _, err := r.sys.Command(ctx, a.create(e.UUIDs["array"], members)...); err != nil {
		return err
	}
	return r.again(ctx)
}

// blank empties the edges of a new array: of what was on its members only their own edges were. Where there is a signature,
// somebody has used it meanwhile.
func (a *array) blank(ctx context.Context, r *run) error {
	d := r.find(a.Device)
	if d == nil {
		return fmt.Errorf("cannot find the array %s: %w", a.Device, errKernel("md"))
	}
	has, err := contentOf(ctx, r.sys, d)
	if err != nil || has.signed() {
		return err
	}
	return r.empty(ctx, d.Path, [2]uint64{0, d.Size})
}
