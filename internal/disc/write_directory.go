package disc

import (
	"bytes"
	"slices"
)

// Modes of POSIX for what is in the image. It holds secrets.
const (
	modeDirectory = 0o040500
	modeFile      = 0o100400
)

// rockDirectory answers the root directory of the primary tree.
func (i *image) rockDirectory() []byte {
	self := slices.Concat([]byte("SP\x07\x01\xbe\xef\x00"), i.posix(modeDirectory, 2), i.referenceLink())
	records := [][]byte{
		i.record([]byte{0}, i.rock, flagDirectory, self),
		i.record([]byte{1}, i.rock, flagDirectory, i.posix(modeDirectory, 2)),
	}
	for _, f := range i.files {
		name := append([]byte{'N', 'M', byte(5 + len(f.Name)), 1, 0}, f.Name...)
		use := append(i.posix(modeFile, 1), name...)
		records = append(records, i.record([]byte(f.plain), extent{f.at, uint32(len(f.Data))}, 0, use))
	}
	return pack(records)
}

// jolietDirectory answers the root directory of the tree with names in UCS-2.
func (i *image) jolietDirectory() []byte {
	records := [][]byte{
		i.record([]byte{0}, i.joliet, flagDirectory, nil),
		i.record([]byte{1}, i.joliet, flagDirectory, nil),
	}
	files := slices.SortedFunc(slices.Values(i.files), func(a, b placed) int {
		return bytes.Compare([]byte(a.Name), []byte(b.Name)) // as in UCS-2: portable names are ASCII
	})
	for _, f := range files {
		records = append(records, i.record(bigEndianBytes(f.Name), extent{f.at, uint32(len(f.Data))}, 0, nil))
	}
	return pack(records)
}

// record answers a directory record (ECMA-119, 9.1).
func (i *image) record(identifier []byte, at extent, flags byte, systemUse []byte) []byte {
	r := make([]byte, identifierAt, 256)
	putBoth32(r[2:], at.at)
	putBoth32(r[10:], at.size)
	copy(r[18:], shortDate(i.made))
	r[25] = flags
	putBoth16(r[28:], 1) // the volume in the set
	r[32] = byte(len(identifier))
	r = append(r, identifier...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r = append(r, systemUse...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r))
	return r
}

// pack puts records into sectors, none across a border, and fills up the last one.
func pack(records [][]byte) []byte {
	var directory []byte
	for _, r := range records {
		if len(directory)%sector+len(r) > sector {
			directory = append(directory, make([]byte, padding(len(directory)))...)
		}
		directory = append(directory, r...)
	}
	return append(directory, make([]byte, padding(len(directory)))...)
}

// posix answers the entries PX and TF of Rock Ridge: mode, links, owner (root), and when it was made and changed.
func (i *image) posix(mode, links uint32) []byte {
	px := []byte{'P', 'X', 36, 1}
	for _, n := range []uint32{mode, links, 0, 0} {
		px = appendBoth32(px, n)
	}
	const modified, accessed, changed = 1 << 1, 1 << 2, 1 << 3
	date := shortDate(i.made)
	return slices.Concat(px, []byte{'T', 'F', 26, 1, modified | accessed | changed}, date, date, date)
}

// rockRidgeReference names the extension that the entries belong to (SUSP, 5.5). It does not fit into a record, and so
// has a sector of its own. The texts are those that the specification wants.
func rockRidgeReference() []byte {
	const id = "RRIP_1991A"
	const descriptor = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
	const source = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN " +
		"PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	entry := []byte{'E', 'R', byte(8 + len(id) + len(descriptor) + len(source)), 1, byte(len(id)), byte(len(descriptor)), byte(len(source)), 1}
	return slices.Concat(entry, []byte(id), []byte(descriptor), []byte(source))
}

// referenceLink points to it from the first record.
func (i *image) referenceLink() []byte {
	entry := []byte{'C', 'E', 28, 1}
	for _, n := range []uint32{i.reference, 0, uint32(len(rockRidgeReference()))} {
		entry = appendBoth32(entry, n)
	}
	return entry
}
