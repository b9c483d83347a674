package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

var errCut = errors.New("cut by the test")

// host is a root directory that counts effects, and cuts before one of them.
type host struct {
	Layout
	root    string
	cut     int // number of the effect, from 1
	effects []string
}

func newTestHost(t *testing.T) *host {
	h := &host{root: t.TempDir()}
	h.Layout = Layout{System: system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		if h.effects = append(h.effects, e.String()); len(h.effects) == h.cut {
			return errCut
		}
		return nil
	}})}
	return h
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// found lists what is on the host: directories with mode and owner, links with their targets.
func (h *host) found(t *testing.T) (lines []string) {
	t.Helper()
	must(t, filepath.WalkDir(h.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == h.root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		on := strings.TrimPrefix(path, h.root)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			lines = append(lines, on+" -> "+strings.TrimPrefix(target, h.root))
			return err
		}
		if on == IDPath {
			lines = append(lines, on) // its content is as it happens
			return nil
		}
		stat := info.Sys().(*syscall.Stat_t)
		lines = append(lines, fmt.Sprintf("%s %s %d:%d", on, info.Mode(), stat.Uid, stat.Gid))
		return nil
	}))
	return lines
}

// wanted is the layout as it stands in its own table.
func wanted() (lines []string) {
	for _, p := range Places {
		if p.Moved() {
			continue
		}
		owner := 0
		if p.Owner == Apps {
			owner = App
		}
		uid, gid := owner, owner
		if os.Geteuid() != 0 {
			uid, gid = os.Getuid(), os.Getgid()
		}
		lines = append(lines, fmt.Sprintf("%s %s %d:%d", p.Path, fs.ModeDir|p.Perm, uid, gid))
		if p.Link != "" {
			lines = append(lines, p.Link+" -> "+p.Path)
		}
	}
	lines = append(lines, IDPath)
	slices.Sort(lines)
	return lines
}

func (h *host) mustStand(t *testing.T) {
	t.Helper()
	got := h.found(t)
	slices.Sort(got)
	if diff := cmp.Diff(wanted(), got); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
	if missing, err := h.Missing(); len(missing) > 0 || err != nil {
		t.Errorf("missing: %q, %v", missing, err)
	}
}

func TestLayoutFromNothing(t *testing.T) {
	h := newTestHost(t)
	missing, err := h.Missing()
	must(t, err)
	if len(missing) != len(wanted()) || len(h.effects) > 0 {
		t.Errorf("on an empty host %q are missing, with the effects %q", missing, h.effects)
	}
	must(t, h.Make())
	h.mustStand(t)

	done := len(h.effects)
	must(t, h.Make())
	if again := h.effects[done:]; len(again) > 0 {
		t.Errorf("the second time has the effects %q", again)
	}
}

// Paths that hosts of the predecessor have on disk must stay where they are.
func TestLayoutIsThatOfThePredecessor(t *testing.T) {
	h := newTestHost(t)
	must(t, h.Make())
	for path, want := range map[string]string{"/app/etc/tags": "/data/etc/tags", "/app/ecs-storage-vault": "/data/ecs-storage-vault",
		"/app/ecs-cache": "/volatile/ecs-cache", "/app/ecs-ca": "/data/ecs-ca", "/app/ecs-gpg": "/data/ecs-gpg"} {
		if got, err := filepath.EvalSymlinks(h.System.Path(path)); got != h.System.Path(want) || err != nil {
			t.Errorf("%s is %s, %v; want %s", path, got, err, want)
		}
	}
}

func TestWhatSomebodyChoseStays(t *testing.T) {
	h := newTestHost(t)
	must(t, os.MkdirAll(h.System.Path("/data/ecs-ca"), 0o755), os.Chmod(h.System.Path("/data/ecs-ca"), 0o711),
		os.WriteFile(h.System.Path("/data/ecs-ca/ca.key"), []byte("key"), 0o600),
		os.MkdirAll(h.System.Path("/mnt/big"), 0o755), os.Symlink(h.System.Path("/mnt/big"), h.System.Path("/volatile")))
	must(t, h.Make())
	info, err := h.System.Stat("/data/ecs-ca")
	must(t, err)
	if info.Mode().Perm() != 0o711 {
		t.Errorf("the mode of a directory that was there is now %s", info.Mode())
	}
	if key, err := h.System.ReadFile("/app/ecs-ca/ca.key"); string(key) != "key" || err != nil {
		t.Errorf("the key through the link is %q, %v", key, err)
	}
	if !h.System.Exists("/mnt/big/ecs-cache") {
		t.Error("a link to a directory was not taken for the directory")
	}
}

