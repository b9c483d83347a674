package env

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"appliance/env/yaml11"
)

// Labels of the filesystems that an appliance keeps its data on.
const (
	DataLabel     = "ecs-data"
	VolatileLabel = "ecs-volatile"
)

// Volumes is what the environment says of disks and what is made of them. Lists are in the order in which they are written.
type Volumes struct {
	NoData, NoVolatile bool // there need be no filesystem with that label
	Disks              []Disk
	Arrays             []Array
	Crypts             []Crypt
	PVs                []string
	Groups             []Group
	LVs                []LV
	Formats            []Format
	Mounts             []Mount
	Swaps              []string
	Overwrite          []string // serial numbers of disks whose content is given up
	GrowRoot           bool
}

// Empty says that nothing is to be set up.
func (v Volumes) Empty() bool {
	return len(v.Disks)+len(v.Arrays)+len(v.Crypts)+len(v.PVs)+len(v.Groups)+len(v.LVs)+len(v.Formats)+len(v.Mounts)+len(v.Swaps) == 0 && !v.GrowRoot
}

// Required lists the labels that there must be filesystems with.
func (v Volumes) Required() (labels []string) {
	if !v.NoData {
		labels = append(labels, DataLabel)
	}
	if !v.NoVolatile {
		labels = append(labels, VolatileLabel)
	}
	return labels
}

// Disk is a disk with the partitions that it gets.
type Disk struct {
	Device string
	Table  string // "gpt" or "dos"
	Parts  []Part
}

// Part is a partition.
type Part struct {
	Name       string
	Start, End Position
	Flags      []string
}

// Array is a software RAID.
type Array struct {
	Device  string
	Level   string // as mdadm knows it: "0" to "10", or "linear"
	Devices []string
	Options []Option
}

// Crypt is a device that is encrypted.
type Crypt struct {
	Device  string
	Target  string // the open device is /dev/mapper/Target
	Phrase  string // passphrase; "": there is none
	KeyFile string // "": there is none
	TPM     bool
}

// Group is a volume group.
type Group struct {
	Name    string
	Devices []string
	Options []Option
}

// LV is a logical volume.
type LV struct {
	Name, Group string
	Size        uint64 // in bytes; 0: Extents says it
	Extents     string // such as "100%FREE"
	Expand      bool
	Options     []Option
}

// Format is a filesystem, or swap.
type Format struct {
	Device  string
	Type    string // "ext4", "xfs" or "swap"
	Label   string
	Options []string // words for mkfs, without the label
}

// Mount is a filesystem that has a place.
type Mount struct {
	Dir, Device, Type string
	Options           []string
	MakeDir           bool
	Persist           bool
}

// Option is an option of a program: --Name=Value, and only --Name without a Value.
type Option struct{ Name, Value string }

func (o Option) String() string {
	if o.Value == "" {
		return "--" + o.Name
	}
	return "--" + o.Name + "=" + o.Value
}

var setupPath = []string{"appliance", "storage", "setup"}

// Volumes answers what the document says of disks. It is meaningful once Validate has passed.
func (d *Document) Volumes() Volumes {
	v := Volumes{
		NoData: d.flag("appliance", "storage", "ignore", "data"), NoVolatile: d.flag("appliance", "storage", "ignore", "volatile"),
		Overwrite: d.list(nil, "appliance", "storage", "overwrite"), GrowRoot: d.flag("appliance", "storage", "grow_root"),
	}
	setup, _ := d.setup()
	if setup == nil {
		return v
	}
	for name, disk := range entries(setup.Get("parted")) {
		v.Disks = append(v.Disks, newDisk(name, disk))
	}
	for name, raid := range entries(setup.Get("mdadm")) {
		v.Arrays = append(v.Arrays, Array{Device: name, Level: strings.TrimPrefix(word(raid, "level"), "raid"),
			Devices: words(raid.Get("devices")), Options: options(raid, "level", "devices")})
	}
	for name, luks := range entries(setup.Get("crypt")) {
		v.Crypts = append(v.Crypts, Crypt{Device: name, Target: cmp.Or(word(luks, "target"), path.Base(name)+"_crypt"),
			Phrase: word(luks, "password"), KeyFile: word(luks, "key_file"), TPM: truth(luks.Get("tpm2"))})
	}
	v.volumeGroups(setup.Get("lvm"))
	for name, format := range entries(setup.Get("format")) {
		v.Formats = append(v.Formats, newFormat(name, format))
	}
	for name, mount := range entries(setup.Get("mount")) {
		v.Mounts = append(v.Mounts, Mount{Dir: name, Device: word(mount, "device"), Type: word(mount, "fstype"), Options: mountOptions(mount.Get("opts")),
			MakeDir: truth(mount.Get("mkmnt")), Persist: mount.Get("persist") == nil || mount.Get("persist").Kind == yaml11.Null || truth(mount.Get("persist"))})
	}
	v.Swaps = words(setup.Get("swap"))
	return v
}

