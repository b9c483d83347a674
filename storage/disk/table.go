package disk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"appliance/env"
)

// table is a partition table with its partitions.
type table struct{ env.Disk }

func (t *table) name() string    { return "partitions of " + t.Device }
func (t *table) device() string  { return t.Device }
func (t *table) needs() []string { return []string{t.Device} }

func (t *table) makes() (names []string) {
	for i := range t.Parts {
		names = append(names, partNames(t.Disk, i+1)...)
	}
	return names
}

// partNames are the names of a partition that a layout makes.
func partNames(d env.Disk, number int) []string {
	n := strconv.Itoa(number)
	return []string{d.Device + n, d.Device + "p" + n, d.Device + "-part" + n, "/dev/disk/by-partlabel/" + d.Parts[number-1].Name}
}

// area is where a partition lies, in logical sectors.
type area struct{ start, size uint64 }

const mib = 1 << 20

// usable is where the last partition of a disk may end, in bytes: on a whole MiB, before the 34 sectors of the backup of a GPT.
func usable(d *Device) uint64 {
	if rest := d.Size % mib; rest >= 64*d.sector || d.Size < 2*mib {
		return d.Size - rest
	}
	return d.Size/mib*mib - mib
}

// areas answers where the partitions lie on a disk: on whole MiB, as every disk and array of today likes it, and clear of
// both copies of a GPT.
func (t *table) areas(d *Device) ([]area, error) {
	end := usable(d)
	var list []area
	last := uint64(mib)
	for _, part := range t.Parts {
		from := (max(part.Start.On(d.Size), mib) + mib - 1) / mib * mib
		to := min(part.End.On(d.Size)/mib*mib, end)
		switch {
		case part.End.On(d.Size) > d.Size:
			return nil, fmt.Errorf("partition %s ends at %d bytes, and %s has %d", part.Name, part.End.On(d.Size), d.Path, d.Size)
		case from < last:
			return nil, fmt.Errorf("partition %s begins before the end of the one before it", part.Name)
		case to <= from:
			return nil, fmt.Errorf("there is no room for partition %s", part.Name)
		case t.Table == "dos" && to/d.sector > 1<<32-1:
			return nil, fmt.Errorf("partition %s ends at %d bytes, and an MBR does not reach so far: leave type out", part.Name, to)
		}
		last = to
		list = append(list, area{from / d.sector, (to - from) / d.sector})
	}
	return list, nil
}

// sfdisk is what sfdisk tells of a table.
type sfdisk struct {
	PartitionTable struct {
		Label      string
		Partitions []row
	}
}

// row is a partition as its table has it, in logical sectors.
type row struct {
	Node, UUID, Name string
	Start, Size      uint64
}

// part is the partition of that number, which need not be that of its row.
func (s sfdisk) part(d *Device, number int) *row {
	for i, p := range s.PartitionTable.Partitions {
		if m := partSuffix.FindStringSubmatch(strings.TrimPrefix(p.Node, d.Path)); m != nil && m[1] == strconv.Itoa(number) {
			return &s.PartitionTable.Partitions[i]
		}
	}
	return nil
}

func (t *table) read(ctx context.Context, r *run, d *Device) (found sfdisk, err error) {
	out, err := r.sys.Query(ctx, "sfdisk", "--json", d.Path)
	if err == nil {
		err = json.Unmarshal([]byte(out), &found)
	}
	return found, err
}

// stands says whether the table has all partitions: by the identifiers that were chosen for them or, of a disk that came
// with them, by number and name, or of an MBR, which has no names, by where they begin.
func (t *table) stands(found sfdisk, d *Device, areas []area, chosen map[string]string) (bool, string) {
	if label := found.PartitionTable.Label; label != t.Table {
		return false, "its table is of the kind " + label + ", not " + t.Table
	}
	for i, part := range t.Parts {
		have := found.part(d, i+1)
		switch {
		case have == nil:
			return false, fmt.Sprintf("its table has no partition %d (%s)", i+1, part.Name)
		case chosen != nil && t.Table == "gpt" && !strings.EqualFold(have.UUID, chosen[strconv.Itoa(i+1)]):
			return false, "partition " + part.Name + " is another one"
		case t.Table == "gpt" && have.Name != part.Name:
			return false, fmt.Sprintf("partition %d is called %q, not %q", i+1, have.Name, part.Name)
		case t.Table == "dos" && have.Start != areas[i].start:
			return false, fmt.Sprintf("partition %d begins at sector %d, not %d", i+1, have.Start, areas[i].start)
		}
	}
	return true, ""
}

func (t *table) see(ctx context.Context, r *run, d *Device) (Step, error) {
	areas, err := t.areas(d)
	if err != nil {
		return Step{State: Refused, Why: err.Error(), anew: true}, nil
	}
	c, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return Step{}, err
	}
	e, other := r.journal.of(t.name()), ""
	if c.table != "" {
		if found, err := t.read(ctx, r, d); err == nil { // one that cannot be read is one that is not whole
			var stands bool
			if stands, other = t.stands(found, d, areas, t.chosen(e)); stands {
				return t.known(r, d, found), nil
			}
		}
	}
	ours := false
	if e != nil && e.Done == nil {
		if ours, err = t.carries(d, e.UUIDs); err != nil {
			return Step{}, err
		}
	}
	v, err := r.mayReplace(ctx, t.name(), d, ours)
	if other != "" && !v.may {
		v.why += "; " + other
	}
	return v.judged(t.commands(d)...), err
}

// chosen are the identifiers to expect while the table is not finished.
func (t *table) chosen(e *entry) map[string]string {
	if e == nil || e.Done != nil {
		return nil
	}
	return e.UUIDs
}

