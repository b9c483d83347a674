package bench

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/front"
	"appliance/internal/front/worker"
	"appliance/internal/system"
)

// answerSize is what the origin answers, in bytes.
const answerSize = 1024

// fronts are reverse proxies before one origin: ours and the peers that are installed.
type fronts struct {
	*suite
	id     identity
	origin string
	ours   *ownFront
	all    []contender // ours first
}

// newFronts starts the origin and ours before it.
func (s *suite) newFronts() *fronts {
	dir := s.tb.TempDir()
	f := &fronts{suite: s, id: newIdentity(s.tb, dir)}
	program := filepath.Join(dir, "origin")
	goBuild(s.tb, repository(s.tb), program, "./bench/internal/origin")
	f.origin = startOrigin(s.tb, program)
	f.ours = startOwnFront(s.tb, s.programs.appliance, front.State{
		Names: []string{"localhost"}, Certificate: &f.id.KeyPair, Open: true,
		Routes: []front.Route{{Path: "/", Service: "origin", Backends: []string{f.origin}, Timeout: time.Minute}},
	})
	f.ours.await(s.tb, f.id)
	f.all = []contender{f.ours.contender}
	return f
}

// invite starts the peers that are installed.
func (f *fronts) invite() {
	for _, name := range []string{"caddy", "nginx"} {
		if _, err := exec.LookPath(name); err != nil {
			f.report.note("%s is not installed (Debian's package of that name): not measured", name)
			continue
		}
		f.all = append(f.all, startPeer(f.tb, name, f.origin, f.id))
	}
}

// ownFront is our worker, kept by this process as its supervisor keeps it.
type ownFront struct {
	contender
	front *worker.Front
	state front.State
}

func startOwnFront(tb testing.TB, appliance string, state front.State) *ownFront {
	tb.Helper()
	accessLog, err := os.Create(filepath.Join(tb.TempDir(), "access.log"))
	if err != nil {
		tb.Fatal(err)
	}
	f := worker.New(worker.Config{
		System: system.New(system.Config{Root: "/"}), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Program: []string{appliance, "appliance"}, Env: os.Environ(), Owner: -1, Stderr: accessLog,
	})
	running, stop := context.WithCancel(context.Background())
	go f.Run(running)
	tb.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		f.Close(ctx)
		accessLog.Close()
		if text := readText(accessLog.Name()); tb.Failed() {
			tb.Logf("the end of the log of our front:\n%s", text[max(0, len(text)-4000):])
		}
	})
	if err := f.Listen(nil, []string{"127.0.0.1:0"}); err != nil {
		tb.Fatal(err)
	}
	own := &ownFront{contender{who: "appliance", address: f.Sockets()[0].Address, log: accessLog.Name()}, f, state}
	own.tell(tb)
	own.pid = f.PID()
	return own
}

// tell waits until the worker answers by the state.
func (o *ownFront) tell(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	o.front.Tell(o.state)
	if err := o.front.Settle(ctx); err != nil {
		tb.Fatal(err)
	}
}

// requireNoLess holds the row's median, of which more is better, against a peer's.
func (row *Row) requireNoLess(peer *Row) {
	if peer == nil {
		return
	}
	factor := peer.Median / row.Median
	row.Requirement = &Requirement{Text: "≥ " + peer.Who, Limit: peer.Median, Factor: factor, Pass: factor <= 1}
}

// noise is what else the machine does: the load averages before the turns.
type noise []float64

func (n *noise) look(tb testing.TB) {
	tb.Helper()
	first, _, _ := strings.Cut(readText("/proc/loadavg"), " ")
	average, err := strconv.ParseFloat(first, 64)
	if err != nil {
		tb.Fatal(err)
	}
	*n = append(*n, average)
}

// openFiles is how many a process may have open; a Go program raises its own bound to that by itself.
func openFiles(tb testing.TB) uint64 {
	tb.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		tb.Fatal(err)
	}
	return limit.Max
}
