// Package machine runs a table of states whose every step is on disk before it is taken. It knows nothing of what the
// states are for: the policy hands in the table and one phase a state.
//
// The contract: the record of a state is durable before its phase runs; a state that is entered too often without
// getting through fails instead of looping, across restarts of the process and of the host; a stop from outside is
// neither done nor failed; a reboot is an outcome and not an error.
package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looplab/fsm"

	"appliance/internal/remedy"
)

// State is a place in the table.
type State string

// Event leads from one State to another.
type Event string

// Transition is a line of the table: the event On leads from each of From to To.
type Transition struct {
	On   Event
	From []State
	To   State
}

// Phase is what is done in a state.
type Phase struct {
	// Run works until the state is to be left and answers with which event. It must honour ctx. An error fails the
	// state; a *StepError says at which step.
	Run func(ctx context.Context) (Event, error)
	// Rests marks a state that waits for somebody: entering it again and again is no loop.
	Rests bool
}

// Outcome says why Run returned.
type Outcome int

const (
	Stopped  Outcome = iota // ctx ended; context.Cause tells why
	Rebooted                // a phase asked for a reboot; the record is ready for the next boot
)

// Config is the policy a Machine runs.
type Config struct {
	Table    []Transition
	Initial  State                  // where every process begins, and where a reboot leads
	Fail     Event                  // fired for a phase that failed; every counted state must have it
	Resume   func(rec Record) Event // the first event, chosen by what the last process recorded
	Phases   map[State]Phase        // one for each state but Initial
	Attempts int                    // how often a state may be entered without getting through
	Store    *Store
	Now      func() time.Time
	Log      *slog.Logger
	OnChange func(Record) // called for one state after the other, once the record is on disk (or known not to be) and Record answers it
}

// Machine is a running table. Its methods are safe for concurrent use.
type Machine struct {
	cfg Config
	fsm *fsm.FSM

	mu      sync.Mutex             // one change at a time; held while the disk takes its time
	rec     atomic.Pointer[Record] // as it was saved last, or is held in memory; never changed in place
	unsaved error                  // why rec is only in memory; only Run reads and writes it
}

// New returns a machine that continues from what its store holds.
func New(cfg Config) (*Machine, error) {
	m := &Machine{cfg: cfg, fsm: newFSM(cfg)}
	rec, err := cfg.Store.Load()
	if err != nil {
		return nil, err
	}
	m.rec.Store(&rec)
	return m, nil
}

func newFSM(cfg Config) *fsm.FSM {
	var events fsm.Events
	for _, t := range cfg.Table {
		src := make([]string, len(t.From))
		for i, from := range t.From {
			src[i] = string(from)
		}
		events = append(events, fsm.EventDesc{Name: string(t.On), Src: src, Dst: string(t.To)})
	}
	return fsm.NewFSM(string(cfg.Initial), events, nil)
}

// Record returns a copy of the present record. It never waits, neither for a disk nor for OnChange.
func (m *Machine) Record() Record { return m.rec.Load().clone() }

// Update changes the record durably.
func (m *Machine) Update(change func(*Record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.Record()
	change(&next)
	return m.saveLocked(next)
}

// Prove says that the present state works: its attempts are forgiven and the last failure is history. It costs nothing
// when there is nothing to forgive.
func (m *Machine) Prove() error {
	rec := m.Record()
	if rec.Attempts[rec.State] == 0 && rec.Failure == nil {
		return nil
	}
	return m.Update(func(rec *Record) {
		delete(rec.Attempts, rec.State)
		rec.Failure = nil
	})
}

// Run walks the table until ctx ends or a phase asks for a reboot.
func (m *Machine) Run(ctx context.Context) (Outcome, error) {
	event := m.cfg.Resume(m.Record())
	var failure *Failure // nil with the event Fail: the recorded one still holds
	for {
		if err := m.enter(event, failure); err != nil {
			return Stopped, err
		}
		if State(m.fsm.Current()) == m.cfg.Initial {
			return Rebooted, nil
		}
		next, err := m.visit(ctx)
		if ctx.Err() != nil {
			return Stopped, m.refund()
		}
		event, failure = next, nil
		if err != nil {
			event, failure = m.cfg.Fail, m.describe(err)
		}
	}
}

// enter moves along event and makes the record of the new state durable. A record that cannot be saved fails the state;
// a failed state that cannot be saved is held in memory, because the way out still leads through it.
func (m *Machine) enter(event Event, failure *Failure) error {
	from := State(m.fsm.Current())
	// looplab/fsm would stick for good were its context to end, so it gets one that does not.
	if err := m.fsm.Event(context.Background(), string(event)); err != nil && !errors.As(err, &fsm.NoTransitionError{}) {
		return fmt.Errorf("cannot leave state %s: %w", m.fsm.Current(), err)
	}
	m.cfg.OnChange(m.persist(from, State(m.fsm.Current()), event, failure))
	return nil
}

// persist makes the record of the new state and saves it.
func (m *Machine) persist(from, to State, event Event, failure *Failure) Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.Record()
	next := last.clone()
	if from != m.cfg.Initial && to != m.cfg.Initial { // the state came to a result: it got through, or its failure is on record
		delete(next.Attempts, from)
	}
	next.State, next.Since, next.On = to, m.cfg.Now(), event
	if failure != nil {
		next.Failure = failure.after(last.Failure)
	}
	if phase, ok := m.cfg.Phases[to]; ok && !phase.Rests {
		next.Attempts[to]++
	}
	if m.unsaved = m.saveLocked(next); m.unsaved != nil {
		m.cfg.Log.Error("cannot save state; holding it in memory", "state", to, "err", m.unsaved)
		m.rec.Store(&next)
	}
	return next.clone()
}

// visit runs the phase of the present state, unless it has been tried too often.
func (m *Machine) visit(ctx context.Context) (Event, error) {
	rec := m.Record()
	phase := m.cfg.Phases[rec.State]
	if phase.Run == nil {
		return "", fmt.Errorf("cannot run state %s: it has no phase", rec.State)
	}
	if phase.Rests {
		return phase.Run(ctx)
	}
	if m.unsaved != nil {
		return "", remedy.With(fmt.Errorf("cannot save state %s: %w", rec.State, m.unsaved),
			"make the file system of "+m.cfg.Store.Dir()+" writable and free space on it")
	}
	if tries := rec.Attempts[rec.State]; tries > m.cfg.Attempts {
		err := fmt.Errorf("cannot get through %s: tried %d times, and each time the process or the host ended before it was done", rec.State, tries-1)
		return "", remedy.Passing(remedy.With(err, "look in the journal for what ended it (`journalctl -u appliance -b -1`)")) // a night of power cuts ends
	}
	return phase.Run(ctx)
}

// refund gives the attempt of a state that was stopped from outside back.
func (m *Machine) refund() error {
	if m.Record().Attempts[State(m.fsm.Current())] == 0 {
		return nil
	}
	return m.Update(func(rec *Record) { rec.Attempts[rec.State]-- })
}

func (m *Machine) saveLocked(next Record) error {
	if err := m.cfg.Store.Save(&next); err != nil {
		return err
	}
	m.rec.Store(&next)
	return nil
}

func (m *Machine) describe(err error) *Failure {
	now := m.cfg.Now()
	f := &Failure{State: State(m.fsm.Current()), Cause: err.Error(), Remedy: remedy.Of(err), MayPass: remedy.MayPass(err), First: now, Last: now, Tries: 1}
	var step *StepError
	if errors.As(err, &step) {
		f.Step = step.Step
	}
	return f
}

// StepError says at which step of a phase an error came up.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }
