package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"appliance/internal/system"
)

// process is one worker as its supervisor sees it.
type process struct {
	pid   int
	line  *line
	told  uint64        // number of the last state it was told
	ended chan struct{} // closed when it has ended

	telling sync.Mutex // two may have it drain at the same time
}

// start starts a worker behind sockets. The caller holds the lock.
func (f *Front) start(sockets []*Socket) (*process, error) {
	ours, theirs, err := newPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	files := []*os.File{nil, f.cfg.Stderr, f.cfg.Stderr, theirs}
	args := f.cfg.Program[1:len(f.cfg.Program):len(f.cfg.Program)]
	args = append(args, Command)
	for _, s := range sockets {
		files = append(files, s.file)
		args = append(args, s.Kind)
	}
	child, err := f.cfg.System.Spawn(system.Child{Path: f.cfg.Program[0], Args: args, Env: f.cfg.Env, Files: files, Owner: f.cfg.Owner, Group: f.cfg.Group})
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot start the front: %w", err)
	}
	f.cfg.Log.Info("the front has a new worker", "pid", child.Pid)
	return f.attach(child.Pid, ours), nil
}

// attach follows a worker that is our child.
func (f *Front) attach(pid int, l *line) *process {
	p := &process{pid: pid, line: l, ended: make(chan struct{})}
	go func() {
		for {
			var r report
			if err := l.in.Decode(&r); err != nil {
				break // it has ended, or is about to
			}
			f.reported(p, r)
		}
	}()
	go func() {
		why := reap(pid)
		f.cfg.Log.Info("a worker of the front has ended", "pid", pid, "how", why)
		l.Close()
		close(p.ended)
		f.forget(p)
	}()
	return p
}

// reap waits for a child to end, also for one that was started by the program before us in this process.
func reap(pid int) string {
	child, err := os.FindProcess(pid)
	if err != nil {
		return err.Error()
	}
	state, err := child.Wait()
	if err != nil {
		return err.Error()
	}
	return state.String()
}

// tellLimit is how long a worker may take to read what it is told before it counts as stuck.
const tellLimit = 10 * time.Second

func (p *process) tell(o order) error {
	p.telling.Lock()
	defer p.telling.Unlock()
	if err := p.line.SetWriteDeadline(time.Now().Add(tellLimit)); err != nil {
		return err
	}
	if err := p.line.out.Encode(o); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.kill() // half an order has been sent: nothing can follow it
		}
		return err
	}
	return nil
}

// drain tells the worker to take no new connections and to end with the last one.
func (p *process) drain() { _ = p.tell(order{Drain: true}) } // one that cannot be told has ended

// release lets the worker end soon.
func (p *process) release() { p.line.Close() }

func (p *process) kill() { _ = syscall.Kill(p.pid, syscall.SIGKILL) }
