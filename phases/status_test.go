package phases

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
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