func TestObstacles(t *testing.T) {
	for _, test := range []struct {
		name   string
		make   func(h *host) error
		err    string
		remedy string
	}{
		{"a link that leads nowhere in place of a directory", func(h *host) error { return os.Symlink("/nowhere", h.System.Path("/data")) },
			"cannot use /data: it is a link that leads nowhere", "mount or make what it leads to, or remove it"},
		{"an operator's link to what is not mounted", func(h *host) error { return h.linkVault("../nowhere") },
			"cannot link /app/ecs-storage-vault to /data/ecs-storage-vault: something else is there",
			"it is a link to ../nowhere, where nothing is: mount that, or remove the link"},
		{"an operator's link to data elsewhere", func(h *host) error {
			return errors.Join(os.MkdirAll(h.System.Path("/mnt/san/vault"), 0o755), h.linkVault("../mnt/san/vault"))
		}, "cannot link /app/ecs-storage-vault to /data/ecs-storage-vault: something else is there",
			"it is a link to ../mnt/san/vault: mount that at /data/ecs-storage-vault or move its content there, and remove the link"},
		{"links in a circle", func(h *host) error { return h.linkVault("ecs-storage-vault") },
			"cannot look at /app/ecs-storage-vault: stat ROOT/app/ecs-storage-vault: too many levels of symbolic links", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			must(t, test.make(h))
			before := h.found(t)
			_, missing := h.Missing()
			for what, err := range map[string]error{"Missing": missing, "Make": h.Make()} {
				if text := strings.ReplaceAll(fmt.Sprint(err), h.root, "ROOT"); text != test.err || remedy.Of(err) != test.remedy {
					t.Errorf("%s says %s (%s)", what, text, remedy.Of(err))
				}
			}
			for _, line := range before {
				if !slices.Contains(h.found(t), line) {
					t.Errorf("%s is not there any more", line)
				}
			}
			if aside := h.MovedAside(); len(aside) > 0 {
				t.Errorf("moved aside: %q", aside)
			}
		})
	}
}

// What is in the way is moved aside whole, and told once; it is cut at each effect, too.
func TestWhatIsInTheWayIsMovedAside(t *testing.T) {
	for _, test := range []struct {
		name  string
		make  func(h *host) error
		aside string // file that is to be found, below what was moved from here; "" moves nothing
		file  string
	}{
		{"a file in place of a directory", func(h *host) error {
			return errors.Join(os.Mkdir(h.System.Path("/data"), 0o755), os.WriteFile(h.System.Path("/data/ecs-ca"), []byte("mine"), 0o600))
		}, "/data/ecs-ca", ""},
		{"content in place of a link", func(h *host) error {
			return errors.Join(os.MkdirAll(h.System.Path("/app/etc"), 0o755), os.WriteFile(h.System.Path("/app/etc/mine"), []byte("mine"), 0o600))
		}, "/app/etc", "/mine"},
		{"a file in place of a link", func(h *host) error {
			return errors.Join(os.Mkdir(h.System.Path("/app"), 0o755), os.WriteFile(h.System.Path("/app/etc"), []byte("mine"), 0o600))
		}, "/app/etc", ""},
		{"an empty directory in place of a link", func(h *host) error { return os.MkdirAll(h.System.Path("/app/etc"), 0o755) }, "", ""},
		{"our target as it is called below our root", func(h *host) error { return h.linkVault("/data/ecs-storage-vault") }, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			whole := newTestHost(t)
			must(t, test.make(whole))
			_, err := whole.Missing()
			must(t, err, whole.Make())
			for cut := range len(whole.effects) + 1 {
				if cut > 0 && (test.aside == "" || !strings.Contains(whole.effects[cut-1], test.aside)) {
					continue // TestLayoutCutAnywhere has the others
				}
				h := newTestHost(t)
				var told []string
				h.Aside = func(from, to string) { told = append(told, from+" "+to) }
				must(t, test.make(h))
				h.cut = cut
				if err := h.Make(); cut > 0 && !errors.Is(err, errCut) {
					t.Fatalf("cut at %d, Make says %v", cut, err)
				}
				h.cut = 0
				must(t, h.Make())
				moved := h.MovedAside()
				if test.aside == "" {
					if h.mustStand(t); len(moved)+len(told) > 0 {
						t.Errorf("moved %q, told %q", moved, told)
					}
					continue
				}
				if missing, err := h.Missing(); len(missing) > 0 || err != nil {
					t.Errorf("missing: %q, %v", missing, err)
				}
				if len(moved) != 1 || !strings.HasPrefix(moved[0], test.aside+".aside-") {
					t.Fatalf("cut at %d: moved aside is %q", cut, moved)
				}
				if data, err := h.System.ReadFile(moved[0] + test.file); string(data) != "mine" || err != nil {
					t.Errorf("cut at %d: what was moved is %q, %v", cut, data, err)
				}
				if cut == 0 && (len(told) != 1 || told[0] != test.aside+" "+moved[0]) {
					t.Errorf("told %q", told)
				}
			}
		})
	}
}

