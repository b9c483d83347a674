package machine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

func goexit() { runtime.Goexit() }

func TestWalk(t *testing.T) {
	broken := func(context.Context) (Event, error) { return "", errors.New("broken") }
	rounds := 0
	for _, test := range []struct {
		name string
		own  map[State]work
		stop State
		want []State
	}{
		{"straight to rest", nil, "idle", []State{"prepare", "work", "idle"}},
		{"a failure leads to failed", map[State]work{"work": broken}, "failed", []State{"prepare", "work", "failed"}},
		{"a failure of a resting state too", map[State]work{"idle": broken}, "failed", []State{"prepare", "work", "idle", "failed"}},
		{"round again", map[State]work{"idle": func(context.Context) (Event, error) {
			rounds++
			if rounds < 3 {
				return "again", nil
			}
			return "", errors.New("enough")
		}}, "failed", []State{"prepare", "work", "idle", "prepare", "work", "idle", "prepare", "work", "idle", "failed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got := newTestHost(t).stopIn(test.stop, test.own)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEventThatTheTableDoesNotKnowEndsTheWalk(t *testing.T) {
	m, _ := newTestHost(t).process(map[State]work{"prepare": get("reboot")})
	if _, err := m.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot leave state prepare") {
		t.Errorf("Run says %v", err)
	}
}

func TestAStateWithoutAPhaseFails(t *testing.T) {
	h := newTestHost(t)
	m, _ := h.process(nil)
	delete(m.cfg.Phases, "work")
	ctx, stop := context.WithCancel(t.Context())
	m.cfg.Phases["failed"] = Phase{Rests: true, Run: func(ctx context.Context) (Event, error) { stop(); return wait(ctx) }}
	if _, err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if f := h.load().Failure; f == nil || f.State != "work" || !strings.Contains(f.Cause, "no phase") {
		t.Errorf("failure is %+v", f)
	}
}

func TestRecordIsOnDiskBeforeThePhaseRuns(t *testing.T) {
	h := newTestHost(t)
	var found []string
	look := func(then Event) work {
		return func(context.Context) (Event, error) {
			rec := h.load()
			found = append(found, fmt.Sprintf("%s by %s, tried %d times", rec.State, rec.On, rec.Attempts[rec.State]))
			return then, nil
		}
	}
	h.stopIn("failed", map[State]work{"prepare": look("done"), "work": look("done"), "idle": func(context.Context) (Event, error) {
		_, _ = look("")(t.Context())
		return "", errors.New("broken")
	}})
	want := []string{"prepare by start, tried 1 times", "work by done, tried 1 times", "idle by done, tried 0 times"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("records found by the phases (-want +got):\n%s", diff)
	}
}

func TestCrashesAreBoundedAcrossProcesses(t *testing.T) {
	h := newTestHost(t)
	for range attempts {
		h.crashIn("work")
	}
	m, trace := h.stopIn("failed", map[State]work{"work": func(context.Context) (Event, error) {
		t.Error("work was tried once more than allowed")
		return "done", nil
	}})
	if diff := cmp.Diff([]State{"prepare", "work", "failed"}, trace); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	f := m.Record().Failure
	if f == nil || f.State != "work" || !strings.Contains(f.Cause, "tried 3 times") || f.Remedy == "" {
		t.Fatalf("failure is %+v", f)
	}

	t.Log("a machine that has failed stays so over a restart")
	if _, trace = h.stopIn("failed", nil); !cmp.Equal(trace, []State{"failed"}) {
		t.Errorf("after a restart it went %s", trace)
	}
	if diff := cmp.Diff(f, h.load().Failure); diff != "" {
		t.Errorf("a restart changed the failure:\n%s", diff)
	}

	t.Log("cleared, it has all its attempts again")
	cleared := false
	once := func(ctx context.Context) (Event, error) {
		if cleared {
			return wait(ctx)
		}
		cleared = true
		return "clear", nil
	}
	if _, trace = h.stopIn("idle", map[State]work{"failed": once}); !cmp.Equal(trace, []State{"failed", "prepare", "work", "idle"}) {
		t.Errorf("after clear it went %s", trace)
	}
}

func TestAStateThatGotThroughIsForgiven(t *testing.T) {
	h := newTestHost(t)
	for range 4 { // more crashes than a state may have, but never so many in a row
		h.crashIn("work")
		h.crashIn("work")
		h.stopIn("idle", nil)
	}
	if got := h.load().Attempts; len(got) != 0 {
		t.Errorf("attempts left: %v", got)
	}
}

func TestStopIsNoFailureAndCostsNoAttempt(t *testing.T) {
	h := newTestHost(t)
	h.crashIn("work")
	for range 2 * attempts {
		h.stopIn("work", nil)
	}
	rec := h.load()
	if rec.State != "work" || rec.Failure != nil || rec.Attempts["work"] != 1 {
		t.Errorf("record is %+v; want work with the one attempt of the crash and no failure", rec)
	}
}

func TestRestingStatesAreNotCounted(t *testing.T) {
	h := newTestHost(t)
	for range 3 * attempts {
		h.crashIn("idle")
	}
	if rec := h.load(); rec.State != "idle" || rec.Failure != nil || len(rec.Attempts) != 0 {
		t.Errorf("record is %+v; want idle and nothing counted", rec)
	}
}

func TestRebootIsAnOutcomeAndBounded(t *testing.T) {
	h := newTestHost(t)
	for i := range attempts {
		m, _ := h.process(map[State]work{"work": get("reboot")})
		if outcome, err := m.Run(t.Context()); outcome != Rebooted || err != nil {
			t.Fatalf("Run %d = %v, %v; want a reboot", i, outcome, err)
		}
		if rec := h.load(); rec.State != "boot" || rec.On != "reboot" || rec.Failure != nil {
			t.Fatalf("record is %+v; want boot by reboot", rec)
		}
	}
	m, _ := h.stopIn("failed", map[State]work{"work": get("reboot")})
	if f := m.Record().Failure; f == nil || f.State != "work" {
		t.Errorf("failure is %+v; want one of work", f)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	h := newTestHost(t)
	fails := func(err error) (rec Record) {
		t.Helper()
		m, _ := h.stopIn("failed", map[State]work{"work": func(context.Context) (Event, error) { return "", err }})
		rec = m.Record()
		h.save(Record{State: "work", Failure: rec.Failure}) // as if somebody had cleared it and the next process began
		return rec
	}
	full := &StepError{Step: "images", Err: remedy.With(fmt.Errorf("cannot pull: %w", syscall.ENOSPC), "free space")}
	first := fails(full).Failure
	want := &Failure{State: "work", Step: "images", Cause: "cannot pull: no space left on device", Remedy: "free space", First: first.First, Last: first.First, Tries: 1}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("first failure (-want +got):\n%s", diff)
	}
	for tries := 2; tries <= 3; tries++ {
		f := fails(full).Failure
		if !f.First.Equal(first.First) || !f.Last.After(f.First) || f.Tries != tries {
			t.Errorf("try %d: first seen %s, last %s, tries %d; want the first time kept and the tries counted", tries, f.First, f.Last, f.Tries)
		}
	}
	for _, other := range []error{
		&StepError{Step: "images", Err: errors.New("another cause")},
		&StepError{Step: "project", Err: errors.New("another cause")},
		errors.New("another cause"),
	} {
		if f := fails(other).Failure; f.Tries != 1 || !f.First.After(first.First) {
			t.Errorf("%v: tries %d, first seen %s; want a failure of its own", other, f.Tries, f.First)
		}
	}
}

func TestProveForgives(t *testing.T) {
	h := newTestHost(t)
	h.crashIn("work")
	h.save(Record{State: "work", Attempts: map[State]int{"work": 2, "prepare": 1}, Failure: &Failure{Cause: "of yesterday"}})
	m, _ := h.process(nil)
	if err := m.Prove(); err != nil {
		t.Fatal(err)
	}
	if rec := h.load(); rec.Failure != nil || !cmp.Equal(rec.Attempts, map[State]int{"prepare": 1}) {
		t.Errorf("record is %+v; want only the attempt of another state left", rec)
	}
	h.deny = func(e system.Effect) error { t.Errorf("nothing to forgive, and still: %s", e); return nil }
	if err := m.Prove(); err != nil {
		t.Fatal(err)
	}
}

func TestAFailureOutlivesAClearUntilProven(t *testing.T) {
	h := newTestHost(t)
	h.save(Record{State: "prepare", Failure: &Failure{State: "work", Cause: "of yesterday", Tries: 4}})
	m, _ := h.process(map[State]work{"work": func(context.Context) (Event, error) { return "", errors.New("of yesterday") }})
	ctx, stop := context.WithCancel(t.Context())
	m.cfg.Phases["failed"] = Phase{Rests: true, Run: func(ctx context.Context) (Event, error) { stop(); return wait(ctx) }}
	if _, err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if f := h.load().Failure; f.Tries != 5 {
		t.Errorf("tries are %d, want 5", f.Tries)
	}
}

// A disk that is full or read-only must not let work go on unrecorded, and must not end the process: the way out leads
// through failed.
func TestWithoutADiskTheFailureIsHeldInMemory(t *testing.T) {
	for _, op := range []string{"mkdir", "write", "rename", "syncdir"} {
		t.Run("at "+op, func(t *testing.T) {
			h := newTestHost(t)
			full := true
			h.deny = func(e system.Effect) error {
				if full && e.Op == op {
					return fmt.Errorf("%s: %w", e, syscall.ENOSPC)
				}
				return nil
			}
			var m *Machine
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			m, trace := h.process(map[State]work{
				"prepare": func(context.Context) (Event, error) {
					if full {
						t.Error("prepare ran without a record")
					}
					return "done", nil
				},
				"failed": func(context.Context) (Event, error) {
					f := m.Record().Failure
					if f == nil || f.State != "prepare" || !strings.Contains(f.Cause, "no space left") || !strings.Contains(f.Remedy, "/state") {
						t.Errorf("in failed the failure is %+v", f)
					}
					full = false // somebody mends it
					return "clear", nil
				},
				"idle": func(ctx context.Context) (Event, error) { stop(); return wait(ctx) },
			})
			if outcome, err := m.Run(ctx); outcome != Stopped || err != nil {
				t.Fatalf("Run = %v, %v", outcome, err)
			}
			if diff := cmp.Diff([]State{"prepare", "failed", "prepare", "work", "idle"}, *trace); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if rec := h.load(); rec.State != "idle" {
				t.Errorf("the record says %q once there is space again", rec.State)
			}
		})
	}
}

func TestAStopThatCannotBeRecordedIsStillAStop(t *testing.T) {
	h := newTestHost(t)
	ctx, stop := context.WithCancel(t.Context())
	m, _ := h.process(map[State]work{"work": func(ctx context.Context) (Event, error) {
		h.deny = func(system.Effect) error { return syscall.EROFS }
		stop()
		return wait(ctx)
	}})
	if outcome, err := m.Run(ctx); outcome != Stopped || !errors.Is(err, syscall.EROFS) {
		t.Errorf("Run = %v, %v; want a stop that says why the attempt was not given back", outcome, err)
	}
}

func TestARecordOfAnotherProgramDoesNotWedge(t *testing.T) {
	h := newTestHost(t)
	h.save(Record{State: "soak", On: "sealed", Attempts: map[State]int{"soak": 99}})
	_, trace := h.stopIn("idle", nil)
	if diff := cmp.Diff([]State{"prepare", "work", "idle"}, trace); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestUpdateIsDurableOrNothing(t *testing.T) {
	h := newTestHost(t)
	m, _ := h.process(nil)
	put := func(v int) error {
		return m.Update(func(rec *Record) {
			if err := rec.Put("count", v); err != nil {
				t.Error(err)
			}
		})
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	h.deny = func(e system.Effect) error { return syscall.ENOSPC }
	if err := put(2); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a save without space says %v", err)
	}
	var inMemory, onDisk int
	if _, err := m.Record().Get("count", &inMemory); err != nil {
		t.Error(err)
	}
	if _, err := h.load().Get("count", &onDisk); err != nil {
		t.Error(err)
	}
	if inMemory != 1 || onDisk != 1 {
		t.Errorf("memory says %d, disk says %d; want the last that was saved", inMemory, onDisk)
	}
}

// Who asks how it is going, the watchdog above all, must not wait for a disk that stalls, nor for whoever is told.
func TestTheRecordIsAnsweredWhile(t *testing.T) {
	for _, at := range []string{"a save stalls", "OnChange blocks"} {
		t.Run(at, func(t *testing.T) {
			h := newTestHost(t)
			reached, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			stall := func() { once.Do(func() { close(reached); <-release }) }
			m, _ := h.process(nil)
			want := State("")
			if at == "a save stalls" {
				h.deny = func(system.Effect) error { stall(); return nil }
			} else {
				m.cfg.OnChange = func(Record) { stall() }
				want = "prepare"
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { _, err := m.Run(ctx); ended <- err }()
			<-reached
			answer := make(chan Record, 1)
			go func() { answer <- m.Record() }()
			select {
			case rec := <-answer:
				if rec.State != want {
					t.Errorf("the state is %q, want %q", rec.State, want)
				}
			case <-time.After(10 * time.Second):
				t.Error("no answer")
			}
			stop()
			close(release)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnChangeMayUpdate(t *testing.T) {
	h := newTestHost(t)
	m, _ := h.process(nil)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	m.cfg.OnChange = func(rec Record) {
		if err := m.Update(func(rec *Record) { _ = rec.Put("seen", rec.State) }); err != nil || m.Record().State != rec.State {
			t.Errorf("told of %s, and the record says %s, %v", rec.State, m.Record().State, err)
		}
		if rec.State == "idle" {
			stop()
		}
	}
	if _, err := m.Run(ctx); err != nil {
		t.Error(err)
	}
	var seen State
	if _, err := h.load().Get("seen", &seen); seen != "idle" || err != nil {
		t.Errorf("the last update was in %s, %v", seen, err)
	}
}

func TestRecordsHandedOutAreCopies(t *testing.T) {
	h := newTestHost(t)
	h.save(Record{State: "work", Attempts: map[State]int{"work": 1}, Failure: &Failure{Cause: "x"}})
	m, _ := h.process(nil)
	rec := m.Record()
	rec.Attempts["work"] = 7
	rec.Failure.Cause = "y"
	if err := rec.Put("a", 1); err != nil {
		t.Fatal(err)
	}
	if got := m.Record(); got.Attempts["work"] != 1 || got.Failure.Cause != "x" || len(got.Data) != 0 {
		t.Errorf("a copy changed the machine's record: %+v", got)
	}
}

func TestGetOfASubjectThatIsNotThere(t *testing.T) {
	var v int
	if ok, err := (Record{}).Get("nothing", &v); ok || err != nil {
		t.Errorf("Get = %v, %v", ok, err)
	}
}

func TestMermaid(t *testing.T) {
	got := Mermaid([]Transition{{On: "go", From: []State{"boot", "stand-by"}, To: "run"}, {On: "stop", From: []State{"run"}, To: "stand-by"}}, "boot")
	want := `stateDiagram-v2
    state "boot" as boot
    state "stand-by" as stand_by
    state "run" as run
    [*] --> boot
    boot --> run: go
    stand_by --> run: go
    run --> stand_by: stop
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drawing (-want +got):\n%s", diff)
	}
}
