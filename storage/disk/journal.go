package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// identity is how a device is known again, whatever its name is by then.
type identity struct {
	Path     string `json:"path"` // only to be read by people
	Serial   string `json:"serial,omitempty"`
	WWN      string `json:"wwn,omitempty"`
	PartUUID string `json:"part_uuid,omitempty"`
	Mapped   string `json:"mapped,omitempty"` // UUID of device mapper, which holds that of the volume or of LUKS
	Size     uint64 `json:"size"`             // in bytes
}

func identityOf(d *Device) identity {
	id := identity{Path: d.Path, PartUUID: d.partUUID, Mapped: d.mappedUUID, Size: d.Size}
	if d.kind != "part" && d.mappedUUID == "" && !strings.HasPrefix(d.kind, "raid") {
		id.Serial, id.WWN = d.Serial, d.wwn
	}
	return id
}

// is says whether two identities are of one device. A name and a size alone say nothing: another disk in the same slot has them.
func (id identity) is(other identity) bool {
	if id.Size != other.Size {
		return false
	}
	for _, pair := range [][2]string{{id.Serial, other.Serial}, {id.WWN, other.WWN}, {id.PartUUID, other.PartUUID}, {id.Mapped, other.Mapped}} {
		if pair[0] != pair[1] {
			return false
		}
	}
	return id.strong()
}

// strong says that it is of one device alone.
func (id identity) strong() bool {
	return id.Serial != "" || id.WWN != "" || id.PartUUID != "" || id.Mapped != ""
}

// entry is one thing that was begun: on which devices, with which identifiers that were chosen for it, and whether it was finished.
type entry struct {
	Step    string            `json:"step"`
	Devices []identity        `json:"devices"`
	UUIDs   map[string]string `json:"uuids,omitempty"`
	Serial  string            `json:"overwritten,omitempty"` // serial number by which a disk was given up
	Begun   time.Time         `json:"begun"`
	Done    *time.Time        `json:"done,omitempty"`
}

// unfinished says that it was begun on that device and not finished.
func (e *entry) unfinished(d *Device) bool {
	if e == nil || e.Done != nil {
		return false
	}
	for _, id := range e.Devices {
		if id.is(identityOf(d)) {
			return true
		}
	}
	return false
}

// elsewhere is the serial number of the disk that a finished step was taken on, where d is another disk: a name does not stay with
// one. "" is that it is the same, or that nobody can tell.
func (e *entry) elsewhere(d *Device) (serial string) {
	now := identityOf(d).Serial
	if e == nil || e.Done == nil || now == "" {
		return ""
	}
	for _, id := range e.Devices {
		if id.Serial == "" || id.Serial == now {
			return ""
		}
		serial = id.Serial
	}
	return serial
}

// journal is what was begun on this machine.
type journal struct {
	Version int      `json:"version"`
	Machine string   `json:"machine,omitempty"` // as its firmware names it
	Entries []*entry `json:"entries"`

	sys *system.System
}

const (
	journalPath    = Dir + "/journal.json"
	journalVersion = 1
)

// openJournal reads the journal. That of another machine, which came with a disk, says nothing here.
func openJournal(sys *system.System) (*journal, error) {
	j := &journal{Version: journalVersion, Machine: machine(sys), sys: sys}
	data, err := sys.ReadFile(journalPath)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of volumes: %w", err)
	}
	read := journal{sys: sys}
	todo := "see what is on the disks, then move " + journalPath + " away; what was half made has to be wiped by hand"
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, remedy.With(fmt.Errorf("cannot read the journal of volumes: %w", err), todo)
	}
	if read.Version != journalVersion {
		return nil, remedy.With(fmt.Errorf("cannot read the journal of volumes: its version is %d, not %d", read.Version, journalVersion), "use the program that wrote it")
	}
	if read.Machine != j.Machine {
		return j, nil
	}
	return &read, nil
}

// machine is how the firmware names this machine. It is not the machine-id: that may be made anew by a boot after a power cut.
func machine(sys *system.System) string {
	id, err := sys.ReadFile("/sys/class/dmi/id/product_uuid")
	if name := strings.TrimSpace(string(id)); err == nil && strings.Trim(name, "0-") != "" {
		return name
	}
	return ""
}

// of answers what was begun of a step, or nil.
func (j *journal) of(step string) *entry {
	for _, e := range j.Entries {
		if e.Step == step {
			return e
		}
	}
	return nil
}

// chosen are the identifiers for a step: those of the try before, as far as it had them, where that is gone on with, since what it
// has left is known by them after any number of cuts.
func (j *journal) chosen(step string, v verdict, fresh map[string]string) map[string]string {
	if e := j.of(step); v.resume && e != nil {
		for name := range fresh {
			if old := e.UUIDs[name]; len(old) == len(fresh[name]) {
				fresh[name] = old
			}
		}
	}
	return fresh
}

// unfinished is the first entry that has no end, or nil.
func (j *journal) unfinished() *entry {
	for _, e := range j.Entries {
		if e.Done == nil {
			return e
		}
	}
	return nil
}

// forget drops what was begun and is not wanted any more. What is half made of it is from then on as if it were somebody else's.
func (j *journal) forget() error {
	if j.unfinished() == nil {
		return nil
	}
	j.Entries = slices.DeleteFunc(j.Entries, func(e *entry) bool { return e.Done == nil })
	return j.save()
}

// begin writes down that a step begins, before it does.
func (j *journal) begin(e entry) error {
	e.Begun = j.sys.Now().UTC()
	if old := j.of(e.Step); old != nil {
		*old = e
	} else {
		j.Entries = append(j.Entries, &e)
	}
	return j.save()
}

// end writes down that a step is finished. Of what was never begun there is nothing to say.
func (j *journal) end(step string) error {
	e := j.of(step)
	if e == nil || e.Done != nil {
		return nil
	}
	now := j.sys.Now().UTC()
	e.Done = &now
	return j.save()
}

func (j *journal) save() error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := j.sys.Mkdir(Dir, 0o700); err != nil {
		return err
	}
	return remedy.With(j.sys.WriteFile(journalPath, append(data, '\n'), 0o600), "make /var/lib/appliance writable and free space on it")
}
