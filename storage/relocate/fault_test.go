package relocate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

// volume mounts an ext4 of its own at /data.
func (h *host) volume(megabytes int64) {
	h.t.Helper()
	image := filepath.Join(h.t.TempDir(), "volume")
	file, err := os.Create(image)
	must(h.t, err, file.Truncate(megabytes<<20), file.Close())
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, h.path("/data")}} {
		if out, err := exec.CommandContext(h.t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			skip(h.t, "cannot have a volume of its own: %v: %v: %s", argv, err, out)
		}
	}
	h.t.Cleanup(func() {
		if out, err := exec.Command("umount", h.path("/data")).CombinedOutput(); err != nil {
			h.t.Errorf("cannot unmount: %v: %s", err, out)
		}
	})
}

// when does something at the first effect of a name.
func (h *host) when(effect string, do func()) {
	done := false
	h.watch = func(now string) error {
		if h.mu.Lock(); now == effect && !done {
			done = true
			do()
		}
		h.mu.Unlock()
		return nil
	}
	h.t.Cleanup(func() {
		if !done {
			h.t.Errorf("%s never came", effect)
		}
	})
}

// untouched expects everything to be at the old place, and in use there.
func (h *host) untouched(want map[string]string) {
	h.t.Helper()
	same(h.t, want, described(h.t, h.path(h.move.From)))
	if !h.runs(unit) {
		h.t.Error("the unit is down")
	}
}

const copied = "/data/.db.relocating"

// What goes wrong in the middle leaves all at the old place, and a later try comes to its end.
func TestFaults(t *testing.T) {
	flip := func(h *host, path string) {
		file, err := os.OpenFile(h.path(path), os.O_RDWR, 0)
		must(h.t, err)
		_, err = file.WriteAt([]byte{0}, 4711)
		must(h.t, err, file.Close())
	}
	for _, test := range []struct {
		name string
		at   string // an effect
		do   func(h *host)
		err  string
	}{
		{"a byte of the copy is not what was written", "syncfs " + copied, func(h *host) { flip(h, copied+"/large") },
			"cannot trust the copy of /var/lib/db/large: what is read back is not what was written"},
		{"the mode of a file of the copy changes", "syncfs " + copied, func(h *host) { must(h.t, os.Chmod(h.path(copied+"/a/deep/er/file"), 0o666)) },
			"cannot trust the copy of /var/lib/db/a/deep/er/file: its mode differs"},
		{"something comes into the copy", "syncfs " + copied, func(h *host) { h.write(copied+"/a/more", "x", 0o600) },
			"cannot trust the copy of /var/lib/db/a: it has more entries or fewer"},
		{"something goes from the copy", "syncfs " + copied, func(h *host) { must(h.t, os.Remove(h.path(copied+"/a/upwards"))) },
			"cannot trust the copy of /var/lib/db/a/upwards: it is missing"},
		{"a link of the copy leads elsewhere", "syncfs " + copied, func(h *host) {
			must(h.t, exec.CommandContext(h.t.Context(), "ln", "-sf", "/etc/shado1", h.path(copied+"/absolute")).Run(),
				exec.CommandContext(h.t.Context(), "touch", "-h", "-r", h.path(theMove.From+"/absolute"), h.path(copied+"/absolute")).Run())
		}, "cannot trust the copy of /var/lib/db/absolute: it leads elsewhere"},
		{"an extended attribute of the copy goes", "syncfs " + copied, func(h *host) { must(h.t, unix.Lremovexattr(h.path(copied+"/setuid"), "security.capability")) },
			"cannot trust the copy of /var/lib/db/setuid: it has other extended attributes"},
		{"a hard link of the copy becomes a file", "syncfs " + copied, func(h *host) {
			must(h.t, exec.CommandContext(h.t.Context(), "cp", "-a", h.path(copied+"/first"), h.path(copied+"/x")).Run(), os.Rename(h.path(copied+"/x"), h.path(copied+"/first")))
		}, "its hard link differs"},
		{"a file of the source is written to", "copy " + copied + "/large", func(h *host) { flip(h, theMove.From+"/large") },
			"cannot read /var/lib/db/large: it has changed while it was copied: somebody still works on it"},
		{"a file of the source is written to when it was copied", "syncfs " + copied, func(h *host) { flip(h, theMove.From+"/large") },
			"cannot read /var/lib/db/large: it has changed while it was copied: somebody still works on it"},
		{"a file comes into the source when it was copied", "syncfs " + copied, func(h *host) { h.write(theMove.From+"/a/more", "x", 0o600) },
			"it has changed while it was copied: somebody still works on it"},
		{"files of the source go", "mkdir " + copied + "/a", func(h *host) {
			must(h.t, os.Remove(h.path(theMove.From+"/large")), os.Remove(h.path(theMove.From+"/dangling")), os.Remove(h.path(theMove.From+"/a/upwards")))
		}, "while it was copied: somebody still works on it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			plant(t, h.path(theMove.From))
			h.when(test.at, func() {
				test.do(h)
				for _, dir := range []string{"/a", ""} { // what is done behind our back leaves no trace there
					if _, err := os.Lstat(h.path(copied + dir)); err == nil {
						must(t, exec.CommandContext(t.Context(), "touch", "-r", h.path(theMove.From+dir), h.path(copied+dir)).Run())
					}
				}
			})
			err := h.relocator().Move(t.Context(), theMove)
			if test.name == "a file of the source is written to" && slices.Contains(h.effects, "syncfs "+copied) {
				t.Error("that is found only when all is copied")
			}
			if err == nil || (!strings.Contains(err.Error(), test.err) || !strings.HasPrefix(err.Error(), "cannot move /var/lib/db to /data/db: ")) {
				t.Fatalf("it says %v (%s)", err, remedy.Of(err))
			}
			want := described(t, h.path(theMove.From))
			h.untouched(want)
			must(t, h.relocator().wholly(t.Context(), theMove))
			h.moved(want)
		})
	}
}

