package disk

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
)

// A disk that has become larger is used from below: the partition at its end, the encrypted device on it, the physical volume,
// the volume, and what is encrypted or stored on that. Each makes room for the next: "room X" is that X is as large as what it
// lies on lets it be. Nothing is made smaller, and an array in between stays as it is.

// slack is how much smaller than its device something may be: a filesystem ends on a whole group, a volume on a whole extent.
const slack = 1 << 20 // bytes

func room(name string) string { return "room " + name }

// growBelow lists what grows below the volumes that are to expand, the lowest first.
func (v *Volumes) growBelow() (list []task) {
	for _, g := range v.wanted.Groups {
		if !slices.ContainsFunc(v.wanted.LVs, func(l env.LV) bool { return l.Expand && l.Group == g.Name }) {
			continue
		}
		for _, device := range g.Devices {
			list = append(append(list, v.beneath(device)...), &growPV{device, g.Name})
		}
	}
	return list
}

// growAbove lists what grows on the volumes that are to expand.
func (v *Volumes) growAbove() (list []task) {
	for _, l := range v.wanted.LVs {
		if !l.Expand {
			continue
		}
		on := lvNames(l)[0]
		for _, c := range v.wanted.Crypts {
			if slices.Contains(lvNames(l), c.Device) {
				list, on = append(list, &growCrypt{crypt{c}}), (&crypt{c}).opened()
			}
		}
		list = append(list, &grow{dev: on})
	}
	return list
}

// beneath lists what has to grow before a device can, the lowest first.
func (v *Volumes) beneath(device string) []task {
	for _, c := range v.wanted.Crypts {
		if (&crypt{c}).opened() == device {
			return append(v.beneath(c.Device), &growCrypt{crypt{c}})
		}
	}
	for _, d := range v.wanted.Disks {
		n := len(d.Parts)
		if n > 0 && d.Parts[n-1].End == (env.Position{Percent: true, Hundredths: 10000}) && slices.Contains(partNames(d, n), device) {
			return []task{&growPart{d}}
		}
	}
	return nil
}

// grows runs what makes something larger, with that in the journal.
func (r *run) grows(ctx context.Context, step string, d *Device, input string, argv ...string) error {
	if err := r.journal.begin(entry{Step: step, Devices: []identity{identityOf(d)}}); err != nil {
		return err
	}
	if _, err := r.sys.CommandInput(ctx, input, argv...); err != nil {
		return err
	}
	return r.journal.end(step)
}

// growPart makes the last partition of a disk reach to its end, where that is what its layout says.
type growPart struct{ env.Disk }

func (g *growPart) names() []string { return partNames(g.Disk, len(g.Parts)) }
func (g *growPart) name() string {
	return fmt.Sprintf("size of partition %d of %s", len(g.Parts), g.Device)
}
func (g *growPart) device() string  { return g.Device }
func (g *growPart) needs() []string { return g.names() }

func (g *growPart) makes() (list []string) {
	for _, name := range g.names() {
		list = append(list, room(name))
	}
	return list
}

func (g *growPart) see(ctx context.Context, r *run, d *Device) (Step, error) {
	return r.seePart(ctx, d, len(g.Parts))
}

func (g *growPart) take(ctx context.Context, r *run, d *Device) error {
	return r.growPart(ctx, g.name(), d, len(g.Parts))
}

// reach is how many logical sectors a partition has when it reaches to the end of its disk. 0 is that it cannot grow: there is
// none, another one is behind it, or it is in a table, or at a place in one, that has no more room.
func (s sfdisk) reach(d *Device, number int) uint64 {
	part, label := s.part(d, number), s.PartitionTable.Label
	if part == nil || label != "gpt" && (label != "dos" || number > 4) {
		return 0
	}
	for _, other := range s.PartitionTable.Partitions {
		if other.Start > part.Start {
			return 0
		}
	}
	end := usable(d) / d.sector
	if label == "dos" {
		end = min(end, 1<<32-1)
	}
	if end < part.Start+part.Size+slack/d.sector {
		return 0
	}
	return end - part.Start
}

