package relocate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/system"
)

// skip passes over a test that this place cannot carry, unless it must.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("APPLIANCE_TOOLS") == "require" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var errCut = errors.New("cut off")

// host is a root directory with a file system of its own at /data, on which units run that remember what was asked of them.
type host struct {
	t    testing.TB
	root string
	move Move

	mu      sync.Mutex
	effects []string
	cut     int // from this effect on all are denied; 0 is none
	watch   func(effect string) error
	asked   []string // of the units
	log     bytes.Buffer

	// inTwo stands for a file system that cannot exchange names.
	inTwo bool
	// stuck stands for one that does not take the directory to the other place: of a project of its own, or of an overlay's lower layer.
	stuck bool
}

// refuses is what these file systems have against an effect.
func refuses(e system.Effect, inTwo, stuck bool) error {
	leads := e.String() == "exchange "+theMove.To+" and "+theMove.From || e.String() == "rename "+theMove.From+" to "+theMove.To
	switch {
	case e.Op == "exchange" && inTwo:
		return system.ErrNoExchange
	case leads && stuck:
		return fmt.Errorf("cannot: %w", unix.EXDEV)
	}
	return nil
}

const (
	unit     = "database.service"
	journals = "/var/lib/appliance/relocations"
)

var theMove = Move{From: "/var/lib/db", To: "/data/db", Units: []string{unit}}

// newHost mounts a tmpfs at /data, if apart.
func newHost(t testing.TB, apart bool) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "only root keeps owners, devices and trusted attributes")
	}
	return newHostAt(t, t.TempDir(), apart)
}

// newHostInMemory is one that never waits for a disk.
func newHostInMemory(t testing.TB, apart bool) *host {
	t.Helper()
	root := t.TempDir()
	mount(t, "tmpfs", root, "tmpfs", "size=64m")
	return newHostAt(t, root, apart)
}

func newHostAt(t testing.TB, root string, apart bool) *host {
	t.Helper()
	h := &host{t: t, root: root, move: theMove}
	must(t, os.MkdirAll(filepath.Join(h.root, "var/lib"), 0o755), os.Mkdir(filepath.Join(h.root, "data"), 0o755))
	must(t, h.run(unit))
	if apart {
		mount(t, "tmpfs", filepath.Join(h.root, "data"), "tmpfs", "size=64m")
	}
	return h
}

func mount(t testing.TB, device, at, kind, options string) {
	t.Helper()
	if err := unix.Mount(device, at, kind, 0, options); err != nil {
		skip(t, "cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Errorf("cannot unmount %s: %v", at, err)
		}
	})
}

func (h *host) path(path string) string { return filepath.Join(h.root, path) }

func (h *host) system() *system.System {
	return system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		h.mu.Lock()
		h.effects = append(h.effects, e.String())
		n, watch := len(h.effects), h.watch
		h.mu.Unlock()
		if h.cut > 0 && n >= h.cut {
			return errCut
		}
		if err := refuses(e, h.inTwo, h.stuck); err != nil {
			return err
		}
		if watch != nil {
			return watch(e.String())
		}
		return nil
	}})
}

func (h *host) relocator() *Relocator {
	return New(Config{System: h.system(), Units: h, Dir: journals, Log: slog.New(slog.NewTextHandler(&h.log, nil))})
}

// wholly moves, and takes the old one away.
func (r *Relocator) wholly(ctx context.Context, m Move) error {
	if err := r.Move(ctx, m); err != nil {
		return err
	}
	return r.Clear(ctx, m)
}

// unitPath has a file of each unit that is active, so that other processes know them too.
func (h *host) unitPath(unit string) string { return h.path("run/units/" + unit) }

func (h *host) run(unit string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(h.unitPath(unit)), 0o755), os.WriteFile(h.unitPath(unit), nil, 0o600))
}

func (h *host) runs(unit string) bool {
	_, err := os.Stat(h.unitPath(unit))
	return err == nil
}

// Active, Stop and Start are those of a service manager.
func (h *host) Active(_ context.Context, units []string) (active []string, _ error) {
	for _, u := range units {
		if h.runs(u) {
			active = append(active, u)
		}
	}
	return active, nil
}

