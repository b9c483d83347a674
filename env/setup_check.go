package env

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"appliance/env/yaml11"
)

// volumes refuses a layout of disks that can never work, which the schema takes for itself.
func (v *validation) volumes() {
	setup, _ := v.setup()
	if setup == nil {
		return
	}
	c := setupCheck{validation: v, setup: setup, uses: map[string]string{}, labels: map[string]string{}, targets: map[string]string{}}
	for name, disk := range entries(setup.Get("parted")) {
		c.disk(name, disk)
	}
	for name, raid := range entries(setup.Get("mdadm")) {
		c.array(name, raid)
	}
	for name, luks := range entries(setup.Get("crypt")) {
		c.crypt(name, luks)
	}
	c.lvm()
	for name, format := range entries(setup.Get("format")) {
		c.format(name, format)
	}
	for name, mount := range entries(setup.Get("mount")) {
		c.mount(name, mount)
	}
	c.swaps()
}

type setupCheck struct {
	*validation
	setup   *yaml11.Value
	uses    map[string]string // what a device is for
	labels  map[string]string // which device has a label
	targets map[string]string // which device is open under a name
}

// refuse reports what is wrong at a place below the layout.
func (c *setupCheck) refuse(at *yaml11.Value, message, remedy string, place ...string) {
	if at == nil {
		at, _ = c.Top.Locate(setupPath)
	}
	c.contradiction(at, append(slices.Clone(setupPath), place...), message, remedy)
}

var devicePath = regexp.MustCompile(`^/dev/[^\s%"]+$`) // also for units, where % stands for something

// use notes what a device is for: a disk is for its partitions, a partition for an encrypted device, and so on, each for one.
func (c *setupCheck) use(at *yaml11.Value, device, what string, place ...string) {
	if !c.device(at, device, place...) {
		return
	}
	if before := c.uses[device]; before != "" && before != what {
		c.refuse(at, "the device is named for two uses: "+before+" and "+what, "keep one of them", place...)
		return
	}
	c.uses[device] = what
}

func (c *setupCheck) device(at *yaml11.Value, device string, place ...string) bool {
	if !devicePath.MatchString(device) || path.Clean(device) != device {
		c.refuse(at, fmt.Sprintf("%q is no path of a device", shorten(device)), "name it as /dev/vdb or /dev/disk/by-id/…", place...)
		return false
	}
	return true
}

func (c *setupCheck) disk(name string, disk *yaml11.Value) {
	c.use(disk, name, "partitions", "parted", name)
	parts := disk.Get("parts")
	if parts == nil {
		return
	}
	if len(parts.Items) > 4 && word(disk, "type") != "gpt" && word(disk, "type") != "" {
		c.refuse(parts, "an MBR has room for four partitions", "leave type out: a GPT has room for more", "parted", name, "parts")
	}
	names := map[string]bool{}
	var last Position
	for i, part := range parts.Items {
		place := []string{"parted", name, "parts", strconv.Itoa(i)}
		start, err := parsePosition(word(part, "start"))
		if err != nil {
			c.refuse(part.Get("start"), err.Error(), "write one", append(place, "start")...)
			continue
		}
		end, err := parsePosition(word(part, "end"))
		if err != nil {
			c.refuse(part.Get("end"), err.Error(), "write one", append(place, "end")...)
			continue
		}
		if end.before(start) || end == start {
			c.refuse(part.Get("end"), "the partition ends where it begins, or before", "write an end behind the start", append(place, "end")...)
		}
		if start.before(last) {
			c.refuse(part.Get("start"), "the partition begins before the end of the one before it", "put partitions in their order on the disk, without overlaps", append(place, "start")...)
		}
		last = end
		c.partName(part, disk, names, place)
	}
}

// before compares what can be compared without the disk; the rest is for the plan.
func (p Position) before(q Position) bool {
	return p.Percent == q.Percent && (p.Bytes < q.Bytes || p.Hundredths < q.Hundredths)
}

var partFlags = []string{"boot", "esp", "bios_grub", "raid", "lvm", "swap", "legacy_boot", "hidden"}

func (c *setupCheck) partName(part, disk *yaml11.Value, names map[string]bool, place []string) {
	name := word(part, "name")
	if len(name) > 36 || strings.ContainsAny(name, "\"\\\n") {
		c.refuse(part.Get("name"), "the name of a partition has at most 36 characters, and no quotes", "choose another one", append(place, "name")...)
	}
	if names[name] && word(disk, "type") != "msdos" && word(disk, "type") != "mbr" {
		c.refuse(part.Get("name"), "two partitions have this name", "choose another one", append(place, "name")...)
	}
	names[name] = true
	for i, flag := range words(part.Get("flags")) {
		if !slices.Contains(partFlags, flag) {
			c.refuse(part.Get("flags"), fmt.Sprintf("unknown flag %q", shorten(flag)), "write one of "+strings.Join(partFlags, ", "), append(place, "flags", strconv.Itoa(i))...)
		}
	}
}

