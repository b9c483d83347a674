package phases

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"appliance/env"
	"appliance/internal/machine"
)

// gate is a log that can be held up, as by a journal on a disk that stalls.
type gate struct {
	slog.Handler
	shut    atomic.Bool
	reached chan struct{}
	open    chan struct{}
}

func (g *gate) Enabled(context.Context, slog.Level) bool { return true }

func (g *gate) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "entering prepare-env" && g.shut.CompareAndSwap(true, false) {
		close(g.reached)
		<-g.open
	}
	return nil
}

// A new state is on record a moment before the supervisor knows. Who asks just then must not take it for the end of the
// walk, and must get an answer.
func TestAStateJustEnteredIsNoRest(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", environment+"  standby: true\n")
	log := &gate{Handler: slog.DiscardHandler, reached: make(chan struct{}), open: make(chan struct{})}
	p := &process{t: t, manager: &manager{ready: make(chan struct{}, 100)}, ended: make(chan error, 1)}
	cfg := h.config(p.manager)
	cfg.Log = slog.New(log)
	var err error
	if p.Appliance, err = NewAppliance(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	p.kill = kill
	go func() { p.ended <- p.Run(ctx) }()
	defer func() { _ = p.end() }()
	p.rests()
	log.shut.Store(true)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	<-log.reached
	if status := p.Status(); status.State != "prepare-env" || status.Resting {
		t.Errorf("state %s, resting %t", status.State, status.Resting)
	}
	close(log.open)
	if status := p.rests(); status.State != "standby" || !status.Resting {
		t.Errorf("state %s, resting %t", status.State, status.Resting)
	}
}

// watching is a supervisor at rest in the given state, with what it writes to the journal.
func watching(t *testing.T, state machine.State) (*Appliance, *bytes.Buffer) {
	t.Helper()
	h := newTestHost(t)
	cfg := h.config(&manager{ready: make(chan struct{}, 100)})
	log := &bytes.Buffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	record := machine.Record{State: state, Since: cfg.System.Now()}
	if err := machine.NewStore(cfg.System, StateDir, cfg.Log).Save(&record); err != nil {
		t.Fatal(err)
	}
	a, err := NewAppliance(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, log
}

func TestOutOfHealthIsSinceItWasSeen(t *testing.T) {
	a, _ := watching(t, Run)
	if s := a.Status(); s.TroubleSince != nil {
		t.Errorf("before anything is wrong it is so since %s", s.TroubleSince)
	}
	before := a.cfg.System.Now()
	a.setTrouble("web: it is gone")
	seen := a.Status().TroubleSince
	if seen == nil || seen.Before(before) {
		t.Fatalf("it is so since %v", seen)
	}
	a.setTrouble("web: it is gone; worker: it is gone") // it is the same trouble
	if s := a.Status(); !s.TroubleSince.Equal(*seen) {
		t.Errorf("it began again at %s", s.TroubleSince)
	}
	if data, err := json.Marshal(a.Status()); err != nil || !strings.Contains(string(data), `"trouble_since":"`+seen.Format("2006-01-02T15:04:05")) {
		t.Errorf("programs read %s, %v", data, err)
	}
	a.setTrouble("")
	if s := a.Status(); s.TroubleSince != nil {
		t.Errorf("in health again it is so since %s", s.TroubleSince)
	}
}

// The engine and services quote what they were given, and warnings are shown to everybody who may read.
func TestWarningsHideSecrets(t *testing.T) {
	a, log := watching(t, Run)
	doc, err := env.Parse("env.yml", []byte(environment+"ecs:\n  settings:\n    db_password: hunter2-hunter2\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.walk.active, a.walk.candidate = doc, doc
	a.knowEnv()
	a.warn("the stack does not come up: no such user hunter2-hunter2")
	h := health{trouble: []string{"web: it said hunter2-hunter2"}}
	a.outOfHealth(h, time.Minute)
	a.visitors.setTrouble(errors.New("cannot listen as hunter2-hunter2"))
	events, _ := a.bus.After(0)
	status, err := json.Marshal(a.Status())
	if err != nil {
		t.Fatal(err)
	}
	told := log.String() + string(status) + strings.Join(a.cfg.Manager.(*manager).told(), "\n")
	for _, e := range events {
		told += e.Text + "\n"
	}
	if strings.Contains(told, "hunter2") || strings.Count(told, hidden) < 4 {
		t.Errorf("told is\n%s", told)
	}
}
