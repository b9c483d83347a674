package phases

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/storage"
)

// prepared is a host after a start, and what it has at /data.
func prepared(t *testing.T) (h *host, id string) {
	h = newTestHost(t)
	h.write("app/env.yml", environment)
	for _, phase := range []string{"prepare-env", "prepare-appliance"} {
		if err := Single(t.Context(), h.config(&manager{}), phase); err != nil {
			t.Fatal(err)
		}
	}
	return h, h.dataID()
}

func (h *host) dataID() string {
	h.t.Helper()
	id, err := storage.Layout{System: system.New(system.Config{Root: h.root})}.ID()
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// known is the ID of /data on record.
func (h *host) known() (id string) {
	h.t.Helper()
	rec, err := machine.NewStore(system.New(system.Config{Root: h.root}), StateDir, slog.New(slog.DiscardHandler)).Load()
	if err == nil {
		_, err = rec.Get(dataSubject, &id)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *host) has(path string) bool {
	_, err := os.Lstat(filepath.Join(h.root, path))
	return err == nil
}

// A data disk that is not there must not be taken for an empty one.
func TestAnotherDataIsRefused(t *testing.T) {
	for _, test := range []struct{ name, id, cause string }{
		{"not mounted", "", "it has no ID, not "},
		{"another file system", "ANOTHER\n", "it has the ID ANOTHER, not "},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, id := prepared(t)
			if id == "" || h.known() != id {
				t.Fatalf("/data has the ID %q, the record knows %q", id, h.known())
			}
			h.remove("data")
			if test.id != "" {
				h.write("data/.appliance-id", test.id)
			}
			err := Single(t.Context(), h.config(&manager{}), "prepare-appliance")
			want := "prepare-appliance: cannot use /data: it is not the file system this appliance used before: " + test.cause + id
			if err == nil || err.Error() != want || !strings.Contains(remedy.Of(err), "mount the right one") {
				t.Errorf("it says %v (%s)", err, remedy.Of(err))
			}
			if _, err := Plan(t.Context(), h.config(&manager{})); err == nil || !strings.Contains(err.Error(), "cannot use /data") {
				t.Errorf("the plan says %v", err)
			}
			if h.has("data/etc") || h.known() != id {
				t.Errorf("the wrong file system was used, or is on record: %q", h.known())
			}
		})
	}
}

func TestAnotherDataIsAccepted(t *testing.T) {
	h, id := prepared(t)
	h.remove("data")
	p := h.start()
	if f := p.rests().Failure; f == nil || f.Phase != "prepare-appliance" || f.Step != "data" {
		t.Fatalf("failure is %+v", f)
	}
	h.write(AcceptData, "")
	if err := p.Clear(); err != nil {
		t.Fatal(err)
	}
	if f := p.rests().Failure; f == nil || f.Phase != "prepare-ecs" {
		t.Fatalf("failure is %+v", f)
	}
	if now := h.dataID(); now == "" || now == id || h.known() != now || h.has(AcceptData) {
		t.Errorf("/data has the ID %q, it was %q, the record knows %q; the flag is there: %t", now, id, h.known(), h.has(AcceptData))
	}
}

// A crash anywhere between the ID, the record and the flag leaves what the next start puts right.
func TestIdentityCutAnywhere(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(h *host)
	}{
		{"first start", func(h *host) { h.remove("data"); h.remove(StateDir) }},
		{"accepted", func(h *host) { h.remove("data"); h.write(AcceptData, "") }},
		{"accepted without need", func(h *host) { h.write(AcceptData, "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, _ := prepared(t)
			for cut, done := 1, false; !done; cut++ {
				test.before(h)
				effects, cutting := 0, true
				cfg := h.config(&manager{})
				cfg.System = system.New(system.Config{Root: h.root, Observe: func(system.Effect) error {
					if effects++; cutting && effects >= cut {
						return errors.New("cut by the test")
					}
					return nil
				}})
				done = Single(t.Context(), cfg, "prepare-appliance") == nil
				cutting = false
				if err := Single(t.Context(), cfg, "prepare-appliance"); err != nil {
					t.Fatalf("after a cut at %d: %v", cut, err)
				}
				if id := h.dataID(); id == "" || h.known() != id || h.has(AcceptData) {
					t.Errorf("after a cut at %d /data has the ID %q, the record knows %q; the flag is there: %t", cut, id, h.known(), h.has(AcceptData))
				}
			}
		})
	}
}

func TestAHostnameThatCannotBeSetIsAWarning(t *testing.T) {
	h, _ := prepared(t)
	h.remove("etc/hostname")
	full := "/etc/hostname"
	h.full.Store(&full)
	var log bytes.Buffer
	cfg := h.config(&manager{})
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	if err := Single(t.Context(), cfg, "prepare-appliance"); err != nil {
		t.Errorf("it keeps the application down: %v", err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), syscall.ENOSPC.Error()) {
		t.Errorf("the log says %s", &log)
	}
}