// known says whether the kernel knows the partitions, as they are in the table on the disk: by one of before that it still has,
// something else would be written to.
func (t *table) known(r *run, d *Device, found sfdisk) Step {
	for i := range t.Parts {
		part, want := r.part(d, i+1), found.part(d, i+1)
		why := ""
		switch {
		case part == nil:
			why = "the kernel does not know its partitions yet"
		case part.start*512 != want.Start*d.sector || part.Size != want.Size*d.sector:
			why = "the kernel knows its partitions otherwise than its table has them"
		default:
			continue
		}
		return Step{State: ToDo, Why: why, Commands: []string{"partx --update " + d.Path}}
	}
	return Step{State: Done, Why: "it has them"}
}

// carries says whether an edge of a disk has one of our identifiers: sfdisk writes them first. A GPT holds the first three
// fields of each in little endian.
func (t *table) carries(d *Device, chosen map[string]string) (bool, error) {
	first, last, err := edges(d)
	if err != nil {
		return false, err
	}
	for _, uuid := range chosen {
		raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
		if err != nil || len(raw) != 16 {
			continue
		}
		slices.Reverse(raw[:4])
		slices.Reverse(raw[4:6])
		slices.Reverse(raw[6:8])
		if bytes.Contains(first, raw) || bytes.Contains(last, raw) {
			return true, nil
		}
	}
	return false, nil
}

func (t *table) commands(d *Device) []string {
	return []string{"sfdisk --wipe never --wipe-partitions never --quiet " + d.Path, "partx --update " + d.Path}
}

func (t *table) take(ctx context.Context, r *run, d *Device) error {
	areas, err := t.areas(d)
	if err != nil {
		return err
	}
	if found, err := t.read(ctx, r, d); err == nil {
		if stands, _ := t.stands(found, d, areas, t.chosen(r.journal.of(t.name()))); stands {
			return t.tell(ctx, r, d)
		}
	}
	ours, err := false, error(nil)
	if e := r.journal.of(t.name()); e != nil && e.Done == nil {
		ours, err = t.carries(d, e.UUIDs)
	}
	if err != nil {
		return err
	}
	v, err := r.mayReplace(ctx, t.name(), d, ours)
	if err != nil || !v.may {
		return cmp.Or(err, v.refusal())
	}
	e := entry{Step: t.name(), Devices: []identity{identityOf(d)}, UUIDs: r.journal.chosen(t.name(), v, t.choose()), Serial: v.serial}
	if err := r.journal.begin(e); err != nil {
		return err
	}
	if v.wipe {
		if err := r.wipe(ctx, d); err != nil {
			return err
		}
	}
	// What was where partitions will begin and end is emptied before there are any: from then on, what is on them is somebody's.
	empty := [][2]uint64{{0, d.Size}}
	for _, a := range areas {
		empty = append(empty, [2]uint64{a.start * d.sector, (a.start + a.size) * d.sector})
	}
	if err := r.empty(ctx, d.Path, empty...); err != nil {
		return err
	}
	if _, err := r.sys.CommandInput(ctx, t.script(areas, e.UUIDs), strings.Fields(t.commands(d)[0])...); err != nil {
		return err
	}
	return t.tell(ctx, r, d)
}

// tell has the kernel learn of the partitions.
func (t *table) tell(ctx context.Context, r *run, d *Device) error {
	found, err := t.read(ctx, r, d)
	if err != nil {
		return err
	}
	if _, err := r.sys.Command(ctx, "partx", "--update", d.Path); err != nil {
		return err
	}
	return await(ctx, "the partitions of "+d.Path, func() (bool, error) {
		if err := r.again(ctx); err != nil {
			return false, err
		}
		now := r.find(d.Path)
		return now != nil && t.known(r, now, found).State == Done, nil
	})
}

// choose makes identifiers for the table ("0") and each partition.
func (t *table) choose() map[string]string {
	uuids := map[string]string{}
	for i := range len(t.Parts) + 1 {
		uuids[strconv.Itoa(i)] = newUUID()
	}
	if t.Table == "dos" { // 32 bits, and partitions are numbered
		return map[string]string{"0": "0x" + newUUID()[:8]}
	}
	return uuids
}

// Types of partitions by flag, of a GPT and of an MBR.
var (
	gptTypes = map[string]string{"": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "raid": "A19D880F-05FC-4D3B-A006-743F0F84911E",
		"lvm": "E6D6D379-F507-44C2-A23C-238F2A3DF928", "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
		"boot": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "bios_grub": "21686148-6449-6E6F-744E-656564454649"}
	dosTypes = map[string]string{"": "83", "raid": "fd", "lvm": "8e", "swap": "82", "esp": "ef"}
)

// script is what sfdisk reads.
func (t *table) script(areas []area, uuids map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "label: %s\nlabel-id: %s\nunit: sectors\n\n", t.Table, uuids["0"])
	for i, part := range t.Parts {
		types, extra := gptTypes, fmt.Sprintf(", uuid=%s, name=%q", uuids[strconv.Itoa(i+1)], part.Name)
		if t.Table == "dos" {
			types, extra = dosTypes, ""
			if slices.Contains(part.Flags, "boot") {
				extra = ", bootable"
			}
		} else if slices.Contains(part.Flags, "legacy_boot") {
			extra += `, attrs="LegacyBIOSBootable"`
		}
		kind := types[""]
		for _, flag := range part.Flags {
			if types[flag] != "" {
				kind = types[flag]
			}
		}
		fmt.Fprintf(&b, "start=%d, size=%d, type=%s%s\n", areas[i].start, areas[i].size, kind, extra)
	}
	return b.String()
}