// Whoever fills the volume meanwhile, gets it: the copy goes, and the old place is used on.
func TestTheVolumeFills(t *testing.T) {
	h := newHost(t, false)
	h.volume(24)
	plant(t, h.path(theMove.From))
	for n := range 20 {
		h.write(fmt.Sprintf("%s/more/%d", theMove.From, n), string(pattern(300_000)), 0o600)
	}
	want := described(t, h.path(theMove.From))
	ballast := h.path("/data/ballast")
	h.when("mkdir "+copied+"/more", func() {
		file, err := os.Create(ballast)
		must(t, err)
		for block := pattern(64 << 10); err == nil; {
			_, err = file.Write(block)
		}
		if must(t, file.Close()); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("the volume does not fill: %v", err)
		}
	})
	err := h.relocator().Move(t.Context(), theMove)
	if err == nil || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "no space left on device: of 7.") || !strings.HasPrefix(remedy.Of(err), "free space at /data") {
		t.Errorf("it says %v (%s)", err, remedy.Of(err))
	}
	t.Log(err)
	h.untouched(want)
	h.clean()
	must(t, os.Remove(ballast))
	must(t, h.relocator().wholly(t.Context(), theMove))
	h.moved(want)
}

// goingDown is FS_IOC_SHUTDOWN of the kernel: the file system behaves as if its device were gone.
const goingDown = 0x8004587d

func TestTheVolumeDisappears(t *testing.T) {
	h := newHost(t, false)
	h.volume(24)
	plant(t, h.path(theMove.From))
	want := described(t, h.path(theMove.From))
	h.when("mkdir "+copied+"/a/deep", func() {
		dir, err := os.Open(h.path("/data"))
		must(t, err, unix.IoctlSetPointerInt(int(dir.Fd()), goingDown, 2), dir.Close())
	})
	err := h.relocator().Move(t.Context(), theMove)
	if !errors.Is(err, unix.EIO) {
		t.Errorf("it says %v", err)
	}
	h.untouched(want)
}

// The journal is on the root disk, and knows that there was a volume.
func TestTheVolumeIsNotMountedAnyMore(t *testing.T) {
	h := newHost(t, false)
	plant(t, h.path(theMove.From))
	want := described(t, h.path(theMove.From))
	h.write(journals+"/var-lib-db.json", `{"version":1,"from":"/var/lib/db","to":"/data/db","state":"placing","action":"copy","apart":true,"new":"1@2.3"}`, 0o600)
	err := h.relocator().Move(t.Context(), theMove)
	if err == nil || !strings.Contains(err.Error(), "/data/db is not on the file system that the move began to") {
		t.Errorf("it says %v", err)
	}
	h.untouched(want)
}

