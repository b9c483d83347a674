package disc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxContinuations bounds how often the entries of one record go on elsewhere, and so the entries that go in circles.
const maxContinuations = 8

// detectRockRidge looks for the indicator in the first record of the root directory (SUSP, 5.3).
func (t *iso) detectRockRidge() error {
	for r, err := range t.records(t.top) {
		if err != nil {
			return err
		}
		use := r.systemUse()
		for _, start := range []int{0, 14} { // 14 where the extensions of CD-ROM XA stand before it
			if len(use) >= start+7 && string(use[start:start+2]) == "SP" && use[start+4] == 0xbe && use[start+5] == 0xef {
				t.rock, t.skip = true, int(use[start+6])
			}
		}
		break
	}
	return nil
}

// rockRidge answers the name that the entries of a record spell, "" where they spell none.
func (t *iso) rockRidge(r record) (name string, link bool, err error) {
	use := r.systemUse()
	use = use[min(t.skip, len(use)):]
	for range maxContinuations {
		var next []byte
		for len(use) >= 4 && use[2] >= 4 && int(use[2]) <= len(use) {
			entry := use[:use[2]]
			use = use[use[2]:]
			switch string(entry[:2]) {
			case "NM":
				name += nameEntry(entry)
			case "SL":
				link = true
			case "CE":
				next = entry
			case "ST":
				use = nil
			}
		}
		if next == nil {
			return name, link, nil
		}
		if use, err = t.continuation(next); err != nil {
			return "", false, err
		}
	}
	return "", false, errors.New("the image is broken: the entries of a record do not end")
}

// nameEntry answers the part of a name in an NM entry (RRIP, 4.1.4); "." and ".." are only flagged in it.
func nameEntry(entry []byte) string {
	const current, parent = 1 << 1, 1 << 2
	if len(entry) < 5 || entry[4]&(current|parent) != 0 {
		return ""
	}
	return string(entry[5:])
}

// continuation reads the area that a CE entry points to (SUSP, 5.1).
func (t *iso) continuation(entry []byte) ([]byte, error) {
	if len(entry) < 28 {
		return nil, errors.New("the image is broken: a continuation entry is too short")
	}
	block := int64(binary.LittleEndian.Uint32(entry[4:]))
	offset := int64(binary.LittleEndian.Uint32(entry[12:]))
	length := int64(binary.LittleEndian.Uint32(entry[20:]))
	if length > sector {
		return nil, fmt.Errorf("the image is broken: a continuation of %d bytes", length)
	}
	return t.at(block*t.block+offset, length)
}
