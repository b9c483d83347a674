package disc

import (
	"encoding/binary"
	"time"
)

// descriptor answers the primary volume descriptor (ECMA-119, 8.4) or the supplementary one of Joliet (8.5), which
// differ in how text is written, and in the tree they lead to.
func (i *image) descriptor(kind byte) []byte {
	text, root, table := []byte(i.label), i.rock, uint32(primaryTableLittle)
	if kind == descriptorSupplementary {
		text, root, table = bigEndianBytes(i.label), i.joliet, jolietTableLittle
	}
	d := make([]byte, sector)
	d[0] = kind
	copy(d[1:], "CD001\x01")
	blank(d[8:72], kind)
	copy(d[40:72], text)
	putBoth32(d[80:], i.end)
	if kind == descriptorSupplementary {
		copy(d[88:], "%/E")
	}
	putBoth16(d[120:], 1) // volumes in the set
	putBoth16(d[124:], 1) // the number of this one
	putBoth16(d[128:], sector)
	putBoth32(d[132:], pathTableSize)
	binary.LittleEndian.PutUint32(d[140:], table)
	binary.BigEndian.PutUint32(d[148:], table+1)
	copy(d[156:], i.record([]byte{0}, root, flagDirectory, nil))
	blank(d[190:813], kind)
	for n, date := range []time.Time{i.made, i.made, {}, {}} { // made, changed, expires, becomes valid
		copy(d[813+17*n:], longDate(date))
	}
	d[881] = 1 // version of the structure
	return d
}

// blank fills a text field with the blanks of a descriptor: those of UCS-2 for Joliet.
func blank(field []byte, kind byte) {
	for n := range field {
		if kind == descriptorPrimary || n%2 == 1 {
			field[n] = ' '
		}
	}
}

// pathTableSize is the length of a path table with only a root directory in it.
const pathTableSize = 10

// pathTable answers such a table (ECMA-119, 9.4).
func pathTable(order binary.ByteOrder, root extent) []byte {
	table := make([]byte, pathTableSize)
	table[0] = 1 // length of the identifier, a zero byte
	order.PutUint32(table[2:], root.at)
	order.PutUint16(table[6:], 1) // the root is its own parent
	return table
}

// longDate is the date of a descriptor (ECMA-119, 8.4.26.1), which has digits. A zero time is "not specified".
func longDate(t time.Time) []byte {
	if t.IsZero() {
		return []byte("0000000000000000\x00")
	}
	return []byte(t.Format("20060102150405") + "00\x00") // hundredths; and the distance from UTC
}

// shortDate is the date of a record (ECMA-119, 9.1.5), which has bytes.
func shortDate(t time.Time) []byte {
	return []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}

func putBoth16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

func putBoth32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func appendBoth32(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, n), n)
}
