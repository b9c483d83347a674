package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"appliance/internal/front"
	"appliance/internal/system"
)

// Config is what a Front is made of.
type Config struct {
	System  *system.System
	Log     *slog.Logger
	Program []string // of a worker: path and first arguments
	Env     []string // of a worker
	Owner   int      // numeric user of a worker; -1: ours
	Group   int      // numeric group of a worker, with an Owner
	Stderr  *os.File // of a worker
	// Bound is told the sockets after each change of them, to be kept across restarts; nil tells nobody.
	Bound func([]*Socket)
}

// Front is the supervisor's side of the front: it holds the sockets and keeps a worker behind them. It is safe for
// concurrent use.
type Front struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	sockets []*Socket
	lent    []*Socket // by a service manager: to take copies of
	closed  []string  // names of sockets that only workers may still have
	fresh   bool      // the sockets are those that the present worker has
	number  uint64
	state   *front.State
	now     *process   // takes new connections
	before  []*process // serve what they have begun
	applied uint64
	trouble error         // with the state that was told last
	changed chan struct{} // closed at each change of the lines above
	closing bool
}

// New returns a front without sockets and without a worker. It works once Run does.
func New(cfg Config) *Front {
	return &Front{cfg: cfg, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Tell has the worker know s, soon; of several in a row only the last may arrive.
func (f *Front) Tell(s front.State) {
	f.mu.Lock()
	f.number++
	f.state = &s
	f.mu.Unlock()
	f.poke()
}

// Settle waits until visitors are answered by what was told last. Without sockets there is nothing to wait for.
func (f *Front) Settle(ctx context.Context) error {
	f.mu.Lock()
	want := f.number
	f.mu.Unlock()
	for {
		f.mu.Lock()
		nobody, done := len(f.sockets) == 0, f.applied >= want && f.fresh
		trouble, changed := f.trouble, f.changed
		f.mu.Unlock()
		switch {
		case nobody: // what troubled a worker of before is over
			return nil
		case done:
			return trouble
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("cannot reach the front: %w", context.Cause(ctx))
		}
	}
}

// PID is the worker's that takes new connections; 0: there is none.
func (f *Front) PID() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		return 0
	}
	return f.now.pid
}

// all lists the workers that are there. The caller holds the lock.
func (f *Front) all() []*process {
	workers := slices.Clone(f.before)
	if f.now != nil {
		workers = append(workers, f.now)
	}
	return workers
}

func (f *Front) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// alter changes what is guarded and tells those who wait for it.
func (f *Front) alter(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// A worker that ends by itself is replaced, after a pause that grows while they end soon.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	steady     = time.Minute // a worker that lived so long is no crash loop
)

// Run keeps a worker running until ctx ends. Workers that are there then go on: they are for Handover or Close.
func (f *Front) Run(ctx context.Context) {
	pause := firstPause
	for {
		started := time.Now()
		err := f.attend(ctx)
		if ctx.Err() != nil || f.ending() {
			return
		}
		if time.Since(started) > steady {
			pause = firstPause
		}
		f.cfg.Log.Warn("the front's worker is started again", "err", err, "in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
		f.poke()
	}
}

var errWorkerEnded = errors.New("it ended by itself")

// attend brings the worker up to date at each poke, until it ends by itself.
func (f *Front) attend(ctx context.Context) error {
	for {
		f.mu.Lock()
		now := f.now
		f.mu.Unlock()
		var ended <-chan struct{}
		if now != nil {
			ended = now.ended
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			f.alter(func() { f.now, f.fresh, f.applied = nil, false, 0 })
			return errWorkerEnded
		case <-f.wake:
		}
		if err := f.update(); err != nil {
			return err
		}
	}
}

// update starts a worker if the sockets have none, and tells it the state if it does not know it.
func (f *Front) update() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closing, f.state == nil:
		return nil
	case len(f.sockets) == 0:
		f.retire()
		return nil
	}
	if f.now == nil || !f.fresh {
		next, err := f.start(f.sockets)
		if err != nil {
			return err
		}
		if f.now != nil {
			f.before = append(f.before, f.now)
		}
		f.now, f.fresh, f.applied = next, true, 0
	}
	for _, p := range append(f.before[:len(f.before):len(f.before)], f.now) { // who serves to the end must know where to
		if p.told == f.number {
			continue
		}
		if err := p.tell(order{Number: f.number, State: f.state}); err != nil {
			f.cfg.Log.Debug("cannot tell the front's worker", "err", err) // it ends, which is seen
		}
		p.told = f.number
	}
	return nil
}

// retire has all workers end with what they have begun: they hold sockets that nobody wishes for any more. The caller
// holds the lock.
func (f *Front) retire() {
	if f.now != nil {
		f.before, f.now = append(f.before, f.now), nil
	}
	for _, p := range f.before {
		p.drain()
	}
}

// reported notes what a worker says. Once the present one has a state in force, those before it need no new connections.
func (f *Front) reported(p *process, r report) {
	var retire []*process
	f.alter(func() {
		if p != f.now {
			return
		}
		f.applied, f.trouble = r.Number, nil
		if r.Error != "" {
			f.trouble = errors.New(r.Error)
		}
		retire = f.before
	})
	if p == f.present() && r.Error != "" {
		f.cfg.Log.Warn("the front keeps what it had of a part of its state", "err", r.Error)
	}
	for _, old := range retire {
		old.drain()
	}
}

// ending says that no worker is to be replaced any more.
func (f *Front) ending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing
}

func (f *Front) present() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// forget takes a worker that has ended from those that are still serving.
func (f *Front) forget(p *process) {
	f.alter(func() {
		for i, old := range f.before {
			if old == p {
				f.before = append(f.before[:i:i], f.before[i+1:]...)
				return
			}
		}
	})
}

// Close ends the workers: they take no new connections, and have until ctx ends to serve what they have begun.
func (f *Front) Close(ctx context.Context) {
	f.mu.Lock()
	f.closing = true
	all := f.all()
	for _, s := range slices.Concat(f.sockets, f.lent) {
		s.file.Close()
	}
	f.mu.Unlock()
	for _, p := range all {
		p.release()
	}
	for _, p := range all {
		select {
		case <-p.ended:
		case <-ctx.Done():
			p.kill()
		}
	}
}
