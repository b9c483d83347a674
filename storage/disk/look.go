package disk

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
	"appliance/internal/system"
)

// Device is a block device as the host has it now.
type Device struct {
	Path   string `json:"path"` // the kernel's
	ByID   string `json:"by_id,omitempty"`
	Model  string `json:"model,omitempty"`
	Serial string `json:"serial,omitempty"` // of the disk that it is on
	Size   uint64 `json:"size"`             // in bytes

	kname      string // such as dm-0
	kind       string // of lsblk: disk, part, crypt, lvm, raid1, loop
	wwn        string
	partUUID   string
	partName   string
	number     int    // of a partition
	start      uint64 // of a partition, in sectors of 512 bytes; 0: no table on a disk has it
	sector     uint64 // logical, in bytes
	usage      string // as blkid calls what is on it: filesystem, crypto, raid, other
	label      string
	readOnly   bool
	mounted    []string
	parents    []string // by path
	children   []string
	mappedUUID string   // of device mapper
	seen       *content // signatures; nil: not looked for, or they could not be read
}

// host is how the host stands at one moment.
type host struct {
	layout  env.Volumes
	devices map[string]*Device
	order   []string
	lvm     *lvmReport // nil: nobody has asked yet
}

// count takes numbers as lsblk writes them: older ones as text.
type count uint64

func (n *count) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "null" || text == "" {
		return nil
	}
	value, err := strconv.ParseUint(text, 10, 64)
	*n = count(value)
	return err
}

type truth bool

func (t *truth) UnmarshalJSON(data []byte) error {
	*t = slices.Contains([]string{"true", "1"}, strings.Trim(string(data), `"`)) == true
	return nil
}

// listed is a device as lsblk tells of it.
type listed struct {
	Name, Kname, Path, Type, Serial, Model, Wwn, Mountpoint string

	Size     count
	Sector   count `json:"log-sec"`
	ReadOnly truth `json:"ro"`
	Children []listed
}

const lsblkColumns = "NAME,KNAME,PATH,TYPE,SIZE,RO,SERIAL,MODEL,WWN,LOG-SEC,MOUNTPOINT"

func look(ctx context.Context, sys *system.System, wanted env.Volumes) (*host, error) {
	out, err := sys.Query(ctx, "lsblk", "--json", "--bytes", "--tree", "--output", lsblkColumns)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the disks: %w", err)
	}
	h := &host{layout: wanted, devices: map[string]*Device{}}
	var list struct{ Blockdevices []listed }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("cannot read what lsblk says: %w", err)
	}
	for _, l := range list.Blockdevices {
		h.add(l, nil)
	}
	for _, d := range h.devices {
		h.inherit(d)
	}
	h.addLinks()
	for _, path := range h.order {
		if d := h.devices[path]; d.kind != "rom" && d.Size > 0 {
			if err := d.probe(ctx, sys); err != nil && ctx.Err() != nil { // of one that cannot be read who wants to use it will tell
				return nil, err
			}
		}
	}
	return h, nil
}

func (h *host) add(l listed, parent *Device) {
	if l.Size == 0 && l.Type == "loop" {
		return // there is no file behind it
	}
	d, before := h.devices[l.Path], true
	if d == nil {
		before = false
		d = &Device{Path: l.Path, Model: strings.TrimSpace(l.Model), Serial: strings.TrimSpace(l.Serial), Size: uint64(l.Size), kname: l.Kname, kind: l.Type,
			wwn: l.Wwn, sector: max(512, uint64(l.Sector)), readOnly: bool(l.ReadOnly)}
		if l.Mountpoint != "" {
			d.mounted = append(d.mounted, l.Mountpoint)
		}
		if uuid, err := os.ReadFile(filepath.Join("/sys/class/block", l.Kname, "dm/uuid")); err == nil {
			d.mappedUUID = strings.TrimSpace(string(uuid))
		}
		h.devices[l.Path] = d
		h.order = append(h.order, l.Path)
	}
	if parent != nil {
		d.parents = append(d.parents, parent.Path)
		parent.children = append(parent.children, d.Path)
		if d.kind == "part" {
			d.number = partNumber(parent.kname, d.kname)
		}
	}
	if before { // it lies on several, and is told of below each of them
		return
	}
	for _, child := range l.Children {
		h.add(child, d)
	}
}