func (h *host) Stop(_ context.Context, units []string) error {
	h.asked = append(h.asked, "stop "+strings.Join(units, " "))
	for _, u := range units {
		if err := os.Remove(h.unitPath(u)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (h *host) Start(_ context.Context, units []string) error {
	h.asked = append(h.asked, "start "+strings.Join(units, " "))
	for _, u := range units {
		if err := h.run(u); err != nil {
			return err
		}
	}
	return nil
}

// write puts a file onto the host.
func (h *host) write(path, text string, mode fs.FileMode) {
	h.t.Helper()
	must(h.t, os.MkdirAll(filepath.Dir(h.path(path)), 0o755), os.WriteFile(h.path(path), []byte(text), 0o600), os.Chmod(h.path(path), mode))
}

// moved expects what was at From to be at To, all of it, and nothing to be left.
func (h *host) moved(want map[string]string) {
	h.t.Helper()
	if leads, err := os.Readlink(h.path(h.move.From)); err != nil || leads != h.path(h.move.To) {
		h.t.Errorf("at the old place is a link to %q, %v", leads, err)
	}
	same(h.t, want, described(h.t, h.path(h.move.To)))
	h.clean()
	if !h.runs(unit) {
		h.t.Error("the unit was not started again")
	}
}

// clean expects nothing of a move to be left.
func (h *host) clean() {
	h.t.Helper()
	for _, path := range []string{copyOf(h.move), oldOf(h.move)} {
		if _, err := os.Lstat(h.path(path)); !errors.Is(err, fs.ErrNotExist) {
			h.t.Errorf("%s is left (%v)", path, err)
		}
	}
	if left, _ := filepath.Glob(h.path("/var/lib/appliance/relocations/*")); len(left) > 0 {
		h.t.Errorf("these are left: %q", left)
	}
}

// same compares two descriptions of trees.
func same(t testing.TB, want, got map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			t.Errorf("%q is\n\t%s, was\n\t%s", path, got[path], want[path])
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q is there, and was not: %s", path, got[path])
		}
	}
}

// described tells of everything in a tree all that programs can see of it, save for when it was read last.
func described(t testing.TB, top string) map[string]string {
	t.Helper()
	all := map[string]string{}
	first := map[uint64]string{} // name of a file of several, by inode
	must(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%o %d:%d %d.%09d dev %d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d bytes %x, holes %t", st.Size, sha256.Sum256(data), st.Blocks*512 < st.Size/2)
		case unix.S_IFLNK:
			leads, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " to " + leads
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			text += fmt.Sprintf(" one of %d names, the first is %q", st.Nlink, first[st.Ino])
		}
		names, err := xattrs(path)
		if err != nil {
			return err
		}
		for _, name := range names {
			value, err := xattr(path, name)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %s=%x", name, value)
		}
		all[rel] = text
		return nil
	}))
	return all
}

// plant makes a tree that has one of everything.
func plant(t testing.TB, top string) {
	t.Helper()
	p := func(name string) string { return filepath.Join(top, name) }
	file := func(name string, data []byte, mode uint32, uid int) {
		must(t, os.MkdirAll(filepath.Dir(p(name)), 0o755), os.WriteFile(p(name), data, 0o600), os.Lchown(p(name), uid, uid+1), unix.Chmod(p(name), mode))
	}
	file("empty", nil, 0o644, 0)
	file("secret", []byte("nobody reads this"), 0, 26)
	file("setuid", []byte("#!/bin/true\n"), 0o6755, 0)
	file("large", pattern(1<<20+5), 0o640, 999)
	file("a/deep/er/file", pattern(5000), 0o600, 1000)
	file("a/name\nof two lines \xff\xfe", []byte("any bytes"), 0o600, 1000)
	file("-rf", []byte("no option"), 0o600, 1000)
	file(strings.Repeat("n", 255), []byte("long"), 0o600, 1000)
	file("first", []byte("one content, three names"), 0o644, 7)
	must(t, os.Link(p("first"), p("a/second")), os.Link(p("first"), p("a/deep/third")))
	sparse, err := os.Create(p("sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("in the middle"), 1<<19)
	must(t, err, sparse.Truncate(1<<20), sparse.Close())
	must(t, os.Symlink("/etc/passwd", p("absolute")), os.Symlink("../../../..", p("a/upwards")), os.Symlink("nowhere", p("dangling")), os.Lchown(p("dangling"), 5, 6))
	must(t, unix.Mkfifo(p("pipe"), 0o622), unix.Mknod(p("whiteout"), unix.S_IFCHR, 0), unix.Mknod(p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(p("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 250))), unix.Mknod(p("socket"), unix.S_IFSOCK|0o700, 0))
	must(t, os.Link(p("pipe"), p("a/pipe, too")))
	must(t, os.Mkdir(p("nothing"), 0o700), os.Mkdir(p("sticky"), 0o700), unix.Chmod(p("sticky"), 0o3777), os.Chown(p("sticky"), 70, 71))
	for _, x := range []struct{ name, attr, value string }{
		{"large", "user.comment", "kept\x00as it is"},
		{"a/deep", "trusted.overlay.opaque", "y"},
		{"whiteout", "trusted.overlay.origin", "\x00\xfb"},
		{"dangling", "trusted.overlay.redirect", "elsewhere"},
		{"setuid", "security.capability", "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"secret", "system.posix_acl_access", acl(0, 0o4, 0o6)},
		{"sticky", "system.posix_acl_default", acl(7, 0o5, 0o7)},
	} {
		must(t, unix.Lsetxattr(p(x.name), x.attr, []byte(x.value), 0))
	}
	file("sticky/without the list of its directory", []byte("x"), 0o600, 0)
	must(t, unix.Lremovexattr(p("sticky/without the list of its directory"), "system.posix_acl_access"))
	stamp(t, top)
}

// acl is an access list in the kernel's format: user 1234 may do what is given, within a mask.
func acl(owner, user, mask byte) string {
	const none = "\xff\xff\xff\xff"
	return "\x02\x00\x00\x00" + "\x01\x00" + string(owner) + "\x00" + none + "\x02\x00" + string(user) + "\x00\xd2\x04\x00\x00" +
		"\x04\x00\x00\x00" + none + "\x10\x00" + string(mask) + "\x00" + none + "\x20\x00\x00\x00" + none
}

// stamp gives everything a time of its own, with nanoseconds.
func stamp(t testing.TB, top string) {
	t.Helper()
	var paths []string
	must(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error { paths = append(paths, path); return err }))
	for i, path := range slices.Backward(paths) {
		at := unix.NsecToTimespec(time.Date(2001, 2, 3, 4, 5, i, 123456789, time.UTC).UnixNano())
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

// pattern is content that no part of is like another.
func pattern(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // it never fails
	return data
}
