package disc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// fat reads a FAT file system. Its table is read one entry at a time: what is read from such an image are few and small
// files, and the size of the table is the image's own claim.
type fat struct {
	volume
	bits     int   // of an entry of the table: 12, 16 or 32
	table    int64 // offset of the first table
	clusters uint32
	cluster  int64 // bytes
	data     int64 // offset of cluster 2

	fixed     int64 // offset of the root directory where it has a place of its own (FAT12, FAT16)
	fixedSize int64
	top       node // the root directory of FAT32
}

const firstCluster = 2

func openFAT(v volume) (*Image, error) {
	boot, err := v.at(0, 512)
	if err != nil || boot[510] != 0x55 || boot[511] != 0xaa {
		return nil, errOther
	}
	t, field := newFAT(v, boot)
	if t == nil {
		return nil, errOther
	}
	label, err := t.label()
	if err != nil {
		return nil, err
	}
	if label == "" {
		label = bootLabel(field)
	}
	return &Image{label, t}, nil
}

// newFAT reads a boot sector and answers the file system with the field of its label, or nil for a boot sector of
// something else. The kind follows from it as Linux takes it: FAT32 has no 16-bit table length, FAT12 has at most 4084
// clusters.
func newFAT(v volume, boot []byte) (t *fat, label []byte) {
	sectorSize := int64(binary.LittleEndian.Uint16(boot[11:]))
	perCluster := int64(boot[13])
	reserved := int64(binary.LittleEndian.Uint16(boot[14:]))
	tables := int64(boot[16])
	if !powerOfTwo(sectorSize, 512, 4096) || !powerOfTwo(perCluster, 1, 128) || reserved == 0 || tables == 0 || boot[21] < 0xf0 {
		return nil, nil
	}
	total := int64(binary.LittleEndian.Uint16(boot[19:]))
	if total == 0 {
		total = int64(binary.LittleEndian.Uint32(boot[32:]))
	}
	t = &fat{volume: v, bits: 16}
	perTable, label := int64(binary.LittleEndian.Uint16(boot[22:])), boot[43:54]
	if perTable == 0 {
		t.bits = 32
		t.top = node{dir: true, start: binary.LittleEndian.Uint32(boot[44:])}
		perTable, label = int64(binary.LittleEndian.Uint32(boot[36:])), boot[71:82]
	}
	t.fixedSize = slotSize * int64(binary.LittleEndian.Uint16(boot[17:]))
	t.cluster = perCluster * sectorSize
	t.table = reserved * sectorSize
	t.fixed = t.table + tables*perTable*sectorSize
	t.data = t.fixed + (t.fixedSize+sectorSize-1)/sectorSize*sectorSize
	clusters := (total*sectorSize - t.data) / t.cluster
	if clusters <= 0 || clusters > 0x0fffffff {
		return nil, nil
	}
	t.clusters = uint32(clusters)
	if t.bits == 16 && clusters <= 4084 {
		t.bits = 12
	}
	return t, label
}

func powerOfTwo(n, low, high int64) bool { return low <= n && n <= high && n&(n-1) == 0 }

// bootLabel is the label of the boot sector, which stays behind when a volume is renamed: it counts only where the root
// directory has none.
func bootLabel(field []byte) string {
	if label := strings.TrimRight(string(field), " \x00"); label != "NO NAME" {
		return label
	}
	return ""
}

// label is the volume's entry in the root directory, "" where there is none.
func (t *fat) label() (string, error) {
	for e, err := range t.entries(t.root()) {
		if err != nil {
			return "", err
		}
		if e.isLabel() {
			return strings.TrimRight(string(e.slot[:11]), " "), nil
		}
	}
	return "", nil
}

// root answers the root directory; cluster 0 stands for the one with a place of its own.
func (t *fat) root() node {
	if t.bits == 32 {
		return t.top
	}
	return node{dir: true}
}

func (t *fat) lookup(dir node, name string) (node, error) {
	for e, err := range t.entries(dir) {
		if err != nil {
			return node{}, err
		}
		if !e.isLabel() && (strings.EqualFold(e.long, name) || strings.EqualFold(e.short(), name)) {
			return e.node(t.bits), nil
		}
	}
	return node{}, fs.ErrNotExist
}

// read follows the chain of clusters as far as the size of the file needs it, so that a chain in a circle ends too.
func (t *fat) read(file node) ([]byte, error) {
	if file.size > t.size {
		return nil, fmt.Errorf("the image is broken: a file of %d bytes in an image of %d", file.size, t.size)
	}
	data := make([]byte, 0, file.size)
	for at := file.start; int64(len(data)) < file.size; {
		part, err := t.readCluster(at, min(t.cluster, file.size-int64(len(data))))
		if err != nil {
			return nil, err
		}
		data = append(data, part...)
		if at, err = t.next(at); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (t *fat) readCluster(number uint32, n int64) ([]byte, error) {
	if !t.valid(number) {
		return nil, errors.New("the image is broken: a chain of clusters leads nowhere")
	}
	return t.at(t.data+int64(number-firstCluster)*t.cluster, n)
}

func (t *fat) valid(number uint32) bool {
	return number >= firstCluster && number-firstCluster < t.clusters
}

// next answers the cluster that follows one, some number that is not valid at the end of a chain.
func (t *fat) next(number uint32) (uint32, error) {
	width := int64(t.bits+7) / 8
	raw, err := t.at(t.table+int64(number)*int64(t.bits)/8, width)
	if err != nil {
		return 0, err
	}
	switch t.bits {
	case 12:
		return uint32(binary.LittleEndian.Uint16(raw)>>(number%2*4)) & 0xfff, nil
	case 16:
		return uint32(binary.LittleEndian.Uint16(raw)), nil
	}
	return binary.LittleEndian.Uint32(raw) & 0x0fffffff, nil
}
