package machine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/system"
)

// table is the smallest life that has every kind of state: two that work, one that rests, one for failures.
var table = []Transition{
	{On: "start", From: []State{"boot"}, To: "prepare"},
	{On: "done", From: []State{"prepare"}, To: "work"},
	{On: "done", From: []State{"work"}, To: "idle"},
	{On: "again", From: []State{"idle"}, To: "prepare"},
	{On: "reboot", From: []State{"work"}, To: "boot"},
	{On: "fail", From: []State{"boot", "prepare", "work", "idle"}, To: "failed"},
	{On: "clear", From: []State{"failed"}, To: "prepare"},
}

const attempts = 3

// work is what a phase does.
type work = func(ctx context.Context) (Event, error)

// host is a directory on which machines run one after the other, as processes on a host do.
type host struct {
	t    *testing.T
	root string
	deny func(system.Effect) error // nil: everything goes
	now  time.Time

	mu  sync.Mutex
	log bytes.Buffer
}

func newTestHost(t *testing.T) *host {
	return &host{t: t, root: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *host) warnings() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Count(h.log.String(), "level=WARN")
}

func (h *host) store() *Store {
	observe := func(e system.Effect) error {
		if h.deny == nil {
			return nil
		}
		return h.deny(e)
	}
	return NewStore(system.New(system.Config{Root: h.root, Observe: observe}), "/state", slog.New(slog.NewTextHandler(h, nil)))
}

// load is what the next process would find.
func (h *host) load() Record {
	h.t.Helper()
	rec, err := h.store().Load()
	if err != nil {
		h.t.Fatal(err)
	}
	return rec
}

func (h *host) save(rec Record) {
	h.t.Helper()
	store := h.store()
	if _, err := store.Load(); err != nil {
		h.t.Fatal(err)
	}
	if err := store.Save(&rec); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) slot(n int) string {
	return filepath.Join(h.root, "state", []string{"record.0.json", "record.1.json"}[n])
}

func (h *host) readSlot(n int) []byte {
	h.t.Helper()
	data, err := os.ReadFile(h.slot(n))
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

func (h *host) writeSlot(n int, data []byte) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(h.slot(n)), 0o755), os.WriteFile(h.slot(n), data, 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

// process is a machine on the host with a trace of where it went. States without work of their own get through, and the
// resting ones wait for the end.
func (h *host) process(own map[State]work) (*Machine, *[]State) {
	h.t.Helper()
	do := map[State]work{"prepare": get("done"), "work": get("done"), "idle": wait, "failed": wait}
	for state, w := range own {
		do[state] = w
	}
	all := map[State]Phase{}
	for state, w := range do {
		all[state] = Phase{Run: w, Rests: state == "idle" || state == "failed"}
	}
	trace := &[]State{}
	m, err := New(Config{
		Table: table, Initial: "boot", Fail: "fail", Attempts: attempts, Phases: all, Store: h.store(),
		Resume: func(rec Record) Event {
			if rec.State == "failed" {
				return "fail"
			}
			return "start"
		},
		Now:      func() time.Time { h.now = h.now.Add(time.Second); return h.now },
		Log:      slog.New(slog.NewTextHandler(h, nil)),
		OnChange: func(rec Record) { *trace = append(*trace, rec.State) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return m, trace
}

func get(event Event) work {
	return func(context.Context) (Event, error) { return event, nil }
}

func wait(ctx context.Context) (Event, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// stopIn runs the machine and stops it as soon as the given phase is reached.
func (h *host) stopIn(at State, own map[State]work) (*Machine, []State) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	defer stop()
	with := map[State]work{}
	for state, w := range own {
		with[state] = w
	}
	with[at] = func(ctx context.Context) (Event, error) { stop(); return wait(ctx) }
	m, trace := h.process(with)
	if outcome, err := m.Run(ctx); outcome != Stopped || err != nil {
		h.t.Fatalf("Run = %v, %v; want a stop without an error", outcome, err)
	}
	return m, *trace
}

// crashIn runs a machine that ends without a word in the given phase, as by kill -9 or a power cut.
func (h *host) crashIn(at State) {
	h.t.Helper()
	ended := make(chan struct{})
	reached := false
	m, _ := h.process(map[State]work{at: func(context.Context) (Event, error) { reached = true; goexit(); return "", nil }})
	go func() {
		defer close(ended)
		_, _ = m.Run(h.t.Context())
	}()
	<-ended
	if !reached {
		h.t.Fatalf("the machine never came to %s", at)
	}
}