func (c *setupCheck) array(name string, raid *yaml11.Value) {
	c.device(raid, name, "mdadm", name)
	devices := words(raid.Get("devices"))
	for _, device := range devices {
		c.use(raid.Get("devices"), device, "the array "+name, "mdadm", name, "devices")
	}
	least := map[string]int{"0": 2, "1": 2, "4": 3, "5": 3, "6": 4, "10": 2, "linear": 1}[strings.TrimPrefix(word(raid, "level"), "raid")]
	slices.Sort(devices)
	if distinct := len(slices.Compact(devices)); distinct < least || distinct < len(words(raid.Get("devices"))) {
		c.refuse(raid.Get("devices"), fmt.Sprintf("an array of this level needs %d different devices", max(least, 2)), "name each once", "mdadm", name, "devices")
	}
	c.options(raid, []string{"level", "devices"}, []string{"create", "raid_devices", "uuid", "force", "run", "assume_clean", "config", "name"}, "mdadm", name)
}

func (c *setupCheck) crypt(name string, luks *yaml11.Value) {
	c.use(luks, name, "encryption", "crypt", name)
	if word(luks, "password") == "" && word(luks, "key_file") == "" {
		c.refuse(luks, "nothing opens the device: it has neither password nor key_file", "give one of them; a TPM alone would lock it for good when its firmware changes", "crypt", name)
	}
	target := word(luks, "target")
	if target == "" {
		target = path.Base(name) + "_crypt"
	}
	if !nameShape().MatchString(target) {
		c.refuse(luks.Get("target"), fmt.Sprintf("%q is no name for a device", shorten(target)), "write letters, digits, dots, - and _", "crypt", name, "target")
	}
	if other := c.targets[target]; other != "" {
		c.refuse(luks, "is open under the same name as "+other, "give each a target of its own", "crypt", name)
	}
	c.targets[target] = name
}