// When the volume is not mounted at a boot between the swap and the end, nobody starts on an empty directory, and the old one stays.
func TestAnotherDirectoryIsThere(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	want := described(t, h.path(theMove.From))
	h.watch = func(effect string) error {
		if effect == "unit start "+unit {
			return errCut
		}
		return nil
	}
	if err := h.relocator().Move(t.Context(), theMove); !errors.Is(err, errCut) {
		t.Fatalf("it says %v", err)
	}
	h.watch = nil
	must(t, os.Rename(h.path(theMove.To), h.path("/data/hidden")))
	h.write(theMove.To+"/other", "x", 0o600)
	err := h.relocator().Move(t.Context(), theMove)
	if err == nil || !strings.Contains(err.Error(), "/data/db is not the directory that was put there") || h.runs(unit) {
		t.Errorf("it says %v; the unit runs: %t", err, h.runs(unit))
	}
	same(t, want, described(t, h.path(oldOf(theMove))))
	must(t, os.RemoveAll(h.path(theMove.To)), os.Rename(h.path("/data/hidden"), h.path(theMove.To)))
	must(t, h.relocator().wholly(t.Context(), theMove))
	h.moved(want)
}

func TestAStopIsObeyedAndWhatWasCopiedIsKept(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	for n := range 300 {
		h.write(fmt.Sprintf("%s/zz/%d", theMove.From, n), "some", 0o600)
	}
	want := described(t, h.path(theMove.From))
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the test says stop")
	copies := 0
	h.watch = func(effect string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if strings.HasPrefix(effect, "copy ") {
			if copies++; copies == 100 {
				cancel(stop)
			}
		}
		return nil
	}
	if err := h.relocator().Move(ctx, theMove); !errors.Is(err, stop) {
		t.Errorf("it says %v", err)
	}
	h.untouched(want)
	copies = 1000
	must(t, h.relocator().wholly(t.Context(), theMove))
	h.moved(want)
	if again := copies - 1000; again > 230 {
		t.Errorf("%d files were copied in the second try, though 100 of 308 were there", again)
	}
}

// Whoever would go on with the old directory is in the way of a move, however it sees it.
func TestSomebodyUsesIt(t *testing.T) {
	const apart = "exec unshare -m --propagation private sh -c "
	for _, test := range []struct{ name, script, want string }{
		{"open", "exec 3<" + "inside/file; cd /; echo; exec sleep 60", "/var/lib/db/inside/file"},
		{"as working directory", "cd inside; echo; exec sleep 60", "/var/lib/db/inside"},
		{"mapped, and closed", `file=$PWD/inside/file; cd /; ` + mapFile + `="$file" exec "$PROGRAM"`, "/var/lib/db/inside/file"},
		{"mounted in a container", apart + `'mount --bind inside "$ELSEWHERE"; cd /; echo; exec sleep 60'`, "/var/lib/db/inside"},
		{"open in a container, by another name", apart + `'mount --bind .. "$ELSEWHERE"; cd "$ELSEWHERE/db/inside"; echo; exec sleep 60'`, "/var/lib/db/inside"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			h.write(theMove.From+"/inside/file", "x", 0o600)
			cmd := exec.CommandContext(t.Context(), "sh", "-c", test.script)
			cmd.Dir, cmd.Env = h.path(theMove.From), append(os.Environ(), "PROGRAM="+os.Args[0], "ELSEWHERE="+t.TempDir())
			out, err := cmd.StdoutPipe()
			must(t, err, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			_, err = out.Read(make([]byte, 1))
			must(t, err)
			r := h.relocator()
			r.endLimit = 100 * time.Millisecond
			err = r.Move(t.Context(), theMove)
			if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf(" (PID %d) has %s in use", cmd.Process.Pid, test.want)) {
				t.Errorf("it says %v", err)
			}
			if !h.runs(unit) {
				t.Error("the unit is down")
			}
			r.endLimit = time.Minute
			time.AfterFunc(50*time.Millisecond, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			must(t, r.wholly(t.Context(), theMove))
		})
	}
}

