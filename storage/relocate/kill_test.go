package relocate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"appliance/internal/sweeping"
	"appliance/internal/system"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(mapFile); path != "" {
		os.Exit(mapUntilKilled(path))
	}
	os.Exit(sweeping.Main(m, moveUntilKilled))
}

// mapFile makes the test binary a process that has the file at a path in memory, and not open.
const mapFile = "APPLIANCE_TEST_RELOCATE_MAP"

func mapUntilKilled(path string) int {
	file, err := os.Open(path)
	if err == nil {
		_, err = syscall.Mmap(int(file.Fd()), 0, 1, syscall.PROT_READ, syscall.MAP_SHARED)
	}
	if err != nil || file.Close() != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println()
	for {
		_ = syscall.Pause() // the runtime sends signals of its own
	}
}

// moveUntilKilled is what the supervisor does, in a process that has just started.
func moveUntilKilled(v *sweeping.Victim) error {
	root, inTwo, stuck := v.Setting("root"), v.Setting("in two") != "", v.Setting("stuck") != ""
	sys := system.New(system.Config{Root: root, Observe: func(e system.Effect) error {
		return errors.Join(v.Observe(e), refuses(e, inTwo, stuck))
	}})
	r := New(Config{System: sys, Units: &host{root: root}, Dir: journals, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return r.wholly(context.Background(), theMove)
}

// moving is what a process of its own does.
func (h *host) moving() map[string]string {
	settings := map[string]string{"root": h.root}
	if h.inTwo { // names cannot be exchanged
		settings["in two"] = "yes"
	}
	if h.stuck { // the directory is not moved, though the file system is the same
		settings["stuck"] = "yes"
	}
	return settings
}

// A sweep does one move, counts its effects, and does it again once for each of them, killed there or with all from there on denied.
type sweep struct {
	name    string
	apart   bool
	inTwo   bool
	stuck   bool
	prepare func(h *host) // after the tree is planted
}

var sweeps = []sweep{
	{"to another file system", true, false, false, func(*host) {}},
	{"to another file system that cannot exchange names", true, true, false, func(*host) {}},
	{"over a copy that was begun before", true, false, false, func(h *host) {
		other := h.path(theMove.From) + "/a/other"
		must(h.t, exec.CommandContext(h.t.Context(), "cp", "-a", h.path(theMove.From), h.path(copyOf(theMove))).Run())
		// Since then there is another file of two names. In the copy they are names of one that is like it.
		must(h.t, exec.CommandContext(h.t.Context(), "cp", "-a", h.path(theMove.From)+"/first", other).Run(), os.Link(other, other+", too"))
		for _, name := range []string{"/a/other", "/a/other, too"} {
			must(h.t, os.Link(h.path(copyOf(theMove))+"/first", h.path(copyOf(theMove))+name))
		}
		change(h.t, h.path(theMove.From))
		h.write(journals+"/var-lib-db.json", `{"version":1,"from":"/var/lib/db","to":"/data/db","state":"copying","action":"copy","apart":true,"units":["`+unit+`"]}`, 0o600)
	}},
	{"within one file system", false, false, false, func(*host) {}},
	{"within one file system that cannot exchange names", false, true, false, func(*host) {}},
	{"within one file system that does not let the directory go there", false, false, true, func(*host) {}},
	{"within one file system that neither lets it go nor exchanges names", false, true, true, func(*host) {}},
	{"an empty directory to what is there already", true, false, false, func(h *host) {
		must(h.t, exec.CommandContext(h.t.Context(), "cp", "-a", h.path(theMove.From), h.path(theMove.To)).Run())
		must(h.t, os.RemoveAll(h.path(theMove.From)), os.Mkdir(h.path(theMove.From), 0o755))
	}},
}

func (s sweep) host(t testing.TB) *host {
	h := newHostInMemory(t, s.apart)
	h.inTwo, h.stuck = s.inTwo, s.stuck
	plant(t, h.path(theMove.From))
	s.prepare(h)
	return h
}

// inForce is what users find. An empty directory is found where there was one, or what it is to lead to.
func (h *host) inForce() map[string]string {
	h.t.Helper()
	real, err := filepath.EvalSymlinks(h.path(theMove.From))
	must(h.t, err)
	return described(h.t, real)
}

// wanted is what is to be found at the end.
func (h *host) wanted() map[string]string {
	if found := h.inForce(); len(found) > 1 {
		return found
	}
	return described(h.t, h.path(theMove.To))
}

func TestKillSweep(t *testing.T) {
	for _, s := range sweeps {
		t.Run(s.name, func(t *testing.T) {
			effects, err := sweeping.Count(t.Context(), s.host(t).moving())
			must(t, err)
			if effects < 15 {
				t.Fatalf("there are %d effects", effects)
			}
			first, stride := sweeping.Points(5)
			t.Cleanup(func() {
				if !t.Failed() {
					fmt.Printf("kill sweep of a move %s: SIGKILL at every %d. of %d effects, and gone on\n", s.name, stride, effects)
				}
			})
			for n := first; n <= effects; n += stride {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel()
					h := s.host(t)
					c := cut{h, h.inForce(), h.wanted()}
					must(t, sweeping.Kill(t.Context(), n, h.moving()))
					c.goesOn(n%2 == 0)
				})
			}
		})
	}
}

