package phases

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"appliance/internal/api"
	"appliance/internal/system"
)

// volatileVolume gives the host a file system of its own at /volatile.
func (h *host) volatileVolume() {
	h.t.Helper()
	at := filepath.Join(h.root, "volatile")
	if err := os.MkdirAll(at, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=16m"); err != nil {
		h.t.Skipf("cannot mount: %v", err)
	}
	h.t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *host) reads(path string) string {
	data, _ := os.ReadFile(filepath.Join(h.root, path))
	return string(data)
}

func moves(p api.Plan) (found []api.Change) {
	for _, change := range p.Changes {
		if change.Step == "relocate" {
			found = append(found, change)
		}
	}
	return found
}

func TestWhatTheEngineKeepsMovesToItsVolume(t *testing.T) {
	h, _ := prepared(t)
	h.write("var/lib/docker/image/layer", "bytes")
	planned := func() []api.Change {
		t.Helper()
		p, err := Plan(t.Context(), h.config(&manager{}))
		if err != nil && !strings.Contains(err.Error(), "cannot plan prepare-ecs") { // this host has no application
			t.Fatal(err)
		}
		return moves(p)
	}
	if changes := planned(); len(changes) > 0 {
		t.Errorf("without a volume of its own it is planned to %+v", changes)
	}
	h.volatileVolume()
	changes := planned()
	if len(changes) != 1 || changes[0].Action != "move" || !strings.HasPrefix(changes[0].Why, "/var/lib/docker is to be moved to /volatile/docker, which is another file system: 3 files, ") {
		t.Errorf("it is planned to %+v", changes)
	}
	cfg := h.config(&manager{})
	if err := Single(t.Context(), cfg, "prepare-appliance"); err != nil {
		t.Fatal(err)
	}
	if leads, err := os.Readlink(filepath.Join(h.root, "var/lib/docker")); err != nil || leads != filepath.Join(h.root, "volatile/docker") || h.reads("var/lib/docker/image/layer") != "bytes" {
		t.Errorf("at the old place is a link to %q, %v, and the file reads %q", leads, err, h.reads("var/lib/docker/image/layer"))
	}
	if changes := planned(); len(changes) > 0 {
		t.Errorf("after it is planned to %+v", changes)
	}

	seen := &notices{}
	step := movedStep(&walk{notices: seen, sys: system.New(system.Config{Root: h.root}), log: slog.New(slog.DiscardHandler)})
	why, err := step.Check(t.Context())
	if want := "to be removed: /var/lib/.docker.relocated"; why != want || err != nil || h.reads("var/lib/.docker.relocated/image/layer") != "bytes" {
		t.Errorf("until the application has proved itself it is %q, %v", why, err)
	}
	h.write("var/lib/.docker.relocated/image/new", "theirs")
	if err := step.Apply(t.Context()); err == nil || !h.has("var/lib/.docker.relocated") {
		t.Errorf("with something new in it it goes: %v", err)
	}
	if got := seen.all(); len(got) != 1 || got[0].Code != "old-directory" || !strings.Contains(got[0].Text, "image/new was written to after it was copied") || got[0].Remedy == "" {
		t.Errorf("the status warns of %+v", got)
	}
	h.remove("var/lib/.docker.relocated/image/new")
	if err := step.Apply(t.Context()); err != nil || h.has("var/lib/.docker.relocated") {
		t.Errorf("then the old directory is there: %t, %v", h.has("var/lib/.docker.relocated"), err)
	}
	if why, err := step.Check(t.Context()); why != "" || err != nil {
		t.Errorf("and then %q, %v", why, err)
	}
}

// A supervisor of a later version may have begun what this one does not know.
func TestAMoveOfAnotherTableIsFinished(t *testing.T) {
	h, _ := prepared(t)
	h.volatileVolume()
	h.write("srv/cache/file", "bytes")
	h.write(relocationDir+"/srv-cache.json", `{"version":1,"from":"/srv/cache","to":"/volatile/cache","state":"copying","action":"copy","apart":true,"units":[]}`)
	if err := Single(t.Context(), h.config(&manager{}), "prepare-appliance"); err != nil {
		t.Fatal(err)
	}
	if h.reads("volatile/cache/file") != "bytes" || h.reads("srv/cache/file") != "bytes" {
		t.Error("it was not moved")
	}
}

func TestAMoveThatCannotBeIsRefusedWithARemedy(t *testing.T) {
	h, _ := prepared(t)
	h.volatileVolume()
	h.write("var/lib/docker/image", "bytes")
	h.write("volatile/docker/image", "others")
	p := h.start()
	f := p.rests().Failure
	if f == nil || f.Step != "relocate" || f.Cause != "cannot move /var/lib/docker to /volatile/docker: there is something in both" || !strings.Contains(f.ToDo, "see which of them is in force") {
		t.Errorf("the failure is %+v", f)
	}
}

// A move that would leave its volume without room for anything else is not begun, though it would fit.
func TestAMoveThatWouldFillItsVolume(t *testing.T) {
	h, _ := prepared(t)
	h.volatileVolume() // of 16 MiB
	h.write("var/lib/docker/image", strings.Repeat("x", 15_300_000))
	err := Single(t.Context(), h.config(&manager{}), "prepare-appliance")
	if err == nil || !strings.Contains(err.Error(), "cannot begin to move /var/lib/docker to /volatile/docker: /volatile has ") ||
		!strings.Contains(err.Error(), "it takes about 15.3 MB; 10 % have to stay free") {
		t.Fatalf("it says %v", err)
	}
	if h.has("volatile/docker") || h.has("volatile/.docker.relocating") || !h.has("var/lib/docker/image") {
		t.Error("it was begun")
	}
}
