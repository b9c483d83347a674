package disk

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"appliance/env"
)

// array is a software RAID. The kernel may call it otherwise than the environment: it is known by its members.
type array struct{ env.Array }

func (a *array) name() string    { return "array " + a.Device }
func (a *array) device() string  { return a.Devices[0] }
func (a *array) needs() []string { return a.Devices }
func (a *array) makes() []string { return []string{a.Device} }

func (a *array) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	if d := r.find(a.Device); d != nil {
		return Step{State: Done, Why: "it runs as " + d.Path}, nil
	}
	var found []string // UUIDs of members
	why := ""
	for _, name := range a.Devices {
		d := r.find(name)
		if d == nil {
			return Step{State: Refused, Why: "there is no device " + name, anew: true}, nil
		}
		c, err := contentOf(ctx, r.sys, d)
		if err != nil {
			return Step{}, err
		}
		e := r.journal.of(a.name())
		if c.kind == "linux_raid_member" && (e == nil || e.Done != nil || sameUUID(c.uuid, e.UUIDs["array"])) {
			found = append(found, c.uuid)
			continue
		}
		v, err := r.mayReplace(ctx, a.name(), d, false)
		if err != nil || !v.may {
			return v.judged(), err
		}
		why = cmp.Or(why, name+": "+v.why)
	}
	switch e := r.journal.of(a.name()); {
	case len(found) == 0, e != nil && e.Done == nil && len(found) < len(a.Devices):
		return Step{State: ToDo, Why: cmp.Or(why, "it was begun and is not finished"), Commands: []string{strings.Join(a.create("…"), " ")}, anew: true}, nil
	case len(found) < len(a.Devices):
		return Step{State: Refused, Why: fmt.Sprintf("only %d of its %d devices are members of an array", len(found), len(a.Devices)), anew: true}, nil
	}
	return Step{State: ToDo, Why: "it does not run", Commands: []string{strings.Join(a.assemble(found[0]), " ")}}, nil
}

// sameUUID compares as blkid writes it, 8-4-4-4-12, and as mdadm does, in four groups with colons.
func sameUUID(a, b string) bool {
	plain := strings.NewReplacer("-", "", ":", "")
	return a != "" && strings.EqualFold(plain.Replace(a), plain.Replace(b))
}

func (a *array) create(uuid string) []string {
	argv := []string{"mdadm", "--create", a.Device, "--run", "--homehost=any", "--level=" + a.Level, "--uuid=" + uuid, "--raid-devices=" + strconv.Itoa(len(a.Devices))}
	for _, option := range a.Options {
		argv = append(argv, option.String())
	}
	return append(argv, a.Devices...)
}

func (a *array) assemble(uuid string) []string {
	return append([]string{"mdadm", "--assemble", "--run", "--uuid=" + uuid, a.Device}, a.Devices...)
}

func (a *array) take(ctx context.Context, r *run, _ *Device) error {
	step, err := a.see(ctx, r, nil)
	if err != nil || step.State != ToDo {
		return err
	}
	if !step.anew {
		c, err := contentOf(ctx, r.sys, r.find(a.Devices[0]))
		if err == nil {
			_, err = r.sys.Command(ctx, a.assemble(c.uuid)...)
		}
		return err
	}
	e := entry{Step: a.name(), UUIDs: map[string]string{"array": newUUID()}}
	for _, name := range a.Devices {
		d := r.find(name)
		v, err := r.mayReplace(ctx, a.name(), d, false)
		if err != nil {
			return err
		}
		if v.wipe {
			e.Serial = v.serial
		}
		e.Devices = append(e.Devices, identityOf(d))
	}
	if err := r.journal.begin(e); err != nil {
		return err
	}
	for _, name := range a.Devices {
		if err := r.wipe(ctx, r.find(name)); err != nil {
			return err
		}
	}
	if _, err := r.sys.Command(ctx, a.create(e.UUIDs["array"])...); err != nil {
		return err
	}
	if err := r.again(ctx); err != nil {
		return err
	}
	d := r.find(a.Device)
	if d == nil {
		return fmt.Errorf("cannot find the array %s: %w", a.Device, errKernel("md"))
	}
	return r.empty(ctx, d.Path, [2]uint64{0, d.Size})
}
