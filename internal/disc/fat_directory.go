package disc

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"strings"
	"unicode/utf16"
)

const (
	slotSize = 32

	attributeVolume    = 1 << 3
	attributeDirectory = 1 << 4
	attributeLong      = 0x0f // with the mask 0x3f: the slot holds a part of a long name

	slotFree = 0xe5
	slotEnd  = 0

	longPart  = 13 // characters in a slot
	longSlots = 20
)

// dirEntry is a file, a directory or the volume's label.
type dirEntry struct {
	slot []byte
	long string // "" where there is only the short name
}

func (e dirEntry) isLabel() bool { return e.slot[11]&attributeVolume != 0 }

func (e dirEntry) node(bits int) node {
	start := uint32(binary.LittleEndian.Uint16(e.slot[26:]))
	if bits == 32 {
		start |= uint32(binary.LittleEndian.Uint16(e.slot[20:])) << 16
	}
	if e.slot[11]&attributeDirectory != 0 {
		return node{dir: true, start: start}
	}
	return node{start: start, size: int64(binary.LittleEndian.Uint32(e.slot[28:]))}
}

// short answers the name of eight and three characters.
func (e dirEntry) short() string {
	name := strings.TrimRight(string(e.slot[:8]), " ")
	if extension := strings.TrimRight(string(e.slot[8:11]), " "); extension != "" {
		name += "." + extension
	}
	return name
}

// entries walks through a directory and puts the parts of long names together.
func (t *fat) entries(dir node) iter.Seq2[dirEntry, error] {
	return func(yield func(dirEntry, error) bool) {
		data, err := t.directory(dir)
		if err != nil {
			yield(dirEntry{}, err)
			return
		}
		var parts longName
		for slot := range slices.Chunk(data, slotSize) {
			switch {
			case slot[0] == slotEnd:
				return
			case slot[0] == slotFree:
				parts = longName{}
			case slot[11]&0x3f == attributeLong:
				parts.add(slot)
			default:
				if !yield(dirEntry{slot, parts.of(slot)}, nil) {
					return
				}
				parts = longName{}
			}
		}
	}
}

// directory reads the slots of a directory.
func (t *fat) directory(dir node) ([]byte, error) {
	if dir.start == 0 && t.bits != 32 {
		return t.at(t.fixed, t.fixedSize)
	}
	var data []byte
	for at := dir.start; ; {
		part, err := t.readCluster(at, t.cluster)
		if err != nil {
			return nil, err
		}
		if data = append(data, part...); len(data) > maxDirectory {
			return nil, errors.New("the directory is too large")
		}
		if at, err = t.next(at); err != nil || !t.valid(at) {
			return data, err
		}
	}
}

// longName collects the slots of a long name, which stand last part first before the slot they belong to.
type longName struct {
	units    [longPart * longSlots]uint16
	length   int
	checksum byte
}

func (l *longName) add(slot []byte) {
	const last = 0x40
	number := int(slot[0] &^ last)
	if number < 1 || number > longSlots {
		*l = longName{}
		return
	}
	if slot[0]&last != 0 {
		*l = longName{length: number * longPart, checksum: slot[13]}
	}
	units := l.units[(number-1)*longPart:]
	for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		units[i] = binary.LittleEndian.Uint16(slot[at:])
	}
}

// of answers the long name, or "" where the collected parts belong to some other slot.
func (l *longName) of(slot []byte) string {
	var sum byte
	for _, c := range slot[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	if l.length == 0 || sum != l.checksum {
		return ""
	}
	units := l.units[:l.length]
	if end := slices.Index(units, 0); end >= 0 {
		units = units[:end]
	}
	return string(utf16.Decode(units))
}
