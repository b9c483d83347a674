package disc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"unicode/utf16"
)

const (
	sector = 2048

	// firstDescriptor is the sector after the system area (ECMA-119, 6.2.1); maxDescriptors is far more than anybody writes.
	firstDescriptor = 16
	maxDescriptors  = 32

	descriptorPrimary       = 1
	descriptorSupplementary = 2
	descriptorEnd           = 255
)

// iso reads one of the directory trees of an iso9660 image.
type iso struct {
	volume
	block  int64 // bytes of a logical block; places count in them
	top    node
	joliet bool
	rock   bool
	skip   int // bytes before the first entry of Rock Ridge in each record
}

// openISO picks the tree that Linux picks: Rock Ridge, or Joliet, or the plain one.
func openISO(v volume) (*Image, error) {
	if magic, err := v.at(firstDescriptor*sector+1, 5); err != nil || string(magic) != "CD001" {
		return nil, errOther
	}
	primary, joliet, err := descriptors(v)
	if err != nil {
		return nil, err
	}
	label := strings.TrimRight(string(primary[40:72]), " \x00")
	plain, err := newTree(v, primary)
	if err != nil {
		return nil, err
	}
	if err := plain.detectRockRidge(); err != nil {
		return nil, err
	}
	if joliet == nil || plain.rock {
		return &Image{label, plain}, nil
	}
	unicode, err := newTree(v, joliet)
	if err != nil {
		return nil, err
	}
	unicode.joliet = true
	return &Image{label, unicode}, nil
}

// descriptors answers the primary volume descriptor and, where there is one, that of Joliet.
func descriptors(v volume) (primary, joliet []byte, err error) {
	for i := range int64(maxDescriptors) {
		d, err := v.at((firstDescriptor+i)*sector, sector)
		if err != nil {
			return nil, nil, err
		}
		if string(d[1:6]) != "CD001" || d[0] == descriptorEnd {
			break
		}
		switch {
		case d[0] == descriptorPrimary && primary == nil:
			primary = d
		case d[0] == descriptorSupplementary && isJoliet(d):
			joliet = d
		}
	}
	if primary == nil {
		return nil, nil, errors.New("the image is broken: it has no primary volume descriptor")
	}
	return primary, joliet, nil
}

// isJoliet looks for the escape sequences of UCS-2 in its three levels.
func isJoliet(d []byte) bool {
	escape := string(d[88:91])
	return escape == "%/@" || escape == "%/C" || escape == "%/E"
}

func newTree(v volume, descriptor []byte) (*iso, error) {
	block := int64(binary.LittleEndian.Uint16(descriptor[128:]))
	if block != 512 && block != 1024 && block != sector {
		return nil, errors.New("the image is broken: its blocks have an impossible size")
	}
	root := record(descriptor[156:190])
	return &iso{volume: v, block: block, top: root.node()}, nil
}

func (t *iso) root() node { return t.top }

func (t *iso) read(file node) ([]byte, error) { return t.at(int64(file.start)*t.block, file.size) }

func (t *iso) lookup(dir node, name string) (node, error) {
	for r, err := range t.records(dir) {
		if err != nil {
			return node{}, err
		}
		if r.itself() {
			continue
		}
		found, link, err := t.name(r)
		if err != nil {
			return node{}, err
		}
		if found != name && (t.rock || !strings.EqualFold(found, name)) {
			continue
		}
		switch {
		case link:
			return node{}, errors.New("it is a symbolic link")
		case r.inPieces():
			return node{}, errors.New("it is stored in pieces, which only files of several gigabytes have to be")
		}
		return r.node(), nil
	}
	return node{}, fs.ErrNotExist
}

// records walks through a directory. Its sectors are filled with whole records, and zeros at the end.
func (t *iso) records(dir node) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		if dir.size > maxDirectory {
			yield(nil, errors.New("the directory is too large"))
			return
		}
		for offset := int64(0); offset < dir.size; offset += sector {
			data, err := t.at(int64(dir.start)*t.block+offset, min(sector, dir.size-offset))
			if err != nil {
				yield(nil, err)
				return
			}
			for len(data) > 0 && data[0] > 0 {
				n := int(data[0])
				if n < shortestRecord || n > len(data) || identifierAt+int(data[32]) > n {
					yield(nil, errors.New("the image is broken: a directory record has an impossible length"))
					return
				}
				if !yield(record(data[:n]), nil) {
					return
				}
				data = data[n:]
			}
		}
	}
}

// name answers the name of a record, and whether it is a symbolic link.
func (t *iso) name(r record) (name string, link bool, err error) {
	switch {
	case t.joliet:
		name = bigEndianText(r.identifier())
	case t.rock:
		if name, link, err = t.rockRidge(r); err != nil || name != "" {
			return name, link, err
		}
		fallthrough
	default:
		name = strings.ToLower(string(r.identifier()))
	}
	name, _, _ = strings.Cut(name, ";") // the version
	if !t.joliet {
		name = strings.TrimSuffix(name, ".")
	}
	return name, link, nil
}

func bigEndianText(data []byte) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

const (
	identifierAt   = 33 // where the identifier begins in a directory record
	shortestRecord = identifierAt + 1
)

// record is a directory record (ECMA-119, 9.1). Its length has been checked.
type record []byte

// node answers what the record describes; an extended attribute record before the data is skipped.
func (r record) node() node {
	return node{
		dir:   r[25]&flagDirectory != 0,
		start: binary.LittleEndian.Uint32(r[2:]) + uint32(r[1]),
		size:  int64(binary.LittleEndian.Uint32(r[10:])),
	}
}

func (r record) identifier() []byte { return r[identifierAt : identifierAt+int(r[32])] }

// itself says that the record stands for the directory that holds it, or for its parent.
func (r record) itself() bool {
	id := r.identifier()
	return bytes.Equal(id, []byte{0}) || bytes.Equal(id, []byte{1})
}

// inPieces says that the file goes on in a next record, or is interleaved with others.
func (r record) inPieces() bool { return r[25]&flagMore != 0 || r[26] != 0 }

// systemUse is what the record holds after its identifier, which is padded to an even place.
func (r record) systemUse() []byte {
	start := identifierAt + int(r[32])
	start += start % 2
	return r[min(start, len(r)):]
}

const (
	flagDirectory = 1 << 1
	flagMore      = 1 << 7
)