// Whether something is mounted where a link should be is seen by the attempt to move it.
func TestAMountInTheWayStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	h := newTestHost(t)
	path := h.System.Path("/app/ecs-cache")
	must(t, os.MkdirAll(path, 0o755))
	if err := unix.Mount("none", path, "tmpfs", 0, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, 0) })
	for _, file := range []string{"", "kept"} {
		if file != "" {
			must(t, os.WriteFile(filepath.Join(path, file), []byte(file), 0o600))
		}
		if err := h.Make(); err == nil || !strings.Contains(remedy.Of(err), "unmount") {
			t.Errorf("with %q in it Make says %v (%s)", file, err, remedy.Of(err))
		}
	}
	if data, err := os.ReadFile(filepath.Join(path, "kept")); string(data) != "kept" || err != nil {
		t.Errorf("what was mounted has %q, %v", data, err)
	}
}

func TestTheApplicationsNumber(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives away")
	}
	h := newTestHost(t)
	h.App = 4711
	must(t, h.Make())
	for path, want := range map[string]int{"/data/ecs-gpg": 4711, "/volatile/redis": 4711, "/data/etc": 0, "/data": 0} {
		if uid, gid, err := h.System.Owner(path); uid != want || gid != want || err != nil {
			t.Errorf("%s belongs to %d:%d, %v, not %d", path, uid, gid, err, want)
		}
	}
	h.App = 4712 // what is there keeps its owner
	must(t, h.Make())
	if uid, _, err := h.System.Owner("/data/ecs-gpg"); uid != 4711 || err != nil {
		t.Errorf("it was given to %d, %v", uid, err)
	}
}

func (h *host) linkVault(target string) error {
	return errors.Join(os.Mkdir(h.System.Path("/app"), 0o755), os.Symlink(target, h.System.Path("/app/ecs-storage-vault")))
}

// A link that leads to our target by another way is as good as ours, and stays as somebody made it.
func TestAnotherWayToTheSamePlaceStays(t *testing.T) {
	h := newTestHost(t)
	must(t, os.MkdirAll(h.System.Path("/data/ecs-storage-vault"), 0o755), h.linkVault("../data/./ecs-storage-vault"))
	must(t, h.Make())
	if target, err := h.System.Readlink("/app/ecs-storage-vault"); target != "../data/./ecs-storage-vault" || err != nil {
		t.Errorf("the link now leads to %s, %v", target, err)
	}
}

// A new disk for what can be made again: the engine starts anew on it. A database does not.
func TestWhatAMoveHasLinkedToIsMadeAgain(t *testing.T) {
	h := newTestHost(t)
	must(t, h.Make(), os.MkdirAll(h.System.Path("/var/lib"), 0o755), os.Symlink(h.System.Path("/volatile/docker"), h.System.Path("/var/lib/docker")),
		os.Symlink(h.System.Path("/data/postgresql"), h.System.Path("/var/lib/postgresql")))
	missing, err := h.Missing()
	if diff := cmp.Diff([]string{"/volatile/docker"}, missing); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	must(t, h.Make())
	if info, err := os.Stat(h.System.Path("/var/lib/docker")); err != nil || info.Mode().Perm() != 0o710 {
		t.Errorf("the engine finds %v, %v", info, err)
	}
	for _, p := range Places {
		want := map[string]string{"/data/postgresql": "missing", "/volatile/containerd": "unused"}[p.Path]
		if want == "" {
			want = "ready"
		}
		if got := h.State(p); got != want {
			t.Errorf("%s is %s", p.Path, got)
		}
	}
}

func TestTheIDStays(t *testing.T) {
	h := newTestHost(t)
	must(t, h.Make())
	first, err := h.ID()
	must(t, err)
	other := newTestHost(t)
	must(t, other.Make(), os.Remove(h.System.Path("/app/etc")), h.Make())
	if again, err := h.ID(); first == "" || again != first || err != nil {
		t.Errorf("the ID was %q and is %q, %v", first, again, err)
	}
	if id, err := other.ID(); id == first || err != nil {
		t.Errorf("another host has the ID %q, %v, too", id, err)
	}
}

// A power cut before any effect leaves nothing that the next start does not put right, and never a directory that is
// open to others or of somebody else.
func TestLayoutCutAnywhere(t *testing.T) {
	whole := newTestHost(t)
	must(t, whole.Make())
	want := wanted()
	for cut := 1; cut <= len(whole.effects); cut++ {
		h := newTestHost(t)
		h.cut = cut
		if err := h.Make(); !errors.Is(err, errCut) {
			t.Fatalf("cut at %d, Make says %v", cut, err)
		}
		for _, line := range h.found(t) {
			if !slices.Contains(want, line) && !strings.Contains(line, ".new ") {
				t.Errorf("cut at %d (%s) it is seen as %s", cut, whole.effects[cut-1], line)
			}
		}
		must(t, h.Make())
		h.mustStand(t)
	}
	t.Logf("%d points", len(whole.effects))
}
