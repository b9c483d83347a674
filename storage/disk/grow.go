package disk

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// slack is how much smaller than its device a filesystem may be: it ends on a whole group or block.
const slack = 1 << 20 // bytes; an LVM extent and a sector of any size fit

// grow makes a filesystem as large as its device.
type grow struct{ dev string }

func (g *grow) name() string    { return "size of the filesystem on " + g.dev }
func (g *grow) device() string  { return g.dev }
func (g *grow) needs() []string { return []string{g.dev, "fs " + g.dev} }
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
		n, _ := strconv.ParseUint(text, 10, 64)
		product *= n
	}
	return product, nil
}

func (g *grow) take(ctx context.Context, r *run, d *Device) error {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return err
	}
	if has.kind == "ext4" && len(d.mounted) == 0 { // resize2fs insists on it
		if _, err := r.sys.Command(ctx, "e2fsck", "-f", "-p", d.Path); err != nil {
			return err
		}
	}
	_, err = r.sys.Command(ctx, growCommand(has.kind, d)...)
	return err
}

// growRoot makes partition and filesystem of the system fill their disk.
type growRoot struct{}

func (g *growRoot) name() string    { return "size of the root filesystem" }
func (g *growRoot) device() string  { return "" }
func (g *growRoot) needs() []string { return nil }
func (g *growRoot) makes() []string { return nil }

// root answers the device of the root filesystem and, where that is a partition behind which there is room, the disk.
func (g *growRoot) root(r *run) (root, disk *Device) {
	root = r.one(func(d *Device) bool { return len(d.mounted) > 0 && d.mounted[0] == "/" })
	if root == nil || root.kind != "part" || len(root.parents) != 1 {
		return root, nil
	}
	disk = r.devices[root.parents[0]]
	end := root.start*512 + root.Size
	for _, child := range disk.children {
		if part := r.devices[child]; part != root && part.start > root.start {
			return root, nil // another one is behind it
		}
	}
	if end+2*slack >= disk.Size {
		return root, nil
	}
	return root, disk
}

func (g *growRoot) see(ctx context.Context, r *run, _ *Device) (Step, error) {
	root, disk := g.root(r)
	switch {
	case root == nil:
		return Step{State: Done, Why: "it is on no device that is known"}, nil
	case disk != nil:
		return Step{State: ToDo, Why: "there is room behind its partition", Commands: []string{fmt.Sprintf("growpart %s %d", disk.Path, root.number), "resize2fs or xfs_growfs"}}, nil
	}
	return (&grow{root.Path}).see(ctx, r, root)
}

func (g *growRoot) take(ctx context.Context, r *run, _ *Device) error {
	root, disk := g.root(r)
	if disk != nil {
		if _, err := r.sys.Command(ctx, "growpart", disk.Path, strconv.Itoa(root.number)); err != nil {
			return err
		}
		if err := r.again(ctx); err != nil {
			return err
		}
		root, _ = g.root(r)
	}
	if step, err := (&grow{root.Path}).see(ctx, r, root); err != nil || step.State != ToDo {
		return err
	}
	return (&grow{root.Path}).take(ctx, r, root)
}
