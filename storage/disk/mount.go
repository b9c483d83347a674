package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// mounts lists what is mounted and swapped to.
func (v *Volumes) mounts() (list []task) {
	late := len(v.wanted.Crypts) > 0 // only we can open what may be below
	for _, label := range v.wanted.Required() {
		dir := map[string]string{env.DataLabel: "/data", env.VolatileLabel: "/volatile"}[label]
		list = append(list, &mount{Mount: env.Mount{Dir: dir, Device: byLabel(label), MakeDir: true, Persist: true}, label: label, late: late})
	}
	for _, m := range v.wanted.Mounts {
		list = append(list, &mount{Mount: m, late: late})
	}
	slices.SortStableFunc(list, func(a, b task) int { return strings.Count(a.(*mount).Dir, "/") - strings.Count(b.(*mount).Dir, "/") })
	for _, device := range v.wanted.Swaps {
		list = append(list, &swap{dev: device, late: late})
	}
	if late {
		list = append(list, &opener{})
	}
	return list
}

// mount is a filesystem at its place. Below systemd it is a unit.
type mount struct {
	env.Mount
	label string // of one of ours; "" is any other
	late  bool   // it is started by us, not at boot
}

func (m *mount) name() string    { return "mount of " + m.Dir }
func (m *mount) device() string  { return "" }
func (m *mount) makes() []string { return nil }

func (m *mount) needs() []string {
	return []string{m.source(), "fs " + m.Device}
}

// source is the device as a path: LABEL=x and UUID=x are what udev links to.
func (m *mount) source() string {
	for prefix, dir := range map[string]string{"LABEL=": "by-label", "UUID=": "by-uuid", "PARTLABEL=": "by-partlabel", "PARTUUID=": "by-partuuid"} {
		if name, found := strings.CutPrefix(m.Device, prefix); found {
			return "/dev/disk/" + dir + "/" + name
		}
	}
	return m.Device
}

// on is the device that is to be mounted, or nil.
func (m *mount) on(r *run) *Device {
	if label, found := strings.CutPrefix(m.source(), byLabel("")); found {
		if all := r.labelled(label); len(all) == 1 {
			return all[0]
		}
		return nil
	}
	return r.find(m.source())
}

// at tells what is mounted at a directory: the path of a device, or what else the kernel calls a source; "" is nothing.
func (r *run) at(ctx context.Context, dir string) (string, error) {
	out, err := r.sys.Query(ctx, "findmnt", "--json", "--output", "SOURCE", "--mountpoint", r.sys.Path(dir))
	if system.Status(err) == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot tell what is mounted at %s: %w", dir, err)
	}
	var found struct{ Filesystems []struct{ Source string } }
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Filesystems) == 0 {
		return "", fmt.Errorf("cannot tell what is mounted at %s: %w", dir, err)
	}
	source, _, _ := strings.Cut(found.Filesystems[len(found.Filesystems)-1].Source, "[") // the subvolume, of btrfs
	return source, nil
}

func (m *mount) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	d := m.on(r)
	at, err := r.at(ctx, m.Dir)
	if err != nil {
		return Step{}, err
	}
	switch {
	case d == nil && m.label != "" && len(r.labelled(m.label)) > 1:
		return Step{State: Refused, Why: "several filesystems have the label " + m.label}, nil
	case d == nil && m.label != "": // whether it may be missing is not for us to say
		return Step{State: Done, Why: "there is no filesystem with the label " + m.label}, nil
	case d == nil && strings.HasPrefix(m.Device, "/dev/"):
		return Step{State: Refused, Why: "there is no device " + m.Device}, nil
	case at != "" && (d == nil || r.find(at) == d):
		if m.unitDiffers(r) {
			return Step{State: ToDo, Why: "its unit is not as it should be", Commands: []string{"write " + m.unitPath()}}, nil
		}
		return Step{State: Done, Why: "it is mounted"}, nil
	case at != "":
		return Step{State: Refused, Why: "something else is mounted there: " + at}, nil
	case d != nil && len(d.mounted) > 0 && m.label != "":
		return Step{State: Refused, Why: d.Path + " is mounted at " + d.mounted[0]}, nil
	}
	if file, err := m.inTheWay(r); err != nil || file != "" {
		return Step{State: Refused, Why: fmt.Sprintf("the directory is not empty, and what is in it would be hidden: %s", file)}, err
	}
	return Step{State: ToDo, Why: "it is not mounted", Commands: m.commands(r)}, nil
}

