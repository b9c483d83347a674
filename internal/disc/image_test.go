package disc_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"appliance/internal/disc"
)

const config = "#cloud-config\nappliance:\n  domain: ecs.example.org\n"

// tree makes the files of a drive with an environment in a directory.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"user-data":                  config,
		"meta-data":                  "instance-id: one\n",
		"openstack/latest/user_data": config,
		"large":                      strings.Repeat("0123456789abcdef", 1<<13), // many clusters
		strings.Repeat("long-", 40):  "a name over several slots",
		"zażółć":                     "not ASCII",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func genisoimage(flags ...string) func(*testing.T, string, string) {
	return func(t *testing.T, image, dir string) {
		argv := append([]string{"genisoimage", "-quiet", "-input-charset", "utf-8", "-V", "cidata", "-o", image}, flags...)
		run(t, append(argv, dir)...)
	}
}

func vfat(bits, kilobytes string) func(*testing.T, string, string) {
	return func(t *testing.T, image, dir string) {
		t.Setenv("LC_ALL", "C.UTF-8")
		run(t, "mkfs.vfat", "-C", "-F", bits, "-n", "CIDATA", image, kilobytes)
		files, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		run(t, append(append([]string{"mcopy", "-s", "-i", image}, files...), "::")...)
	}
}

func TestImagesOfOthers(t *testing.T) {
	long := strings.Repeat("long-", 40)
	ascii := []string{"user-data", "openstack/latest/user_data", "large", long}
	all := append(slices.Clip(ascii), "zażółć")
	for _, test := range []struct {
		name   string
		make   func(t *testing.T, image, dir string)
		there  []string
		absent []string
	}{
		{"Rock Ridge and Joliet", genisoimage("-J", "-r", "-joliet-long"), all, []string{"USER-DATA", "user_dat"}},
		{"Rock Ridge", genisoimage("-r"), all, []string{"User-Data"}},
		{"Joliet", genisoimage("-J"), []string{"user-data", "User-Data", "openstack/latest/user_data", "zażółć"}, []string{"user_dat"}},
		{"plain", genisoimage(), []string{"user_dat", "openstac/latest/user_dat", "large"}, []string{"user-data"}},
		{"plain with long names", genisoimage("-input-charset", "iso8859-1", "-iso-level", "4"), []string{"user-data", "openstack/latest/user_data", "large"}, nil},
		{"xorriso", func(t *testing.T, image, dir string) {
			run(t, "xorriso", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", image, dir)
		}, all, nil},
		{"FAT12", vfat("12", "2048"), append(slices.Clip(ascii), "USER-DATA", "User-Data", "OPENST~1/latest/user_data"), []string{"openst/latest"}},
		{"FAT16", vfat("16", "16384"), ascii, nil},
		{"FAT32", vfat("32", "65536"), ascii, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			dir := tree(t)
			test.make(t, path, dir)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			image := open(t, data)
			if !strings.EqualFold(image.Label, "cidata") {
				t.Errorf("label = %q", image.Label)
			}
			for _, name := range test.there {
				got, err := image.ReadFile(name, 1<<20)
				want, original := os.ReadFile(filepath.Join(dir, name))
				if original != nil {
					want = []byte(config) // under a name that the tool has made
					if name == "large" {
						t.Fatal(original)
					}
				}
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			for _, name := range append(test.absent, "vendor-data", "user-data/x", "openstack/oldest/user_data") {
				if _, err := image.ReadFile(name, 1<<20); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestWhatIsNoFile(t *testing.T) {
	image := open(t, write(t, seed()))
	for _, test := range []struct {
		name, path string
		limit      int64
		want       string
	}{
		{"too large", "env.yml.pdf", 19999, "cannot read env.yml.pdf from the image: it has 20000 bytes, more than 19999"},
		{"the root", ".", 10, "cannot read . from the image: file does not exist"},
		{"outside", "../user-data", 10, "cannot read ../user-data from the image: invalid argument"},
		{"absolute", "/user-data", 10, "cannot read /user-data from the image: invalid argument"},
		{"below a file", "user-data/x", 10, "cannot read user-data/x from the image: file does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := image.ReadFile(test.path, test.limit)
			if err == nil || err.Error() != test.want {
				t.Errorf("error = %v, want %s", err, test.want)
			}
		})
	}
}

func TestDirectoriesAndLinksAreNoFiles(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.Mkdir(dir+"/openstack", 0o755), os.Symlink("elsewhere", dir+"/user-data")); err != nil {
		t.Fatal(err)
	}
	genisoimage("-r")(t, path, dir)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"openstack": "it is a directory", "user-data": "it is a symbolic link"} {
		if _, err := open(t, data).ReadFile(name, 100); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoImage(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty":    nil,
		"text":     []byte(config),
		"zeros":    make([]byte, 1<<16),
		"a sector": append(make([]byte, 510), 0x55, 0xaa),
	} {
		_, err := disc.Open(bytes.NewReader(data), int64(len(data)))
		if err == nil || !strings.HasPrefix(err.Error(), "cannot find a file system") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
