package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
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
	appliance *phases.Appliance
}

const lockPath = "/run/appliance/lock"

func (a *app) supervise(ctx context.Context, useDefault bool) error {
	s := &supervisor{log: a.logger(), sys: a.system()}
	if err := s.claim(); err != nil {
		return err
	}
	engine, err := a.openEngine(s.sys, s.log)
	if err != nil {
		return err
	}
	defer engine.Close()
	s.appliance, err = phases.NewAppliance(phases.Config{System: s.sys, Engine: engine, Manager: s.notify, Log: s.log,
		Version: version(), UseDefault: useDefault, EngineWait: a.wait})
	if err != nil {
		return err
	}
	s.server = api.NewServer(s.appliance, s.log)
	go func() {
		if err := s.server.Serve(s.listener); err != nil {
			s.log.Error(err.Error())
		}
	}()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go s.signals(ctx, stop)
	go s.feedWatchdog(ctx)
	return s.finish(s.appliance.Run(ctx))
}

// claim becomes the one supervisor of this host: by what the process before handed over, or by lock and socket.
func (s *supervisor) claim() error {
	inherited, err := inherit()
	if err != nil {
		return err
	}
	if s.lock = inherited["lock"]; s.lock == nil {
		if s.lock, err = s.sys.Lock(lockPath); err != nil {
			return explainLock(err)
		}
	}
	if file := inherited["api"]; file != nil {
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

func (s *supervisor) signals(ctx context.Context, stop context.CancelCauseFunc) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(ch)
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-ch:
			if sig != syscall.SIGHUP {
				stop(errTerminated)
				return
			}
			if err := s.appliance.Reload(); err != nil {
				s.log.Warn(err.Error())
			}
		}
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
	case errors.Is(cause, phases.ErrReexec):
		return s.reexec()
	case errors.Is(cause, phases.ErrStop), errors.Is(cause, errTerminated):
		return s.shutdown(cause)
	}
	return cause
}

func (s *supervisor) shutdown(cause error) error {
	s.notify.Stopping()
	defer s.server.Close()
	ctx := context.Background() // the one that ended is the reason to be here
	restarting, err := systemd.Restarting(ctx)
	if err != nil {
		s.log.Warn("taking this for a stop, not a restart", "err", err)
	}
	if restarting {
		s.log.Info("restarting: the application goes on running")
		return nil
	}
	s.log.Info("stopping the application", "because", cause)
	s.notify.Status("stopping the application")
	if err := s.appliance.StopStack(ctx); err != nil {
		return err
	}
	return s.sys.Remove(api.SocketPath)
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
