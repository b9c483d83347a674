package relocate

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

func TestNothingToDo(t *testing.T) {
	for _, test := range []struct {
		name  string
		apart bool
		make  func(h *host)
		want  Finding
	}{
		{"nothing is there", true, func(*host) {}, Finding{}},
		{"it is the link", true, func(h *host) {
			h.write("/data/db/file", "x", 0o600)
			must(h.t, os.Symlink(h.path("/data/db"), h.path(theMove.From)))
		}, Finding{}},
		{"it is a link there by another way", true, func(h *host) {
			h.write("/data/db/file", "x", 0o600)
			must(h.t, os.Symlink("../../data/./db", h.path(theMove.From)))
		}, Finding{}},
		{"it has a file system of its own", true, func(h *host) {
			h.write(theMove.From+"/file", "x", 0o600)
			mount(h.t, "tmpfs", h.path(theMove.From), "tmpfs", "")
		}, Finding{Left, "/var/lib/db is a file system of its own and stays where it is"}},
		{"it is a link to somewhere else", true, func(h *host) {
			must(h.t, os.MkdirAll(h.path("/var/srv/db"), 0o755), os.Symlink("../srv/db", h.path(theMove.From)))
		}, Finding{Left, "/var/lib/db is a link to ../srv/db and stays as it is"}},
		{"it comes from the image below an overlay", true, func(h *host) {
			layers := h.t.TempDir()
			mount(h.t, "tmpfs", layers, "tmpfs", "")
			for _, dir := range []string{"image/db", "own/db", "work"} {
				must(h.t, os.MkdirAll(layers+"/"+dir, 0o755))
			}
			must(h.t, os.WriteFile(layers+"/image/db/file", []byte("x"), 0o600))
			mount(h.t, "overlay", h.path("/var/lib"), "overlay", fmt.Sprintf("lowerdir=%[1]s/image,upperdir=%[1]s/own,workdir=%[1]s/work", layers))
		}, Finding{Left, "/var/lib/db is part of the image below an overlay, which cannot rename it, and stays where it is"}},
		{"both are on one file system", false, func(h *host) { h.write(theMove.From+"/file", "x", 0o600) }, Finding{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, test.apart)
			h.move.Apart = true
			test.make(h)
			found, err := h.relocator().Look(h.move)
			if err != nil || found != test.want {
				t.Errorf("it is found to be %+v, %v", found, err)
			}
			must(t, h.relocator().Move(t.Context(), h.move))
			if len(h.effects)+len(h.asked) > 0 {
				t.Errorf("it has the effects %q, and of units was asked %q", h.effects, h.asked)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	content := func(h *host, paths ...string) {
		for _, path := range paths {
			h.write(path+"/file", "of "+path, 0o600)
		}
	}
	for _, test := range []struct {
		name     string
		make     func(h *host)
		err, fix string
	}{
		{"something in both", func(h *host) { content(h, theMove.From, theMove.To) }, "there is something in both",
			"see which of them is in force, and move the other out of the way (`mv /data/db /data/db.before`)"},
		{"a link to nowhere", func(h *host) { must(h.t, os.Symlink("../srv/db", h.path(theMove.From))) }, "/var/lib/db is a link to ../srv/db, where no directory is",
			"mount that, or remove the link"},
		{"a file", func(h *host) { h.write(theMove.From, "x", 0o600) }, "/var/lib/db is no directory", "move it out of the way"},
		{"a file at the new place", func(h *host) { content(h, theMove.From); h.write(theMove.To, "x", 0o600) }, "/data/db is no directory", "move it out of the way"},
		{"a link at the new place", func(h *host) { content(h, theMove.From); must(h.t, os.Symlink("/srv/db", h.path(theMove.To))) },
			"/data/db is no directory", "move it out of the way"},
		{"one within the other", func(h *host) {
			content(h, theMove.From)
			h.move.To = theMove.From + "/within"
		}, "one of them is within the other", ""},
		{"one within the other by a link", func(h *host) {
			content(h, theMove.From, theMove.From+"/volume")
			must(h.t, os.Symlink(h.path(theMove.From+"/volume"), h.path("/link")))
			h.move.To = "/link/db"
		}, "one of them is within the other", ""},
		{"something mounted below", func(h *host) {
			content(h, theMove.From, theMove.From+"/two words")
			mount(h.t, "tmpfs", h.path(theMove.From+"/two words"), "tmpfs", "")
		}, "something is mounted at /var/lib/db/two words", "stop who has mounted it, and unmount it"},
		{"a target that is read-only", func(h *host) {
			content(h, theMove.From)
			must(h.t, unix.Mount("", h.path("/data"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, "/data is mounted for reading only", "see why (`dmesg`), and mount it for writing"},
		{"no room", func(h *host) {
			content(h, theMove.From)
			must(h.t, os.WriteFile(h.path(theMove.From+"/large"), make([]byte, 70<<20), 0o600))
		}, "/var/lib/db needs 77.1 MB there, and 67.1 MB are free", "free space on /data, or make it larger"},
		{"no room for as many files", func(h *host) {
			content(h, theMove.From)
			for n := range 60 {
				h.write(fmt.Sprintf("%s/%d", theMove.From, n), "", 0o600)
			}
			must(h.t, unix.Mount("", h.path("/data"), "", unix.MS_REMOUNT, "nr_inodes=50"))
		}, "/var/lib/db needs 65 files there, and no more than 49 can be made", "take files away from /data, or make its file system with more inodes"},
		{"what nobody may remove", func(h *host) {
			content(h, theMove.From+"/a")
			if out, err := exec.CommandContext(h.t.Context(), "chattr", "+i", h.path(theMove.From+"/a/file")).CombinedOutput(); err != nil {
				skip(h.t, "this file system has no flags: %v: %s", err, out)
			}
			h.t.Cleanup(func() { must(h.t, exec.Command("chattr", "-i", h.path(theMove.From+"/a/file")).Run()) })
		}, "/var/lib/db/a/file is not to be changed by anybody (`lsattr -d` tells)", "`chattr -i -a /var/lib/db/a/file`, and of all else that was so protected"},
		{"what an earlier move has left", func(h *host) { content(h, theMove.From, oldOf(theMove)) }, "/var/lib/.db.relocated is in the way",
			"see what it is, most likely of an earlier move, and move it away"},
		{"a journal of a newer version", func(h *host) {
			content(h, theMove.From)
			h.write(journals+"/var-lib-db.json", `{"version":2,"from":"/var/lib/db","to":"/data/db","state":"folding"}`, 0o600)
		}, "its journal /var/lib/appliance/relocations/var-lib-db.json was written by a newer version", "install that version again"},
		{"a directory at the old place long after", func(h *host) {
			content(h, theMove.From, theMove.To)
			h.write(journals+"/var-lib-db.json", `{"version":1,"from":"/var/lib/db","to":"/data/db","state":"linked","action":"copy"}`, 0o600)
		}, "it was moved, and now there is a directory at /var/lib/db again",
			"see which of both is in force and move the other out of the way, then remove /var/lib/appliance/relocations/var-lib-db.json"},
		{"an old place that has gone", func(h *host) {
			content(h, copyOf(theMove))
			h.write(journals+"/var-lib-db.json", `{"version":1,"from":"/var/lib/db","to":"/data/db","state":"copying","action":"copy"}`, 0o600)
		}, "/var/lib/db has gone since the move began",
			"bring it back (/data/.db.relocating is a copy of it that may not be whole); or, to forget the move, remove /var/lib/appliance/relocations/var-lib-db.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, true)
			test.make(h)
			before := described(t, h.root)
			err := h.relocator().Move(t.Context(), h.move)
			if err == nil || !strings.HasSuffix(err.Error(), ": "+test.err) || !strings.HasPrefix(err.Error(), "cannot ") || remedy.Of(err) != test.fix {
				t.Errorf("it says %v (%s)", err, remedy.Of(err))
			}
			if !h.runs(unit) {
				t.Error("the unit is down")
			}
			after := described(t, h.root)
			for path := range before {
				if strings.HasPrefix(path, "run") || path == "." || path == "var/lib" || strings.HasPrefix(path, "var/lib/appliance") {
					continue // units were stopped and started, and a journal written
				}
				if after[path] != before[path] {
					t.Errorf("%s is\n\t%s, was\n\t%s", path, after[path], before[path])
				}
			}
		})
	}
}