// A denied effect leaves it to the move to end in order.
func TestDenySweep(t *testing.T) {
	for _, s := range sweeps {
		t.Run(s.name, func(t *testing.T) {
			whole := s.host(t)
			must(t, whole.relocator().wholly(t.Context(), theMove))
			effects := len(whole.effects)
			first, stride := sweeping.Points(10)
			t.Cleanup(func() {
				if !t.Failed() {
					fmt.Printf("deny sweep of a move %s: cut off at every %d. of %d effects, and gone on\n", s.name, stride, effects)
				}
			})
			for n := first; n <= effects; n += stride {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel()
					h := s.host(t)
					c := cut{h, h.inForce(), h.wanted()}
					h.cut = n
					if err := h.relocator().wholly(t.Context(), theMove); err == nil {
						t.Error("nothing was denied")
					}
					if len(h.effects) < n {
						t.Fatalf("effect %d was never reached", n)
					}
					h.cut = 0
					c.goesOn(n%2 == 1)
				})
			}
		})
	}
}

// cut is a host on which a move was cut off, what users found before, and what they are to find at the end.
type cut struct {
	*host
	before, want map[string]string
}

// goesOn looks at what the cut has left, lets users work if they are to, and moves again.
func (c cut) goesOn(usersWork bool) {
	c.t.Helper()
	made := ""
	if _, err := os.Lstat(c.path(theMove.From)); err != nil {
		if !c.inTwo {
			c.t.Fatalf("after the cut nothing is at the old place: %v", err)
		}
		if usersWork { // they make anew what they do not find
			made = "made in between"
			c.write(theMove.From+"/file", made, 0o600)
		}
	} else {
		found := c.inForce()
		if len(found) == len(c.before) {
			same(c.t, c.before, found)
		} else {
			same(c.t, c.want, found)
		}
		if usersWork && len(found) > 1 {
			change(c.t, c.path(theMove.From))
			c.want = c.inForce()
		}
	}
	if usersWork { // as at a boot
		must(c.t, c.run(unit))
	}
	r := c.relocator()
	must(c.t, r.Move(c.t.Context(), theMove), r.Clear(c.t.Context(), theMove))
	c.moved(c.want)
	if made != "" {
		aside, _ := filepath.Glob(c.path(theMove.From) + ".*/file")
		if len(aside) != 1 || !strings.Contains(c.log.String(), filepath.Dir(strings.TrimPrefix(aside[0], c.root))) {
			c.t.Fatalf("what was made in between is at %q, and the log says\n%s", aside, &c.log)
		}
		if text, err := os.ReadFile(aside[0]); string(text) != made || err != nil {
			c.t.Errorf("what was made in between reads %q, %v", text, err)
		}
	}
	if found, err := r.Look(theMove); found.Work() || err != nil {
		c.t.Errorf("after it there is %+v, %v", found, err)
	}
}

// change does to a tree what its users may do to it between two tries.
func change(t testing.TB, top string) {
	t.Helper()
	top, err := filepath.EvalSymlinks(top)
	must(t, err)
	p := func(name string) string { return filepath.Join(top, name) }
	if _, err := os.Lstat(p("a/moved")); err == nil { // a second time
		must(t, os.WriteFile(p("a/new"), []byte("newer"), 0o600), os.Remove(p("a/moved/file")), os.Mkdir(p("pipe"), 0o700))
		return
	}
	times := map[string]fs.FileInfo{}
	for _, name := range []string{"large", "a/deep/er/file"} {
		times[name], err = os.Lstat(p(name))
		must(t, err)
	}
	// What cannot be seen by size and time: a byte in the middle, and the time put back.
	file, err := os.OpenFile(p("large"), os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteAt([]byte("#"), 1<<19)
	must(t, err, file.Close())
	for name, info := range maps.All(times) {
		must(t, os.Chtimes(p(name), info.ModTime(), info.ModTime()))
	}
	must(t, os.WriteFile(p("empty"), []byte("not any more"), 0o600), os.WriteFile(p("a/new"), []byte("new"), 0o644))
	must(t, os.RemoveAll(p("nothing")), os.Remove(p("pipe")), os.Remove(p("absolute")), os.Symlink("elsewhere", p("absolute")))
	must(t, os.Remove(p("secret")), os.MkdirAll(p("secret/is now/a directory"), 0o700), os.RemoveAll(p("sticky")), os.WriteFile(p("sticky"), []byte("a file"), 0o600))
	// One of three names is a file of its own now, of the same content and time.
	info, err := os.Lstat(p("first"))
	must(t, err, os.Remove(p("a/second")), os.WriteFile(p("a/second"), []byte("one content, three names"), 0o600),
		os.Chmod(p("a/second"), 0o644), os.Lchown(p("a/second"), 7, 8), os.Chtimes(p("a/second"), info.ModTime(), info.ModTime()))
	must(t, os.Rename(p("a/deep/er"), p("a/moved")), os.Chmod(p("setuid"), 0o755), os.Lchown(p("-rf"), 3, 4))
}
