package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/internal/front/worker"
	"appliance/internal/system"
	"appliance/internal/systemd"
	"appliance/phases"
)

func newRun(a *app) *cobra.Command {
	var useDefault bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Prepare the host, bring the application up and watch over it",
		Long: `run is the supervisor. It walks prepare-env, prepare-appliance, prepare-ecs, run, cleanup, and stays: in run while the
application is healthy, in standby when the environment says so, in failed until the failed flag is removed.
SIGHUP walks again from the environment on. SIGTERM stops the application and ends; a restart by systemd leaves it running.`,
		Example: "  appliance run\n  appliance --root /tmp/try run --default",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.supervise(cmd.Context(), useDefault)
		},
	}
	cmd.Flags().BoolVar(&useDefault, "default", false, "without any environment, take the embedded default one")
	return cmd
}

// supervisor is a running `appliance run`.
type supervisor struct {
	log       *slog.Logger
	sys       *system.System
	notify    systemd.Notifier
	lock      *os.File
	listener  *net.UnixListener
	server    *api.Server
	front     *worker.Front
	inherited map[string]*os.File // from the process before, not yet taken over
	appliance *phases.Appliance

	signals    chan os.Signal
	terminated atomic.Bool // by a signal
}

const lockPath = "/run/appliance/lock"

func (a *app) supervise(ctx context.Context, useDefault bool) error {
	ownLog := api.NewLog()
	s := &supervisor{log: a.loggerTo(systemd.NewLogHandler(ownLog, true)), sys: a.system(), signals: make(chan os.Signal, 8)}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // for good: none of them may end us half-way
	keepToOurselves()
	if err := s.claim(); err != nil {
		return err
	}
	engine, err := a.openEngine(s.sys, s.log)
	if err != nil {
		return err
	}
	defer engine.Close()
	if s.front, err = s.openFront(a.err); err != nil {
		return err
	}
	go s.front.Run(ctx)
	s.appliance, err = phases.NewAppliance(phases.Config{System: s.sys, Engine: engine, Manager: s.notify, Log: s.log,
		Version: version(), UseDefault: useDefault, EngineWait: a.wait, Front: s.front,
		Replaceable: func(ctx context.Context) error { return checkBinary(ctx, s.sys) }})
	if err != nil {
		return err
	}
	s.server = api.NewServer(api.Config{Backend: s.appliance, Log: s.log, OwnLog: ownLog})
	go func() {
		if err := s.server.Serve(s.listener); err != nil {
			s.log.Error(err.Error())
		}
	}()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go s.obey(stop)
	go s.recall(ctx)
	go s.feedWatchdog(ctx)
	return s.finish(s.appliance.Run(ctx))
}

// claim becomes the one supervisor of this host: by what the process before handed over, or by lock and socket.
func (s *supervisor) claim() error {
	var err error
	if s.inherited, err = inherit(); err != nil {
		return err
	}
	if s.lock = s.inherited["lock"]; s.lock == nil {
		if s.lock, err = s.sys.Lock(lockPath); err != nil {
			return explainLock(err)
		}
	}
	if file := s.inherited["api"]; file != nil {
		defer file.Close()
		l, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("cannot take over the API socket: %w", err)
		}
		s.listener = l.(*net.UnixListener)
		return nil
	}
	s.listener, err = api.Listen(s.sys)
	return err
}

// errTerminated is the cause of an end by signal.
var errTerminated = errors.New("terminated by signal")

// obey follows signals to the end of the process: the first order to end is obeyed, those after it change nothing.
func (s *supervisor) obey(stop context.CancelCauseFunc) {
	for sig := range s.signals {
		switch {
		case s.terminated.Load():
			s.log.Info("already stopping", "signal", sig)
		case sig == syscall.SIGHUP:
			if err := s.appliance.Reload(); err != nil {
				s.log.Warn(err.Error())
			}
		default:
			s.terminated.Store(true)
			stop(errTerminated)
		}
	}
}

// recall gives an order to end that came while the process was being replaced, and that the program before us has taken
// along: systemd has the job for it.
func (s *supervisor) recall(ctx context.Context) {
	if s.inherited["lock"] == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ending, err := systemd.Ending(ctx)
	if err != nil {
		s.log.Warn("an order to end that came during the replacement is not seen", "err", err)
	}
	if ending {
		s.signals <- syscall.SIGTERM
	}
}

// feedWatchdog says that we are alive as long as the state can be read: a supervisor stuck on its own locks is not.
func (s *supervisor) feedWatchdog(ctx context.Context) {
	interval := s.notify.WatchdogInterval()
	if interval == 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		s.appliance.Status()
		s.notify.Alive()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// finish does what the end of the walk asks for.
func (s *supervisor) finish(cause error) error {
	switch {
	case cause == nil:
		return s.reboot()
	case errors.Is(cause, phases.ErrReexec) && !s.terminated.Load():
		if err := s.reexec(); !errors.Is(err, errTerminated) {
			return err
		}
		return s.shutdown(errTerminated)
	case errors.Is(cause, phases.ErrStop), s.terminated.Load():
		return s.shutdown(cause)
	}
	return cause
}

func (s *supervisor) shutdown(cause error) error {
	s.notify.Stopping()
	defer s.server.Close()
	ctx := context.Background() // the one that ended is the reason to be here
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stopping, err := systemd.Stopping(asking)
	if err != nil {
		s.log.Warn("taking this for a stop, not a restart", "err", err)
	}
	defer s.closeFront()
	if !stopping {
		s.log.Info("to be started again: the application goes on running")
		return nil
	}
	s.log.Info("stopping the application", "because", cause)
	s.notify.Status("stopping the application")
	s.appliance.Leave(ctx)
	return errors.Join(s.appliance.StopStack(ctx), s.sys.Remove(api.SocketPath))
}

func (s *supervisor) reboot() error {
	s.server.Close()
	if !s.sys.Real() {
		s.log.Info("a reboot is due; a directory cannot be rebooted", "root", s.sys.Root())
		return nil
	}
	_, err := s.sys.Command(context.Background(), "systemctl", "reboot")
	return err
}