func partCommands(d *Device, number int) [][]string {
	n := strconv.Itoa(number)
	return [][]string{{"sfdisk", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never", "--quiet", "-N", n, d.Path},
		{"partx", "--update", "--nr", n, d.Path}}
}

// seePart tells whether a partition can reach further, and whether the kernel knows how far it reaches.
func (r *run) seePart(ctx context.Context, d *Device, number int) (Step, error) {
	found, err := (&table{}).read(ctx, r, d)
	if err != nil {
		return Step{}, err
	}
	row, part := found.part(d, number), r.part(d, number)
	if row == nil || part == nil {
		return Step{State: Done, Why: "there is no such partition"}, nil
	}
	var commands []string
	for _, argv := range partCommands(d, number) {
		commands = append(commands, strings.Join(argv, " "))
	}
	if size := found.reach(d, number); size > 0 {
		return Step{State: ToDo, Why: fmt.Sprintf("it has %d of %d bytes", row.Size*d.sector, size*d.sector), Commands: commands}, nil
	}
	if part.Size != row.Size*d.sector {
		return Step{State: ToDo, Why: "the kernel knows it by another size", Commands: commands[1:]}, nil
	}
	return Step{State: Done, Why: "it cannot be larger"}, nil
}

// growPart lets a partition reach to the end of its disk. It may be in use: of its row in the table only the size changes, and
// the kernel is told of that alone.
func (r *run) growPart(ctx context.Context, step string, d *Device, number int) error {
	found, err := (&table{}).read(ctx, r, d)
	if err != nil {
		return err
	}
	commands := partCommands(d, number)
	if size := found.reach(d, number); size > 0 {
		if err := r.grows(ctx, step, d, fmt.Sprintf(", %d\n", size), commands[0]...); err != nil {
			return err
		}
	}
	if _, err := r.sys.Command(ctx, commands[1]...); err != nil {
		return err
	}
	return r.again(ctx)
}

// growCrypt makes an open device as large as the one that it lies on.
type growCrypt struct{ crypt }

func (g *growCrypt) name() string    { return "size of the encrypted device " + g.opened() }
func (g *growCrypt) needs() []string { return []string{g.Device, g.opened(), room(g.Device)} }
func (g *growCrypt) makes() []string { return []string{room(g.opened())} }

func (g *growCrypt) see(ctx context.Context, r *run, d *Device) (Step, error) {
	on := r.find(g.opened())
	if on == nil {
		return Step{State: Done, Why: "it is as large as can be when it is opened"}, nil
	}
	l, err := g.header(ctx, r, d)
	data := l.Segments["0"]
	if err != nil || len(l.Segments) != 1 || data.Size != "dynamic" {
		return Step{State: Done, Why: "its header does not let it grow while it is open"}, nil
	}
	offset, err := strconv.ParseUint(data.Offset, 10, 64)
	if err != nil || on.Size+offset+slack > d.Size {
		return Step{State: Done, Why: "it fills its device"}, err
	}
	return Step{State: ToDo, Why: fmt.Sprintf("it has %d of %d bytes", on.Size, d.Size-offset), Commands: []string{"cryptsetup resize " + g.Target}}, nil
}

func (g *growCrypt) take(ctx context.Context, r *run, d *Device) error {
	option, input := g.keySource(r) // the kernel does not hand out the key that it has
	if err := r.grows(ctx, g.name(), d, input, "cryptsetup", "resize", option, g.Target); err != nil {
		return g.explain(err)
	}
	return nil
}

// growPV makes a physical volume as large as its device.
type growPV struct{ dev, group string }

func (g *growPV) name() string    { return "size of the physical volume " + g.dev }
func (g *growPV) device() string  { return g.dev }
func (g *growPV) needs() []string { return []string{g.dev, "vg " + g.group, room(g.dev)} }
func (g *growPV) makes() []string { return []string{room("vg " + g.group)} }

func (g *growPV) see(ctx context.Context, r *run, d *Device) (Step, error) {
	all, err := r.volumesOf(ctx)
	if err != nil {
		return Step{}, err
	}
	for _, pv := range all.PV {
		if pv.Group != g.group || r.find(pv.Name) != d {
			continue
		}
		have, device, extent := number(pv.Start)+number(pv.Size), number(pv.Device), number(pv.Extent)
		if have == 0 || extent == 0 || device < have+extent+slack { // a second copy of the metadata may be at the end
			break
		}
		return Step{State: ToDo, Why: fmt.Sprintf("it has %d of %d bytes", have, device), Commands: []string{"pvresize " + d.Path}}, nil
	}
	return Step{State: Done, Why: "it fills its device"}, nil
}

func (g *growPV) take(ctx context.Context, r *run, d *Device) error {
	return r.grows(ctx, g.name(), d, "", "pvresize", d.Path)
}

// grow makes a filesystem as large as its device.
type grow struct{ dev string }

func (g *grow) name() string    { return "size of the filesystem on " + g.dev }
func (g *grow) device() string  { return g.dev }
func (g *grow) needs() []string { return []string{g.dev, "fs " + g.dev, room(g.dev)} }
func (g *grow) makes() []string { return nil }

func (g *grow) see(ctx context.Context, r *run, d *Device) (Step, error) {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return Step{}, err
	}
	command := growCommand(has.kind, d)
	if command == nil {
		return Step{State: Done, Why: "there is none that grows"}, nil
	}
	size, err := r.sizeOf(ctx, has.kind, d)
	if err != nil || size == 0 {
		return Step{State: Done, Why: "its size is known when it is mounted"}, err
	}
	if size+slack >= d.Size {
		return Step{State: Done, Why: "it fills its device"}, nil
	}
	return Step{State: ToDo, Why: fmt.Sprintf("it has %d of %d bytes", size, d.Size), Commands: []string{strings.Join(command, " ")}}, nil
}

