package storage

import (
	"context"
	"fmt"
	"strings"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Volume is a file system that places of the layout lie on. It is found by its label.
type Volume struct{ Name, Path, Label string }

// Volumes are those of every appliance. The environment may do without a file system of their own (storage.ignore).
var Volumes = []Volume{
	{"data", "/data", "ecs-data"},
	{"volatile", "/volatile", "ecs-volatile"},
}

// Found is what a host has for a Volume.
type Found struct {
	Volume
	Required bool         // a file system of its own with the label
	Mount    system.Mount // that its path lies on
	Mounted  bool         // at its very path, and with the label
	Stranger bool         // something else is mounted there
	Devices  []string     // with the label
}

// Find looks for a volume. On a directory that stands for a host nothing is required: it has no file systems of its own.
func (v Volume) Find(ctx context.Context, sys *system.System, required bool) (Found, error) {
	f := Found{Volume: v, Required: required && sys.Real()}
	mount, there, err := sys.MountOf(v.Path)
	if err != nil {
		return f, err
	}
	f.Mount = mount
	if !sys.Real() {
		return f, nil
	}
	if f.Devices, err = sys.Labelled(ctx, v.Label); err != nil {
		return f, err
	}
	for _, device := range f.Devices {
		f.Mounted = f.Mounted || there && mount.From(device)
	}
	f.Stranger = there && !f.Mounted
	return f, nil
}

// Stands says why a volume that could be used cannot be used any more: it has gone, or the kernel does not let it be written. It
// asks no device, so that it can be called often.
func (v Volume) Stands(sys *system.System, required bool) error {
	mount, there, err := sys.MountOf(v.Path)
	if err != nil {
		return err
	}
	f := Found{Volume: v, Mount: mount, Mounted: there, Required: required && sys.Real()}
	if f.Required && !there {
		return f.error("its file system is not mounted any more", fmt.Sprintf("see in `journalctl -k` why, then `mount LABEL=%s %s`", f.Label, f.Path))
	}
	return f.Wrong()
}

// Wrong says why the volume cannot be used, and what to do; nil is that it can.
func (f Found) Wrong() error {
	switch {
	case f.Required && f.Stranger:
		return f.error(fmt.Sprintf("%s is mounted there, which is not labelled %s", f.Mount.Source, f.Label),
			fmt.Sprintf("label it (`e2label %s %s`, or `xfs_admin -L %[2]s` once it is unmounted) or mount the right one; or set appliance.storage.ignore.%[3]s: true", f.Mount.Source, f.Label, f.Name))
	case f.Required && !f.Mounted && len(f.Devices) > 1:
		return f.error(fmt.Sprintf("%s are all labelled %s", strings.Join(f.Devices, " and "), f.Label), DoubtToDo)
	case f.Required && !f.Mounted && len(f.Devices) == 1:
		return f.error(fmt.Sprintf("the file system labelled %s is not mounted there", f.Label), fmt.Sprintf("`mount %s %s`, and see why it was not mounted at boot", f.Devices[0], f.Path))
	case f.Required && !f.Mounted:
		return f.error("there is no file system labelled "+f.Label,
			fmt.Sprintf("attach or unlock it, or describe it in appliance.storage.setup; to keep this on the disk of the system set appliance.storage.ignore.%s: true", f.Name))
	case f.Mount.ReadOnly:
		return f.error(fmt.Sprintf("its file system (%s) is read-only", f.Mount.Source),
			fmt.Sprintf("see in `journalctl -k` why, a failing disk may be the cause; then `mount -o remount,rw %s`", f.Mount.Point))
	}
	return nil
}

func (f Found) error(why, todo string) error {
	return remedy.With(fmt.Errorf("cannot use %s: %s", f.Path, why), todo)
}

// DoubtToDo is how a doubt is resolved.
const DoubtToDo = "detach or relabel all but the right one (`e2label`, `xfs_admin -L`)"

// Doubt says what is not right with a volume that can be used; "" is nothing.
func (f Found) Doubt() string {
	if len(f.Devices) > 1 {
		return fmt.Sprintf("%s are all labelled %s: which of them the next boot takes is not certain", strings.Join(f.Devices, " and "), f.Label)
	}
	return ""
}
