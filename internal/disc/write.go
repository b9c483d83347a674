package disc

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// File is a file to be put into an image.
type File struct {
	Name string
	Data []byte
}

const (
	maxLabel = 16      // characters; Joliet has room for no more (the plain descriptor has 32 bytes)
	maxName  = 64      // characters, by Joliet
	maxPlain = 30      // characters of a plain name, by interchange level 2
	maxTotal = 1 << 30 // bytes of all files, far below what the 32-bit sizes of the format can tell
)

// Where things lie, in sectors. What comes after the first root directory depends on how many files there are.
const (
	primaryAt = firstDescriptor + iota
	jolietAt
	endAt
	primaryTableLittle
	primaryTableBig
	jolietTableLittle
	jolietTableBig
	directoriesAt
)

// WriteISO writes an iso9660 image with Rock Ridge and Joliet: a volume called label with the files in its root
// directory, made and last changed at the time made. The same arguments give the same bytes. Nothing but w is written to.
//
// The files belong to root, who alone may read them on a mounted image. Names are of letters, digits, ".", "_" and "-".
func WriteISO(w io.Writer, label string, made time.Time, files []File) error {
	if err := checkVolume(label, files); err != nil {
		return fmt.Errorf("cannot make an image: %w", err)
	}
	i := newImage(label, made, files)
	if err := i.checkPlainNames(); err != nil {
		return fmt.Errorf("cannot make an image: %w", err)
	}
	for _, part := range i.parts() {
		part = append(slices.Clip(part), make([]byte, padding(len(part)))...)
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("cannot write the image: %w", err)
		}
	}
	return nil
}

func checkVolume(label string, files []File) error {
	if !portable(label) || len(label) > maxLabel {
		return fmt.Errorf("%q is no name for a volume: it takes up to %d letters, digits, dots, - and _", label, maxLabel)
	}
	total := 0
	for _, f := range files {
		if !portable(f.Name) || len(f.Name) > maxName {
			return fmt.Errorf("%q is no name for a file in it: it takes up to %d letters, digits, dots, - and _", f.Name, maxName)
		}
		if total += len(f.Data); total > maxTotal {
			return fmt.Errorf("the files have more than %d bytes", maxTotal)
		}
	}
	return nil
}

func portable(name string) bool {
	return strings.Trim(name, ".") != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// placed is a file with its plain name and its first sector.
type placed struct {
	File
	plain string
	at    uint32
}

// image is an iso9660 image in the making.
type image struct {
	label string
	made  time.Time
	files []placed // by plain name, as the directory wants them

	rock, joliet extent // the two root directories
	reference    uint32 // first sector of rockRidgeReference; libarchive wants it behind the directory that points to it
	end          uint32 // sectors of the whole
}

// extent is a place in the image.
type extent struct{ at, size uint32 }

func newImage(label string, made time.Time, files []File) *image {
	i := &image{label: label, made: made.UTC()}
	for _, f := range files {
		i.files = append(i.files, placed{File: f, plain: plainName(f.Name)})
	}
	slices.SortFunc(i.files, func(a, b placed) int { return cmp.Compare(a.plain, b.plain) })
	i.rock = extent{directoriesAt, uint32(len(i.rockDirectory()))}
	i.reference = i.rock.at + sectors(i.rock.size)
	i.joliet = extent{i.reference + 1, uint32(len(i.jolietDirectory()))}
	i.end = i.joliet.at + sectors(i.joliet.size)
	for n := range i.files {
		i.files[n].at = i.end
		i.end += sectors(uint32(len(i.files[n].Data)))
	}
	return i
}

// plainName is the name for readers that know neither Rock Ridge nor Joliet, such as "USER_DATA.;1".
func plainName(name string) string {
	mapped := []byte(strings.ToUpper(name))
	dot := strings.LastIndexByte(name, '.')
	for i, c := range mapped {
		if (c == '.' && i != dot) || c == '-' {
			mapped[i] = '_'
		}
	}
	base, extension, _ := strings.Cut(string(mapped), ".")
	extension = extension[:min(len(extension), maxPlain/2)]
	return base[:min(len(base), maxPlain-len(extension))] + "." + extension + ";1"
}

func (i *image) checkPlainNames() error {
	for n := 1; n < len(i.files); n++ {
		if a, b := i.files[n-1], i.files[n]; a.plain == b.plain {
			return errors.New(a.Name + " and " + b.Name + " are too much alike for an iso9660 image")
		}
	}
	return nil
}

// parts answers the image from its first byte to its last, each part to be filled up to a sector.
func (i *image) parts() [][]byte {
	parts := [][]byte{
		make([]byte, firstDescriptor*sector),
		i.descriptor(descriptorPrimary),
		i.descriptor(descriptorSupplementary),
		append([]byte{descriptorEnd}, "CD001\x01"...),
		pathTable(binary.LittleEndian, i.rock),
		pathTable(binary.BigEndian, i.rock),
		pathTable(binary.LittleEndian, i.joliet),
		pathTable(binary.BigEndian, i.joliet),
		i.rockDirectory(),
		rockRidgeReference(),
		i.jolietDirectory(),
	}
	for _, f := range i.files {
		parts = append(parts, f.Data)
	}
	return parts
}

func sectors(size uint32) uint32 { return (size + sector - 1) / sector }

func padding(n int) int { return (sector - n%sector) % sector }

// bigEndianBytes is text as Joliet has it.
func bigEndianBytes(text string) []byte {
	var data []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		data = binary.BigEndian.AppendUint16(data, unit)
	}
	return data
}