// Between the last look at the old directory and the moment of the link somebody comes, works there, and may stay. What he has written is not lost.
func TestSomebodyComesAtTheLastMoment(t *testing.T) {
	for _, test := range []struct {
		name  string
		inTwo bool
		at    string
		stays bool
		err   string
	}{
		{"and goes", false, "exchange /var/lib/.db.relocated and /var/lib/db", false, "it has changed while it was copied: somebody still works on it"},
		{"and stays", false, "exchange /var/lib/.db.relocated and /var/lib/db", true, "has /var/lib/.db.relocated/inside in use"},
		{"and goes, where names are not exchanged", true, "rename /var/lib/db to /var/lib/.db.relocated", false, "it has changed while it was copied: somebody still works on it"},
		{"and stays, where names are not exchanged", true, "rename /var/lib/db to /var/lib/.db.relocated", true, "has /var/lib/.db.relocated/inside in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			h.inTwo = test.inTwo
			h.write(theMove.From+"/inside/file", "x", 0o600)
			cmd := exec.CommandContext(t.Context(), "sleep", "60")
			cmd.Dir = h.path(theMove.From + "/inside")
			h.when(test.at, func() {
				h.write(theMove.From+"/inside/file", "y", 0o600)
				if test.stays {
					must(t, cmd.Start())
				}
			})
			r := h.relocator()
			r.endLimit = 100 * time.Millisecond
			err := r.Move(t.Context(), theMove)
			if err == nil || !strings.HasSuffix(err.Error(), test.err) {
				t.Errorf("it says %v", err)
			}
			if text, err := os.ReadFile(h.path(theMove.From + "/inside/file")); string(text) != "y" || err != nil {
				t.Errorf("at the old place it reads %q, %v", text, err)
			}
			want := described(t, h.path(theMove.From))
			h.untouched(want)
			if test.stays {
				must(t, cmd.Process.Kill())
				_ = cmd.Wait() // it was killed
			}
			must(t, h.relocator().wholly(t.Context(), theMove))
			h.moved(want)
		})
	}
}