func (v *Volumes) volumeGroups(lvm *yaml11.Value) {
	if lvm == nil {
		return
	}
	v.PVs = words(lvm.Get("pv"))
	for name, group := range entries(lvm.Get("vg")) {
		g := Group{Name: name, Devices: words(group.Get("devices")), Options: options(group, "devices")}
		v.Groups = append(v.Groups, g)
		for _, device := range g.Devices {
			if !slices.Contains(v.PVs, device) {
				v.PVs = append(v.PVs, device)
			}
		}
	}
	for name, lv := range entries(lvm.Get("lv")) {
		size, _ := parseSize(word(lv, "size")) // the validation has seen it
		v.LVs = append(v.LVs, LV{Name: name, Group: word(lv, "vgname"), Size: size, Extents: strings.ToUpper(word(lv, "extents")),
			Expand: truth(lv.Get("expand")), Options: options(lv, "vgname", "size", "extents", "expand")})
	}
}

func newDisk(name string, v *yaml11.Value) Disk {
	d := Disk{Device: name, Table: cmp.Or(word(v, "type"), "gpt")}
	if d.Table != "gpt" {
		d.Table = "dos"
	}
	parts := v.Get("parts")
	if parts == nil {
		return d
	}
	for _, part := range parts.Items {
		p := Part{Name: word(part, "name"), Flags: words(part.Get("flags"))}
		p.Start, _ = parsePosition(word(part, "start")) // the validation has seen them
		p.End, _ = parsePosition(word(part, "end"))
		d.Parts = append(d.Parts, p)
	}
	return d
}

func newFormat(name string, v *yaml11.Value) Format {
	f := Format{Device: name, Type: word(v, "fstype")}
	f.Options, f.Label = splitLabel(formatWords(v))
	return f
}

// formatWords is the words of the options for mkfs, which stand in one text or in several.
func formatWords(v *yaml11.Value) []string {
	opts := v.Get("options")
	if opts == nil || opts.Kind == yaml11.Null {
		opts = v.Get("opts")
	}
	return strings.Fields(strings.Join(words(opts), " "))
}

// splitLabel takes the label out of options for mkfs.
func splitLabel(all []string) (rest []string, label string) {
	for i := 0; i < len(all); i++ {
		switch {
		case all[i] == "-L" && i+1 < len(all):
			i++
			label = all[i]
		case strings.HasPrefix(all[i], "-L") && len(all[i]) > 2:
			label = all[i][2:]
		default:
			rest = append(rest, all[i])
		}
	}
	return rest, label
}

func mountOptions(v *yaml11.Value) (list []string) {
	for _, option := range strings.Split(strings.Join(words(v), ","), ",") {
		if option = strings.TrimSpace(option); option != "" && option != "defaults" {
			list = append(list, option)
		}
	}
	return list
}

// entries walks over what a mapping holds, by its keys.
func entries(v *yaml11.Value) func(yield func(string, *yaml11.Value) bool) {
	return func(yield func(string, *yaml11.Value) bool) {
		if v == nil || v.Kind != yaml11.Mapping {
			return
		}
		for i, key := range v.Keys {
			if v.Items[i].Kind == yaml11.Mapping && !yield(key.Text, v.Items[i]) {
				return
			}
		}
	}
}

// word is the scalar at a key without blanks around it; "" is none.
func word(v *yaml11.Value, key string) string {
	at := v.Get(key)
	if at == nil || at.Kind == yaml11.Null || at.Kind >= yaml11.List {
		return ""
	}
	return yaml11.Strip(at.Text)
}

// words is the texts of a list, or the one text.
func words(v *yaml11.Value) (list []string) {
	switch {
	case v == nil:
	case v.Kind == yaml11.Text:
		list = append(list, yaml11.Strip(v.Text))
	case v.Kind == yaml11.List:
		for _, item := range v.Items {
			list = append(list, yaml11.Strip(item.Text))
		}
	}
	return list
}

func truth(v *yaml11.Value) bool {
	return v != nil && (v.Kind == yaml11.Boolean || v.Kind == yaml11.Text) && yaml11.Strip(v.Text) == "true"
}

// options is what stands in a mapping beside the known keys. What is false is left out, what is true has no value.
func options(v *yaml11.Value, known ...string) (list []Option) {
	for i, key := range v.Keys {
		value := v.Items[i]
		if key.Kind != yaml11.Text || slices.Contains(known, key.Text) || value.Kind >= yaml11.List || value.Kind == yaml11.Null {
			continue
		}
		o := Option{Name: strings.ReplaceAll(key.Text, "_", "-"), Value: yaml11.Strip(value.Text)}
		if value.Kind == yaml11.Boolean {
			if value.Text == "false" {
				continue
			}
			o.Value = ""
		}
		list = append(list, o)
	}
	return list
}
