package disc_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"appliance/internal/disc"
)

const sector = 2048

// fat12 is a small image with user-data, meta-data and openstack/latest/user_data, made by mkfs.vfat (-f 1: with a single
// table, so that what a test changes in it needs no second place) and mcopy.
func fat12(t testing.TB) []byte {
	t.Helper()
	file, err := os.Open("testdata/fat12.img.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put32(data []byte, at int, n uint32) { binary.LittleEndian.PutUint32(data[at:], n) }

// Broken images are refused in words, and cost neither time nor memory.
func TestBrokenImages(t *testing.T) {
	const primary, rootAt = 16 * sector, 23 * sector
	for _, test := range []struct {
		name  string
		image func(t testing.TB) []byte
		spoil func(data []byte) []byte
		want  string
	}{
		{"iso9660 cut off in its descriptors", isoSeed, func(d []byte) []byte { return d[:primary+100] }, "cut off or broken"},
		{"iso9660 cut off in a directory", isoSeed, func(d []byte) []byte { return d[:rootAt+100] }, "cut off or broken"},
		{"iso9660 cut off in a file", isoSeed, func(d []byte) []byte { return d[:len(d)-sector] }, "cut off or broken"},
		{"a block of no bytes", isoSeed, func(d []byte) []byte { clear(d[primary+128 : primary+132]); return d }, "impossible size"},
		{"a root directory of 4 GB", isoSeed, func(d []byte) []byte { put32(d, primary+166, 1<<32-1); return d }, "the directory is too large"},
		{"a record shorter than it can be", isoSeed, func(d []byte) []byte { d[rootAt] = 20; return d }, "impossible length"},
		{"a name longer than its record", isoSeed, func(d []byte) []byte { d[rootAt+32] = 255; return d }, "impossible length"},
		{"a file of 4 GB", isoSeed, func(d []byte) []byte {
			at := bytes.Index(d, []byte("USER_DATA.;1")) - 33
			put32(d, at+10, 1<<32-1)
			return d
		}, "it has 4294967295 bytes, more than 1048576"},
		{"entries in a circle", isoSeed, func(d []byte) []byte {
			// The reference's sector gets an entry that points to itself, and each record one to it.
			circle := append([]byte{'C', 'E', 28, 1}, make([]byte, 24)...)
			put32(circle, 4, 24)
			put32(circle, 20, 28)
			copy(d[24*sector:], circle)
			for at := bytes.Index(d, []byte("PX")); at >= 0; at = bytes.Index(d, []byte("PX")) {
				copy(d[at:], circle)
			}
			return d
		}, "the entries of a record do not end"},
		{"FAT cut off", fat12, func(d []byte) []byte { return d[:700] }, "cut off or broken"},
		{"a directory in a circle", fat12, func(d []byte) []byte {
			at := bytes.Index(d, []byte("USER-D"))
			d[at+11], d[at+26], d[at+27] = 1<<4, 2, 0 // user-data is a directory now, and its cluster goes on at itself
			table := 512 * int(binary.LittleEndian.Uint16(d[14:]))
			d[table+3], d[table+4] = 2, d[table+4]&0xf0
			return d
		}, "the directory is too large"},
		{"a file larger than the image", fat12, func(d []byte) []byte {
			put32(d, bytes.Index(d, []byte("USER-D"))+28, 1<<20)
			return d
		}, "a file of 1048576 bytes in an image of"},
		{"a chain that ends too early", fat12, func(d []byte) []byte {
			put32(d, bytes.Index(d, []byte("USER-D"))+28, 5000)
			return d
		}, "a chain of clusters leads nowhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := allocated()
			err := use(test.spoil(test.image(t)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
			if grown := allocated() - before; grown > 32<<20 {
				t.Errorf("it took %d MiB", grown>>20)
			}
		})
	}
}

func isoSeed(t testing.TB) []byte { return write(t, seed()) }

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// use opens an image and reads all that a drive with an environment could have.
func use(data []byte) error {
	image, err := disc.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	_, err = image.ReadFile("user-data/x", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, name := range []string{"user-data", "meta-data", "env.yml.pdf", "openstack/latest/user_data"} {
		if _, cause := image.ReadFile(name, 1<<20); !errors.Is(cause, fs.ErrNotExist) {
			err = errors.Join(err, cause)
		}
	}
	return err
}

func TestTheSmallFAT(t *testing.T) {
	image := open(t, fat12(t))
	if image.Label != "CIDATA" {
		t.Errorf("label = %q", image.Label)
	}
	if got, err := image.ReadFile("openstack/latest/user_data", 100); err != nil || string(got) != "hi\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzOpen has no more to say than that nothing panics, hangs or eats the memory: the corpus is short images.
func FuzzOpen(f *testing.F) {
	image := write(f, seed()[:2])
	f.Add(image[16*sector:], true)
	f.Add(fat12(f)[:20<<10], false)
	f.Fuzz(func(t *testing.T, data []byte, iso bool) {
		if iso { // the fuzzer need not find out that 32 kB of anything come first
			data = append(make([]byte, 16*sector), data...)
		}
		before := allocated()
		_ = use(data)
		if grown := allocated() - before; grown > 64<<20 {
			t.Errorf("it took %d MiB for %d bytes", grown>>20, len(data))
		}
	})
}
