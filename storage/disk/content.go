package disk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"appliance/internal/system"
)

// edge is how much of the begin and of the end of a device must be empty: tables, superblocks and the metadata of arrays are
// there, and so are the first sectors of whatever nobody knows. The second MiB is where the first partition begins: what is in it
// is all that a disk shows whose table somebody has wiped.
const edge = 2 << 20 // bytes

// content is what is on a device.
type content struct {
	kind    string // as blkid calls it: ext4, crypto_LUKS, LVM2_member; "several" when it cannot tell which of them counts
	uuid    string
	label   string
	table   string // kind of partition table: gpt, dos
	unknown bool   // it is not empty, and nobody knows what it is
}

func (c content) blank() bool { return c == content{} }

// signed says that somebody has put a signature there. The mark of a GPT in the first sector alone is none: it may have been the
// first that a power cut let through.
func (c content) signed() bool { return c.kind != "" || c.table != "" && c.table != "PMBR" }

func (c content) String() string {
	var parts []string
	named := map[string]string{"crypto_LUKS": "an encrypted device (LUKS)", "LVM2_member": "a physical volume of LVM",
		"linux_raid_member": "a member of an array", "several": "signatures of several kinds", "swap": "swap"}
	if c.kind != "" {
		what := cmp.Or(named[c.kind], "a filesystem of the type "+c.kind)
		if c.label != "" {
			what += fmt.Sprintf(" with the label %q", c.label)
		}
		parts = append(parts, what)
	}
	if c.table != "" {
		parts = append(parts, "a partition table ("+c.table+")")
	}
	if c.unknown {
		parts = append(parts, "something unknown")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " and ")
}

// contentOf tells what is on a device: signatures as they were probed when the host was looked at, and both edges.
func contentOf(ctx context.Context, sys *system.System, d *Device) (content, error) {
	if d.seen == nil {
		if err := d.probe(ctx, sys); err != nil {
			return content{}, err
		}
	}
	c := *d.seen
	if c.blank() {
		first, last, err := edges(d)
		if err != nil {
			return c, err
		}
		c.unknown = len(bytes.Trim(first, "\x00"))+len(bytes.Trim(last, "\x00")) > 0
	}
	return c, nil
}

// probe reads signatures from the device itself: no cache, and no udev that is behind or not there, has a say.
func (d *Device) probe(ctx context.Context, sys *system.System) error {
	var c content
	d.usage = ""
	out, err := sys.Query(ctx, "blkid", "--probe", "--output", "export", d.Path)
	switch status := system.Status(err); {
	case err == nil, status == 2: // it knows nothing; also where it could not read, which edges will see
	case status == 8:
		c.kind = "several"
	default:
		return fmt.Errorf("cannot look for signatures on %s: %w", d.Path, err)
	}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "TYPE":
			c.kind = value
		case "UUID":
			c.uuid = value
		case "USAGE":
			d.usage = value
		case "LABEL":
			c.label = value
		case "PTTYPE":
			c.table = value
		case "PART_ENTRY_UUID":
			d.partUUID = strings.ToLower(value)
		case "PART_ENTRY_NAME":
			d.partName = value
		case "PART_ENTRY_OFFSET":
			d.start, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	d.label, d.seen = c.label, &c
	return nil
}

// edges reads both edges of a device; of a smaller one all of it, twice.
func edges(d *Device) (first, last []byte, err error) {
	file, err := os.Open(d.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look at what is on %s: %w", d.Path, err)
	}
	defer file.Close()
	n := min(edge, d.Size)
	first, last = make([]byte, n), make([]byte, n)
	if _, err = file.ReadAt(first, 0); err == nil || err == io.EOF {
		_, err = file.ReadAt(last, int64(d.Size-n))
	}
	if err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("cannot look at what is on %s: %w", d.Path, err)
	}
	return first, last, nil
}