// It is compiled when it is needed: so many repetitions take memory that most commands need not have.
var nameShape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,126}$`) })

func (c *setupCheck) lvm() {
	lvm := c.setup.Get("lvm")
	if lvm == nil {
		return
	}
	for _, device := range words(lvm.Get("pv")) {
		c.use(lvm.Get("pv"), device, "a physical volume", "lvm", "pv")
	}
	groups, owner := map[string]bool{}, map[string]string{}
	for name, group := range entries(lvm.Get("vg")) {
		groups[name] = true
		if !nameShape().MatchString(name) {
			c.refuse(group, "is no name for a group", "write letters, digits, dots, - and _", "lvm", "vg", name)
		}
		for _, device := range words(group.Get("devices")) {
			c.use(group.Get("devices"), device, "a physical volume", "lvm", "vg", name, "devices")
			if other := owner[device]; other != "" {
				c.refuse(group.Get("devices"), "a device of it is in the group "+other+" too", "keep one of them", "lvm", "vg", name, "devices")
			}
			owner[device] = name
		}
		c.options(group, []string{"devices"}, []string{"force", "yes", "addtag", "config", "uuid"}, "lvm", "vg", name)
	}
	for name, lv := range entries(lvm.Get("lv")) {
		c.volume(name, lv, groups)
	}
}

var extentsShape = regexp.MustCompile(`^(?i)[0-9]{1,9}(%(VG|FREE|PVS))?$`)

func (c *setupCheck) volume(name string, lv *yaml11.Value, groups map[string]bool) {
	place := []string{"lvm", "lv", name}
	if !nameShape().MatchString(name) {
		c.refuse(lv, "is no name for a volume", "write letters, digits, dots, - and _", place...)
	}
	if !groups[word(lv, "vgname")] {
		c.refuse(lv.Get("vgname"), "there is no such group in lvm.vg", "name one of lvm.vg, or write the group there with its devices", append(place, "vgname")...)
	}
	size, extents := word(lv, "size"), word(lv, "extents")
	if _, err := parseSize(size); err != nil {
		c.refuse(lv.Get("size"), err.Error(), "write one", append(place, "size")...)
	}
	if extents != "" && !extentsShape.MatchString(extents) {
		c.refuse(lv.Get("extents"), "expected a number of extents, or a share such as 100%FREE or 50%VG", "write one", append(place, "extents")...)
	}
	if (size == "") == (extents == "") {
		c.refuse(lv, "needs either size or extents", "give one of them", place...)
	}
	c.options(lv, []string{"vgname", "size", "extents", "expand"}, []string{"force", "yes", "addtag", "config", "name", "wipesignatures", "zero", "snapshot"}, place...)
}

var optionShape = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// options refuses options of programs that are none, and those that the appliance needs for itself.
func (c *setupCheck) options(v *yaml11.Value, known, ours []string, place ...string) {
	for i, key := range v.Keys {
		name := strings.ReplaceAll(key.Text, "-", "_")
		switch {
		case slices.Contains(known, key.Text):
		case !optionShape.MatchString(key.Text) || v.Items[i].Kind >= yaml11.List:
			c.refuse(key, "is no option", "write the long name of an option, without dashes in front, and one value", append(place, shorten(key.Text))...)
		case namesDevice(v.Items[i].Text):
			c.refuse(key, "names a device, which nobody would look at before it is written to", "remove it", append(place, shorten(key.Text))...)
		case slices.Contains(ours, name):
			c.refuse(key, "is an option that the appliance gives itself", "remove it", append(place, shorten(key.Text))...)
		}
	}
}

// namesDevice says that an option gives a program a device besides those of the layout: a log, a journal, a cache. What is on
// it would be lost without a look.
func namesDevice(option string) bool {
	return strings.Contains(option, "/dev/") || strings.Contains(option, "dev=") || strings.Contains(option, "device=")
}

func (c *setupCheck) format(name string, format *yaml11.Value) {
	kind, what := word(format, "fstype"), "a filesystem"
	if kind == "swap" {
		what = "swap"
	}
	c.use(format, name, what, "format", name)
	rest, label := splitLabel(formatWords(format))
	for _, option := range rest {
		if strings.HasPrefix(option, "-U") || option == "-L" || option == "-n" || namesDevice(option) || strings.ContainsAny(option, "\"'`$\\") {
			c.refuse(format, fmt.Sprintf("cannot hand on the option %q", shorten(option)), "leave it out; a label has no blanks, the appliance chooses the UUID, and a second device would be written to unseen", "format", name)
		}
	}
	if longest := map[string]int{"ext4": 16, "xfs": 12, "swap": 15}[kind]; longest > 0 && len(label) > longest {
		c.refuse(format, fmt.Sprintf("the label has %d characters, %s takes %d", len(label), kind, longest), "choose a shorter one", "format", name)
	}
	if kind == "swap" && (label == DataLabel || label == VolatileLabel) {
		c.refuse(format, "swap cannot have the label "+label, "give it another label", "format", name)
	}
	if other := c.labels[label]; label != "" && other != "" {
		c.refuse(format, "has the same label as "+other, "give each a label of its own", "format", name)
	}
	c.labels[label] = name
}

func (c *setupCheck) mount(dir string, mount *yaml11.Value) {
	place := []string{"mount", dir}
	switch {
	case !path.IsAbs(dir) || path.Clean(dir) != dir || strings.ContainsAny(dir, "\n\"\\%"):
		c.refuse(mount, "is no directory to mount at", "write an absolute path", place...)
	case dir == "/" || dir == "/usr" || dir == "/etc" || dir == "/var" || dir == "/boot" || dir == "/dev" || dir == "/proc" || dir == "/sys" || dir == "/run":
		c.refuse(mount, "belongs to the system", "choose another directory", place...)
	case dir == "/data" || dir == "/volatile":
		c.refuse(mount, "is mounted by the label of its filesystem", "remove it, and give the filesystem the label "+map[string]string{"/data": DataLabel, "/volatile": VolatileLabel}[dir], place...)
	}
	if device := word(mount, "device"); strings.ContainsAny(device, " \n\"\\%") {
		c.refuse(mount.Get("device"), "is no device to mount", "name it as /dev/vdb1 or LABEL=archive", append(place, "device")...)
	}
	for _, option := range mountOptions(mount.Get("opts")) {
		if strings.ContainsAny(option, " \n\"\\%") {
			c.refuse(mount.Get("opts"), "is no option of a mount", "write such as noatime", append(place, "opts")...)
		}
	}
}

func (c *setupCheck) swaps() {
	for _, device := range words(c.setup.Get("swap")) {
		c.use(c.setup.Get("swap"), device, "swap", "swap")
	}
}