// Whoever owns what is moved may have kept a way into the copy, and puts a link where a file was.
func TestALinkInTheCopyLeadsNowhere(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	h.write("/etc/secret", "x", 0o600)
	h.when("attributes "+copied+"/setuid", func() {
		must(t, os.Remove(h.path(copied+"/setuid")), os.Symlink(h.path("/etc/secret"), h.path(copied+"/setuid")))
	})
	if err := h.relocator().Move(t.Context(), theMove); err == nil || !strings.Contains(err.Error(), "cannot copy /var/lib/db/setuid: ") {
		t.Errorf("it says %v", err)
	}
	if info, err := os.Lstat(h.path("/etc/secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("behind the link is %v, %v", info.Mode(), err)
	}
	must(t, h.relocator().wholly(t.Context(), theMove))
}

// A copy that was whole, of a move that was cut off after, had been open for its users.
func TestNobodyButRootIsInACopyThatIsGoneOnWith(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	must(t, exec.CommandContext(t.Context(), "cp", "-a", h.path(theMove.From), h.path(copied)).Run(), os.Chmod(h.path(copied), 0o777), os.Chown(h.path(copied), 7, 7))
	want := described(t, h.path(theMove.From))
	h.when("syncfs "+copied, func() {
		var st unix.Stat_t
		if must(t, unix.Stat(h.path(copied), &st)); st.Mode&0o7777 != 0o700 || st.Uid != 0 {
			t.Errorf("the copy is %o, of %d", st.Mode&0o7777, st.Uid)
		}
	})
	must(t, h.relocator().wholly(t.Context(), theMove))
	h.moved(want)
}

// The kernel has what no process has.
func TestTheKernelUsesIt(t *testing.T) {
	t.Run("mounted elsewhere", func(t *testing.T) {
		h := newHost(t, true)
		h.write(theMove.From+"/inside/file", "x", 0o600)
		elsewhere := t.TempDir()
		must(t, unix.Mount(h.path(theMove.From+"/inside"), elsewhere, "", unix.MS_BIND, ""))
		h.refusedWhileUsed("the mount at " + elsewhere + " has /var/lib/db/inside")
		must(t, unix.Unmount(elsewhere, 0), h.relocator().wholly(t.Context(), theMove))
	})
	t.Run("a device", func(t *testing.T) {
		h := newHost(t, true)
		h.write(theMove.From+"/image", strings.Repeat("x", 1<<20), 0o600)
		out, err := exec.CommandContext(t.Context(), "losetup", "-f", "--show", h.path(theMove.From+"/image")).Output()
		if err != nil {
			skip(t, "cannot have a loop device: %v", err)
		}
		loop := strings.TrimSpace(string(out))
		detached := func() error { return exec.Command("losetup", "-d", loop).Run() }
		h.refusedWhileUsed(loop + " has /var/lib/db/image")
		must(t, detached(), h.relocator().wholly(t.Context(), theMove))
	})
	t.Run("mounted elsewhere, and only renamed", func(t *testing.T) {
		h := newHost(t, false)
		h.write(theMove.From+"/inside/file", "x", 0o600)
		elsewhere := t.TempDir()
		must(t, unix.Mount(h.path(theMove.From+"/inside"), elsewhere, "", unix.MS_BIND, ""))
		must(t, h.relocator().wholly(t.Context(), theMove), unix.Unmount(elsewhere, 0))
	})
}

func (h *host) refusedWhileUsed(why string) {
	h.t.Helper()
	r := h.relocator()
	r.endLimit = 50 * time.Millisecond
	if err := r.Move(h.t.Context(), theMove); err == nil || !strings.Contains(err.Error(), "somebody still works there: "+why) {
		h.t.Errorf("it says %v", err)
	}
}

// moody is a service manager that does not do what it is asked.
type moody struct {
	*host
	stop, start error
}

func (m *moody) Stop(ctx context.Context, units []string) error {
	return errors.Join(m.host.Stop(ctx, units), m.stop)
}

func (m *moody) Start(ctx context.Context, units []string) error {
	return errors.Join(m.host.Start(ctx, units), m.start)
}

func TestUnitsThatFail(t *testing.T) {
	t.Run("to stop", func(t *testing.T) {
		h := newHost(t, true)
		plant(t, h.path(theMove.From))
		want := described(t, h.path(theMove.From))
		r := h.relocator()
		r.Units = &moody{host: h, stop: errors.New("it hangs")}
		if err := r.Move(t.Context(), theMove); err == nil || !strings.HasSuffix(err.Error(), "it hangs") {
			t.Errorf("it says %v", err)
		}
		h.untouched(want)
		if _, err := os.Lstat(h.path(copied)); err == nil {
			t.Error("something was copied beside its user")
		}
	})
	t.Run("to start on the new place", func(t *testing.T) {
		h := newHost(t, true)
		plant(t, h.path(theMove.From))
		want := described(t, h.path(theMove.From))
		r := h.relocator()
		r.Units = &moody{host: h, start: errors.New("it does not like it")}
		if err := r.Move(t.Context(), theMove); err == nil || !strings.HasSuffix(err.Error(), "it does not like it") {
			t.Errorf("it says %v", err)
		}
		same(t, want, described(t, h.path(oldOf(theMove)))) // the way back
		must(t, h.relocator().wholly(t.Context(), theMove))
		h.moved(want)
	})
}

func TestADamagedJournal(t *testing.T) {
	for _, test := range []struct{ name, journal string }{{"empty", ""}, {"torn", `{"version":1,"from":"/var/l`}, {"zeros", "\x00\x00\x00\x00"}} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			plant(t, h.path(theMove.From))
			change(t, h.path(theMove.From))
			plant(t, h.path(copied))
			h.write(journals+"/var-lib-db.json", test.journal, 0o600)
			want := described(t, h.path(theMove.From))
			must(t, h.relocator().wholly(t.Context(), theMove))
			h.moved(want)
		})
	}
}

// What is in use on the new place is moved, whatever is left of the old one.
func TestTheOldOneCannotBeRemoved(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	want := described(t, h.path(theMove.From))
	h.watch = func(effect string) error {
		if effect == "remove "+oldOf(theMove)+"/large" {
			return unix.EPERM
		}
		return nil
	}
	err := h.relocator().wholly(t.Context(), theMove)
	if err == nil || err.Error() != "cannot remove /var/lib/.db.relocated/large: operation not permitted" {
		t.Errorf("it says %v", err)
	}
	if found, err := h.relocator().Look(theMove); found.Work() || err != nil {
		t.Errorf("there is more to move: %+v, %v", found, err)
	}
	h.watch = nil
	must(t, h.relocator().Clear(t.Context(), theMove))
	h.moved(want)
}