func (m *mount) commands(r *run) []string {
	if r.managed() {
		return []string{"write " + m.unitPath(), "systemctl start " + m.unit()}
	}
	return []string{strings.Join(m.argv(r), " ")}
}

func (m *mount) argv(r *run) []string {
	argv := []string{"mount"}
	if len(m.Options) > 0 {
		argv = append(argv, "-o", strings.Join(m.Options, ","))
	}
	source := m.Device
	if d := m.on(r); d != nil {
		source = d.Path
	}
	return append(argv, source, r.sys.Path(m.Dir))
}

// inTheWay names a file in the directory; directories alone are in nobody's way.
func (m *mount) inTheWay(r *run) (found string, err error) {
	err = filepath.WalkDir(r.sys.Path(m.Dir), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}

// managed says that systemd runs this host.
func (r *run) managed() bool {
	_, err := os.Stat("/run/systemd/system")
	return r.sys.Real() && err == nil
}

func (m *mount) take(ctx context.Context, r *run, _ *Device) error {
	if _, err := r.sys.Stat(m.Dir); errors.Is(err, fs.ErrNotExist) {
		if !m.MakeDir {
			return remedy.With(fmt.Errorf("cannot mount at %s: there is no such directory", m.Dir), "make it, or set mkmnt: true in appliance.storage.setup.mount")
		}
		if err := r.sys.Mkdir(m.Dir, 0o755); err != nil {
			return err
		}
	}
	if m.unitDiffers(r) {
		if err := r.place(m.unitPath(), m.render(), m.bootTarget()); err != nil {
			return err
		}
	}
	if at, err := r.at(ctx, m.Dir); err != nil || at != "" {
		return err
	}
	if r.managed() && m.Persist {
		_, err := r.sys.Command(ctx, "systemctl", "start", m.unit())
		if err == nil {
			return nil
		}
		r.log.Warn("systemd does not mount it, mount is tried", "unit", m.unit(), "err", err, "todo", "see `journalctl -b -u "+m.unit()+"`")
	}
	_, err := r.sys.Command(ctx, m.argv(r)...)
	return err
}

// swap is a device that is swapped to.
type swap struct {
	dev  string
	late bool
}

func (s *swap) name() string    { return "swap to " + s.dev }
func (s *swap) device() string  { return s.dev }
func (s *swap) needs() []string { return []string{s.dev, "fs " + s.dev} }
func (s *swap) makes() []string { return nil }

func (s *swap) see(ctx context.Context, r *run, d *Device) (Step, error) {
	has, err := contentOf(ctx, r.sys, d)
	switch {
	case err != nil:
		return Step{}, err
	case has.kind != "swap":
		return Step{State: Refused, Why: "it holds " + has.String() + ", and is no swap", anew: true}, nil
	case s.unitDiffers(r):
		return Step{State: ToDo, Why: "its unit is not as it should be", Commands: []string{"write " + unitDir + "/" + escape(s.dev) + ".swap"}}, nil
	case slices.Contains(d.mounted, "[SWAP]"):
		return Step{State: Done, Why: "it is in use"}, nil
	}
	return Step{State: ToDo, Why: "it is not in use", Commands: []string{"swapon " + d.Path}}, nil
}

func (s *swap) take(ctx context.Context, r *run, d *Device) error {
	if s.unitDiffers(r) {
		target := "swap.target"
		if s.late {
			target = ""
		}
		if err := r.place(unitDir+"/"+escape(s.dev)+".swap", s.render(), target); err != nil {
			return err
		}
	}
	if slices.Contains(d.mounted, "[SWAP]") {
		return nil
	}
	_, err := r.sys.Command(ctx, "swapon", d.Path)
	return err
}