// growCommand grows a filesystem while it is mounted; ext4 also while it is not.
func growCommand(kind string, d *Device) []string {
	switch {
	case kind == "ext4" || kind == "ext3":
		return []string{"resize2fs", d.Path}
	case kind == "xfs" && len(d.mounted) > 0:
		return []string{"xfs_growfs", d.mounted[0]}
	}
	return nil
}

var (
	ext4Blocks = regexp.MustCompile(`(?m)^Block count: +([0-9]+)$`)
	ext4Block  = regexp.MustCompile(`(?m)^Block size: +([0-9]+)$`)
	xfsBlocks  = regexp.MustCompile(`(?m)^data +=.* bsize=([0-9]+) +blocks=([0-9]+),`)
)

// sizeOf is the size of a filesystem in bytes, or 0 where it cannot be told now.
func (r *run) sizeOf(ctx context.Context, kind string, d *Device) (uint64, error) {
	var counts []string
	if kind == "xfs" {
		out, err := r.sys.Query(ctx, "xfs_info", d.mounted[0])
		if err != nil {
			return 0, err
		}
		if m := xfsBlocks.FindStringSubmatch(out); m != nil {
			counts = m[1:]
		}
	} else {
		out, err := r.sys.Query(ctx, "dumpe2fs", "-h", d.Path)
		if err != nil {
			return 0, err
		}
		count, size := ext4Blocks.FindStringSubmatch(out), ext4Block.FindStringSubmatch(out)
		if count != nil && size != nil {
			counts = []string{count[1], size[1]}
		}
	}
	product := uint64(len(counts) / 2) // 1, or 0 without counts
	for _, text := range counts {
		product *= number(text)
	}
	return product, nil
}

func (g *grow) take(ctx context.Context, r *run, d *Device) error {
	return r.growFilesystem(ctx, g.name(), d)
}

func (r *run) growFilesystem(ctx context.Context, step string, d *Device) error {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return err
	}
	if has.kind == "ext4" && len(d.mounted) == 0 { // resize2fs insists on it
		if _, err := r.sys.Command(ctx, "e2fsck", "-f", "-p", d.Path); err != nil {
			return err
		}
	}
	return r.grows(ctx, step, d, "", growCommand(has.kind, d)...)
}

// growRoot makes partition and filesystem of the system fill their disk.
type growRoot struct{}

func (g *growRoot) name() string    { return "size of the root filesystem" }
func (g *growRoot) device() string  { return "" }
func (g *growRoot) needs() []string { return nil }
func (g *growRoot) makes() []string { return nil }

// root answers the device of the root filesystem and, where that is a partition, the disk. nil is one that nobody knows.
func (g *growRoot) root(ctx context.Context, r *run) (root, disk *Device, err error) {
	at, err := r.at(ctx, "/")
	if err != nil || at == "" {
		return nil, nil, err
	}
	if root = r.find(at); root != nil && root.kind == "part" && len(root.parents) == 1 {
		disk = r.devices[root.parents[0]]
	}
	return root, disk, nil
}

func (g *growRoot) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	root, disk, err := g.root(ctx, r)
	if err != nil || root == nil {
		return Step{State: Done, Why: "it is on no device that is known"}, err
	}
	if disk != nil {
		step, err := r.seePart(ctx, disk, root.number)
		if err != nil || step.State != Done {
			step.Why = "its partition: " + step.Why
			step.Commands = append(step.Commands, "resize2fs or xfs_growfs")
			return step, err
		}
	}
	return (&grow{root.Path}).see(ctx, r, root)
}

func (g *growRoot) take(ctx context.Context, r *run, _ *Device) error {
	root, disk, err := g.root(ctx, r)
	if err == nil && disk != nil {
		if err = r.growPart(ctx, fmt.Sprintf("size of partition %d of %s", root.number, disk.Path), disk, root.number); err == nil {
			root, _, err = g.root(ctx, r)
		}
	}
	if err != nil || root == nil {
		return err
	}
	if step, err := (&grow{root.Path}).see(ctx, r, root); err != nil || step.State != ToDo {
		return err
	}
	return r.growFilesystem(ctx, g.name(), root)
}

// number reads a count of bytes or blocks; what is none is 0.
func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}