// Only what was moved is removed: not what somebody has put there since, nor what they have mounted in it.
func TestWhatIsNotOursStays(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(h *host)
		err  string
	}{
		{"another directory in its place", func(h *host) {
			must(h.t, os.Rename(h.path(oldOf(theMove)), h.path("/var/lib/elsewhere")))
			h.write(oldOf(theMove)+"/nothing/theirs", "x", 0o600)
		}, "cannot remove /var/lib/.db.relocated: it may not be the directory that was moved"},
		{"a file system mounted in it", func(h *host) {
			mount(h.t, "tmpfs", h.path(oldOf(theMove)+"/nothing"), "tmpfs", "")
			h.write(oldOf(theMove)+"/nothing/theirs", "x", 0o600)
		}, "cannot remove /var/lib/.db.relocated/nothing: something is mounted there"},
		{"a directory of the same file system mounted in it", func(h *host) {
			h.write("/srv/theirs", "x", 0o600)
			must(h.t, unix.Mount(h.path("/srv"), h.path(oldOf(theMove)+"/nothing"), "", unix.MS_BIND, ""))
			h.t.Cleanup(func() { must(h.t, unix.Unmount(h.path(oldOf(theMove)+"/nothing"), unix.MNT_DETACH)) })
		}, "cannot remove /var/lib/.db.relocated/nothing: something is mounted there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			plant(t, h.path(theMove.From))
			must(t, h.relocator().Move(t.Context(), theMove))
			test.make(h)
			if err := h.relocator().Clear(t.Context(), theMove); err == nil || err.Error() != test.err {
				t.Errorf("it says %v", err)
			}
			if text, err := os.ReadFile(h.path(oldOf(theMove) + "/nothing/theirs")); string(text) != "x" || err != nil {
				t.Errorf("what is not ours reads %q, %v", text, err)
			}
		})
	}
}

// What somebody has written to the old directory, or may still write there, is not removed: nobody has it but he.
func TestAnOldDirectoryThatIsWorkedOnStays(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(h *host) (undo func())
		err  string
	}{
		{"written to", func(h *host) func() {
			file, err := os.OpenFile(h.path(oldOf(theMove)+"/large"), os.O_WRONLY, 0)
			must(h.t, err)
			_, err = file.WriteString("theirs")
			must(h.t, err, file.Close())
			return func() { must(h.t, os.Remove(h.path(oldOf(theMove)+"/large"))) }
		}, "cannot remove /var/lib/.db.relocated: /var/lib/.db.relocated/large was written to after it was copied"},
		{"made there", func(h *host) func() {
			h.write(oldOf(theMove)+"/a/new", "theirs", 0o600)
			return func() { must(h.t, os.Remove(h.path(oldOf(theMove)+"/a/new"))) }
		}, "cannot remove /var/lib/.db.relocated: /var/lib/.db.relocated/a/new was written to after it was copied"},
		{"open", func(h *host) func() {
			cmd := exec.CommandContext(h.t.Context(), "sleep", "60")
			cmd.Dir = h.path(oldOf(theMove) + "/a")
			must(h.t, cmd.Start())
			return func() { must(h.t, cmd.Process.Kill()); _ = cmd.Wait() } // it was killed
		}, " has /var/lib/.db.relocated/a in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			plant(t, h.path(theMove.From))
			future := time.Now().AddDate(9, 0, 0)
			must(t, os.Chtimes(h.path(theMove.From+"/empty"), future, future))
			want := described(t, h.path(theMove.From))
			must(t, h.relocator().Move(t.Context(), theMove))
			undo := test.do(h)
			if err := h.relocator().Clear(t.Context(), theMove); err == nil || !strings.HasSuffix(err.Error(), test.err) || remedy.Of(err) == "" {
				t.Errorf("it says %v", err)
			}
			undo()
			must(t, h.relocator().Clear(t.Context(), theMove))
			h.moved(want)
		})
	}
}