// inherit gives a device the model and the serial number of the one disk that it lies on: naming the number of a disk gives up
// nothing that is on others too.
func (h *host) inherit(d *Device) {
	for i, path := range d.parents {
		parent := h.devices[path]
		h.inherit(parent)
		switch {
		case i == 0 && d.Serial == "" && d.Model == "":
			d.Serial, d.Model = parent.Serial, parent.Model
		case parent.Serial != d.Serial:
			d.Serial, d.Model = "", ""
			return
		}
	}
}

// partNumber is that of a partition by its name: vdb1 of vdb, nvme0n1p1 of nvme0n1.
func partNumber(disk, part string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(part, disk), "p")) // 0 is none
	return n
}

// addLinks notes the names by which udev knows devices.
func (h *host) addLinks() {
	const dir = "/dev/disk/by-id"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there is no udev
	}
	for _, entry := range entries {
		target, err := filepath.EvalSymlinks(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue
		}
		for _, d := range h.devices {
			if target == d.Path || target == "/dev/"+d.kname {
				if name := filepath.Join(dir, entry.Name()); d.ByID == "" || len(name) < len(d.ByID) {
					d.ByID = name
				}
			}
		}
	}
}

var partSuffix = regexp.MustCompile(`^(?:-part|p)?([0-9]+)$`)

// find answers the device of a name, or nil. Names of partitions, arrays and volumes that the layout makes are known without
// the links that udev makes later.
func (h *host) find(name string) *Device {
	if d, known := h.array(name); known {
		return d
	}
	if d := h.devices[name]; d != nil {
		return d
	}
	if target, err := filepath.EvalSymlinks(name); err == nil {
		for _, d := range h.devices {
			if target == d.Path || target == "/dev/"+d.kname {
				return d
			}
		}
	}
	for _, disk := range h.layout.Disks {
		m := partSuffix.FindStringSubmatch(strings.TrimPrefix(name, disk.Device))
		if m == nil || !strings.HasPrefix(name, disk.Device) {
			continue
		}
		if d := h.find(disk.Device); d != nil && disk.Device != name {
			if n, err := strconv.Atoi(m[1]); err == nil {
				return h.part(d, n)
			}
		}
	}
	if label, found := strings.CutPrefix(name, "/dev/disk/by-partlabel/"); found {
		return h.one(func(d *Device) bool { return d.partName == label })
	}
	for _, lv := range h.layout.LVs {
		if slices.Contains(lvNames(lv), name) {
			return h.devices[lvNames(lv)[1]]
		}
	}
	return nil
}

// one is the only device that is so; nil is none or several.
func (h *host) one(is func(*Device) bool) (found *Device) {
	for _, path := range h.order {
		if is(h.devices[path]) {
			if found != nil {
				return nil
			}
			found = h.devices[path]
		}
	}
	return found
}

// array finds an array of the layout by what it is made of: the kernel may know it by another name than the environment, and
// another array by that name. known is false where none of its members is there: then a name is all there is.
func (h *host) array(name string) (found *Device, known bool) {
	for _, raid := range h.layout.Arrays {
		if raid.Device != name {
			continue
		}
		for _, device := range raid.Devices {
			member := h.find(device)
			if member == nil {
				continue
			}
			known = true
			for _, child := range member.children {
				if d := h.devices[child]; strings.HasPrefix(d.kind, "raid") || d.kind == "linear" {
					return d, true
				}
			}
		}
	}
	return nil, known
}

// part is the partition of that number.
func (h *host) part(disk *Device, number int) *Device {
	for _, child := range disk.children {
		if d := h.devices[child]; d.kind == "part" && d.number == number {
			return d
		}
	}
	return nil
}

// below lists a device and all that lies on it.
func (h *host) below(d *Device) (all []*Device) {
	all = append(all, d)
	for _, child := range d.children {
		all = append(all, h.below(h.devices[child])...)
	}
	return all
}

// labelled lists the filesystems of a label.
func (h *host) labelled(label string) (found []*Device) {
	for _, path := range h.order {
		d := h.devices[path]
		if d.label == label && d.usage == "filesystem" && len(d.children) == 0 {
			found = append(found, d)
		}
	}
	return found
}

// inUse says what uses a device, or something on it; "" is nothing.
func (h *host) inUse(d *Device) string {
	for _, part := range h.below(d) {
		switch {
		case slices.Contains(part.mounted, "[SWAP]"):
			return part.Path + " is used for swap"
		case len(part.mounted) > 0:
			return part.Path + " is mounted at " + part.mounted[0]
		case part != d && part.kind != "part":
			return part.Path + " is made of it"
		}
	}
	return ""
}
