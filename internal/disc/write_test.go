package disc_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appliance/internal/disc"
)

func made() time.Time { return time.Date(2026, 11, 23, 4, 5, 6, 0, time.FixedZone("", 3600)) }

func seed() []disc.File {
	return []disc.File{
		{Name: "user-data", Data: []byte("#cloud-config\nappliance: {}\n")},
		{Name: "meta-data", Data: []byte("instance-id: one\n")},
		{Name: "env.yml.pdf", Data: bytes.Repeat([]byte("%PDF"), 5000)},
		{Name: "empty"},
	}
}

func write(t testing.TB, files []disc.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := disc.WriteISO(&b, "cidata", made(), files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// open opens an image whose bytes are at hand.
func open(t testing.TB, data []byte) *disc.Image {
	t.Helper()
	image, err := disc.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func save(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnImageIsReadBack(t *testing.T) {
	data := write(t, seed())
	image := open(t, data)
	if image.Label != "cidata" {
		t.Errorf("label = %q", image.Label)
	}
	for _, f := range seed() {
		got, err := image.ReadFile(f.Name, 1<<20)
		if err != nil || !bytes.Equal(got, f.Data) {
			t.Errorf("%s: %d bytes, %v", f.Name, len(got), err)
		}
	}
	if !bytes.Equal(data, write(t, seed())) {
		t.Error("the same files give another image")
	}
}

// Enough files for several sectors of each directory.
func TestManyFiles(t *testing.T) {
	var files []disc.File
	for a := 'a'; a <= 'z'; a++ {
		for _, b := range "0123" {
			name := string(a) + string(b) + strings.Repeat("x", 10)
			files = append(files, disc.File{Name: name, Data: []byte(name)})
		}
	}
	image := open(t, write(t, files))
	for _, f := range files {
		if got, err := image.ReadFile(f.Name, 100); err != nil || !bytes.Equal(got, f.Data) {
			t.Fatalf("%s: %q, %v", f.Name, got, err)
		}
	}
}

func TestWhatAnImageCannotHold(t *testing.T) {
	for _, test := range []struct {
		name, label string
		files       []string
		want        string
	}{
		{"no label", "", nil, `cannot make an image: "" is no name for a volume`},
		{"long label", "cidatacidatacidata", nil, `"cidatacidatacidata" is no name for a volume`},
		{"a path", "cidata", []string{"a/b"}, `"a/b" is no name for a file`},
		{"the parent", "cidata", []string{".."}, `".." is no name for a file`},
		{"a long name", "cidata", []string{strings.Repeat("x", 65)}, "is no name for a file"},
		{"twice the same", "cidata", []string{"a", "b", "a"}, "cannot make an image: a and a are too much alike"},
		{"alike in plain names", "cidata", []string{"user-data", "user_data"}, "are too much alike for an iso9660 image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var files []disc.File
			for _, name := range test.files {
				files = append(files, disc.File{Name: name})
			}
			err := disc.WriteISO(&bytes.Buffer{}, test.label, made(), files)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
		})
	}
}

func TestAFailingWriterIsTold(t *testing.T) {
	full := errors.New("no space left")
	if err := disc.WriteISO(failing{full}, "cidata", made(), seed()); !errors.Is(err, full) {
		t.Errorf("error = %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What other programs read in our image.
func TestOthersReadOurImage(t *testing.T) {
	path := save(t, write(t, seed()))
	for _, test := range []struct {
		name    string
		command []string
		want    []string
	}{
		{"isoinfo, Rock Ridge", []string{"isoinfo", "-i", path, "-R", "-f"}, []string{"/empty\n", "/env.yml.pdf\n", "/meta-data\n", "/user-data\n"}},
		{"isoinfo, Joliet", []string{"isoinfo", "-i", path, "-J", "-f"}, []string{"/empty\n", "/env.yml.pdf\n", "/meta-data\n", "/user-data\n"}},
		{"isoinfo, plain", []string{"isoinfo", "-i", path, "-f"}, []string{"/EMPTY.;1\n", "/ENV_YML.PDF;1\n", "/META_DATA.;1\n", "/USER_DATA.;1\n"}},
		{"isoinfo, a file", []string{"isoinfo", "-i", path, "-J", "-x", "/meta-data"}, []string{"instance-id: one\n"}},
		{"isoinfo, the volume", []string{"isoinfo", "-i", path, "-d"}, []string{"Volume id: cidata\n", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"}},
		{"isoinfo, owners", []string{"isoinfo", "-i", path, "-R", "-l"}, []string{"-r--------   1    0    0              17 Nov 23 2026"}},
		{"bsdtar", []string{"bsdtar", "-xOf", path, "user-data"}, []string{"#cloud-config\nappliance: {}\n"}},
		{"blkid", []string{"blkid", "-p", "-o", "export", path}, []string{"LABEL=cidata\n", "TYPE=iso9660\n"}},
		{"xorriso", []string{"xorriso", "-indev", path, "-find", "/", "-exec", "lsdl"}, []string{"'/user-data'", "'/env.yml.pdf'", "Volume id    : 'cidata'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := run(t, test.command...)
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in:\n%s", want, out)
				}
			}
		})
	}
}

// The kernel has the last word: what it shows is what cloud-init sees.
func TestLinuxMountsOurImage(t *testing.T) {
	path, at := save(t, write(t, seed())), t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	if out, err := try(t, "mount", "-o", "loop,ro", path, at); err != nil {
		t.Skipf("this machine mounts no images: %s", out)
	}
	t.Cleanup(func() { run(t, "umount", at) })
	for _, f := range seed() {
		got, err := os.ReadFile(filepath.Join(at, f.Name))
		if err != nil || !bytes.Equal(got, f.Data) {
			t.Errorf("%s: %d bytes, %v", f.Name, len(got), err)
		}
	}
	info, err := os.Stat(filepath.Join(at, "user-data"))
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(made()) || info.Mode() != fs.FileMode(0o400) {
		t.Errorf("changed at %v, mode %v", info.ModTime(), info.Mode())
	}
}