// A directory in the place of the link, after all was done: perhaps somebody has gone back.
func TestTheOldOneIsBack(t *testing.T) {
	h := newHost(t, true)
	plant(t, h.path(theMove.From))
	want := described(t, h.path(theMove.From))
	must(t, h.relocator().Move(t.Context(), theMove))
	must(t, os.Remove(h.path(theMove.From)), os.Rename(h.path(oldOf(theMove)), h.path(theMove.From)))
	err := h.relocator().wholly(t.Context(), theMove)
	if err == nil || !strings.Contains(err.Error(), "there is something in both") {
		t.Errorf("it says %v", err)
	}
	if err := h.relocator().Clear(t.Context(), theMove); err == nil || !strings.Contains(err.Error(), "it was moved, and now there is a directory at /var/lib/db again") {
		t.Errorf("it says %v", err)
	}
	h.untouched(want)
}

// How a file is to be written is kept.
func TestFlags(t *testing.T) {
	h := newHost(t, false)
	h.volume(50)
	h.move.Apart = true
	h.write(theMove.From+"/journal/file", "x", 0o600)
	h.write(theMove.From+"/plain", "x", 0o600)
	flags := func(path string) string {
		out, err := exec.CommandContext(t.Context(), "lsattr", "-d", h.path(path)).Output()
		must(t, err)
		return strings.Trim(strings.Fields(string(out))[0], "-e") // e: how ext4 keeps it
	}
	for path, set := range map[string]string{"/journal/file": "+SdA", "/journal": "+DA"} {
		if out, err := exec.CommandContext(t.Context(), "chattr", set, h.path(theMove.From+path)).CombinedOutput(); err != nil {
			skip(t, "this file system has no flags: %v: %s", err, out)
		}
	}
	must(t, h.relocator().wholly(t.Context(), h.move))
	for path, want := range map[string]string{"/journal/file": "S----dA", "/journal": "D--A", "/plain": ""} {
		if got := flags(theMove.To + path); strings.ReplaceAll(got, "-", "") != strings.ReplaceAll(want, "-", "") {
			t.Errorf("%s has the flags %q, not %q", path, got, want)
		}
	}
}

// A path may be longer than any that the kernel takes at once, with two names of a file at its end.
func TestAVeryDeepTree(t *testing.T) {
	h := newHost(t, true)
	h.write(theMove.From+"/z", "x", 0o600)
	const levels = 30
	level := strings.Repeat("d", 200)
	down := func(top string, make bool) (dir int) {
		dir, err := openTop(h.path(top))
		for range levels {
			if make && err == nil {
				err = unix.Mkdirat(dir, level, 0o755)
			}
			var next int
			if err == nil {
				next, err = openDir(dir, level)
			}
			must(t, err)
			unix.Close(dir)
			dir = next
		}
		return dir
	}
	bottom := down(theMove.From, true)
	top, err := openTop(h.path(theMove.From))
	must(t, err, unix.Linkat(top, "z", bottom, "deep", 0), unix.Linkat(top, "z", bottom, "deep too", 0), unix.Close(top))
	must(t, os.Remove(h.path(theMove.From+"/z"))) // so that the first name of it is down there
	unix.Close(bottom)
	must(t, h.relocator().wholly(t.Context(), theMove))
	bottom = down(theMove.To, false)
	defer unix.Close(bottom)
	one, err := stat(bottom, "deep")
	other, otherErr := stat(bottom, "deep too")
	must(t, err, otherErr)
	if one.Ino != other.Ino || one.Nlink != 2 {
		t.Errorf("they are %d and %d, of %d names", one.Ino, other.Ino, one.Nlink)
	}
}

// More files than a batch holds, and more directories than are open at once, on a file system of disks.
func TestManyFiles(t *testing.T) {
	h := newHost(t, false)
	h.volume(100)
	h.move.Apart = true
	plant(t, h.path(theMove.From))
	for n := range 3 * batchFiles / 2 {
		h.write(fmt.Sprintf("%s/%d/%d/%d", theMove.From, n%7, n%29, n), strings.Repeat("x", n), 0o600)
	}
	want := described(t, h.path(theMove.From))
	must(t, h.relocator().wholly(t.Context(), h.move))
	h.moved(want)
	if log := h.log.String(); !strings.Contains(log, fmt.Sprintf("files=%d bytes=", len(want)-3)) {
		t.Errorf("%d files are not in the log:\n%s", len(want)-3, log)
	}
}
