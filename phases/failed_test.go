package phases

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/remedy"
)

var oneTry = []string{"prepare-env", "failed"}

func TestTheFlagIsRaised(t *testing.T) {
	h := newTestHost(t)
	p := h.start()
	status := p.rests()
	flag := h.flag()
	if diff := cmp.Diff(status.Failure, &flag); diff != "" {
		t.Errorf("the flag is not what the status says (-status +flag):\n%s", diff)
	}
	if flag.Version != 1 || flag.Phase != "prepare-env" || flag.Step != "source" || flag.Tries != 1 || flag.First.IsZero() ||
		flag.Cause != "cannot find an environment: there is no /app/env.yml, and none from nocloud" ||
		flag.ToDo != "write it (`appliance env create` makes a new one), or start with --default to look around; `appliance env sources` tells who was asked; then run `appliance clear`" {
		t.Errorf("the flag is %+v", flag)
	}
	if info, err := os.Stat(filepath.Join(h.root, FailedFlag)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("everybody may see that it failed; the flag is %v, %v", info, err)
	}
	if err := p.Reload(); !errors.Is(err, api.ErrConflict) || remedy.Of(err) == "" {
		t.Errorf("reload of a failed appliance says %v (%s)", err, remedy.Of(err))
	}
}

// Whoever takes the flag down orders the next try; the same failure again is counted on.
func TestTheNextTry(t *testing.T) {
	for _, test := range []struct {
		name  string
		order func(h *host, p *process) *process
		rests int      // how often it comes to rest until the try is over
		went  []string // by the process that tries
	}{
		{"rm while the supervisor runs", func(h *host, p *process) *process { h.remove(FailedFlag); return p },
			1, []string{"prepare-env", "failed", "prepare-env", "failed"}},
		{"clear", func(h *host, p *process) *process {
			if err := p.Clear(); err != nil {
				h.t.Fatal(err)
			}
			return p
		}, 1, []string{"prepare-env", "failed", "prepare-env", "failed"}},
		{"rm while none runs", func(h *host, p *process) *process {
			_ = p.end()
			h.remove(FailedFlag)
			return h.start()
		}, 2, []string{"failed", "prepare-env", "failed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			p := h.start()
			p.rests()
			first := h.flag()
			p = test.order(h, p)
			for range test.rests {
				p.rests()
			}
			if !slices.Equal(p.went(), test.went) {
				t.Errorf("it went %q, want %q", p.went(), test.went)
			}
			second := h.flag()
			if second.Tries != 2 || !second.First.Equal(first.First) || !second.Last.After(first.Last) {
				t.Errorf("the first flag is %+v, the second %+v; want it counted on", first, second)
			}
		})
	}
}

func TestAFailureWaitsForAPerson(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(h *host)
	}{
		{"over a restart of the process", func(*host) {}},
		{"over a boot, which wipes the flag", func(h *host) { h.remove("run"); h.write("run/.keep", "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			p := h.start()
			p.rests()
			before := h.flag()
			_ = p.end()
			h.write("app/env.yml", environment) // also when it could work now
			test.do(h)
			p = h.start()
			p.rests()
			if diff := cmp.Diff(before, h.flag()); diff != "" {
				t.Errorf("the flag has changed:\n%s", diff)
			}
			if !slices.Equal(p.went(), []string{"failed"}) {
				t.Errorf("it went %q", p.went())
			}
		})
	}
}

func TestAfterMendingAnotherFailureBeginsAnew(t *testing.T) {
	h := newTestHost(t)
	p := h.start()
	p.rests()
	first := h.flag()
	h.write("app/env.yml", environment)
	h.remove(FailedFlag)
	p.rests()
	second := h.flag()
	if second.Phase != "prepare-ecs" || second.Step != "project" || second.Tries != 1 || !second.First.After(first.First) {
		t.Errorf("the flag is %+v", second)
	}
	if data, err := os.ReadFile(filepath.Join(h.root, ActiveEnvPath)); string(data) != environment || err != nil {
		t.Errorf("the active environment is %q, %v", data, err)
	}
}

func TestBadInputLeavesTheActiveEnvironmentAlone(t *testing.T) {
	h := newTestHost(t)
	h.write(ActiveEnvPath, environment)
	h.write("app/env.yml", "appliance: [not, a, mapping]\n")
	status := h.start().rests()
	if status.State != "failed" || status.Failure.Phase != "prepare-env" {
		t.Errorf("status is %+v", status)
	}
	if data, err := os.ReadFile(filepath.Join(h.root, ActiveEnvPath)); string(data) != environment || err != nil {
		t.Errorf("the active environment is %q, %v", data, err)
	}
}

// A disk that is full must not take the ways out away.
func TestWaysOutOfAFullDisk(t *testing.T) {
	for _, test := range []struct {
		name, full string
		out        func(h *host, p *process) error
	}{
		{"no room for the record: rm", StateDir, func(h *host, _ *process) error { h.remove(FailedFlag); return nil }},
		{"no room for the record: clear", StateDir, func(_ *host, p *process) error { return p.Clear() }},
		{"no room for the flag: clear", FailedFlag, func(_ *host, p *process) error { return p.Clear() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			h.full.Store(&test.full)
			p := h.start()
			if status := p.rests(); status.State != "failed" {
				t.Fatalf("status is %+v", status)
			}
			h.full.Store(new(string))
			if err := test.out(h, p); err != nil {
				t.Fatal(err)
			}
			p.rests()
			if want := slices.Concat(oneTry, oneTry); !slices.Equal(p.went(), want) {
				t.Errorf("it went %q, want %q", p.went(), want)
			}
			if flag := h.flag(); flag.Cause != "cannot find an environment: there is no /app/env.yml, and none from nocloud" {
				t.Errorf("the flag is %+v", flag)
			}
		})
	}
}
