package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/env/flat"
	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/front/worker"
	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/internal/systemd"
	"appliance/phases"
)

type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is what every command works with.
type app struct {
	stdio
	root    string
	host    string        // of the engine
	wait    time.Duration // for the engine
	observe system.Observer
}

// exitStatus ends the program with a status of its own, silently.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// run runs the command line, which begins with the name of the program, and returns the exit status. Under the name
// flatyaml it is that program. observe, if any, sees every effect on the host.
func run(ctx context.Context, args []string, io stdio, observe system.Observer) int {
	if filepath.Base(args[0]) == "flatyaml" {
		return flat.Main(args[1:], io.in, io.out, io.err)
	}
	if len(args) > 1 && args[1] == worker.Command {
		return runWorker(args[2:], io)
	}
	// Modes are given explicitly; a directory that is cut off before its own must not stay shut.
	syscall.Umask(0o022)
	if slices.Contains(args, "vault") {
		stayLean() // before anything else is taken
	}
	cmd := newRoot(&app{stdio: io, observe: observe})
	cmd.SetArgs(args[1:])
	err := cmd.ExecuteContext(ctx)
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(io.err, "appliance: %v\n", err)
	if todo := remedy.Of(err); todo != "" {
		fmt.Fprintf(io.err, "To do: %s.\n", todo)
	}
	return 1
}

// runWorker is the front's worker; its supervisor gives it sockets, and nobody calls it by hand.
func runWorker(kinds []string, io stdio) int {
	log := slog.New(systemd.NewLogHandler(io.err, os.Getenv("JOURNAL_STREAM") != ""))
	if err := worker.Main(kinds, log); err != nil {
		log.Error(err.Error())
		return 1
	}
	return 0
}

func newRoot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "appliance",
		Short: "Turn a host with a container engine into a self-updating appliance",
		Long: `appliance prepares a host from one env.yml, brings a compose project up on its container engine, watches over
its health, and keeps all that through restarts, crashes and power cuts.`,
		Example:       "  appliance run                  # what appliance.service does\n  appliance status --watch       # how it is doing, live",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetIn(a.in)
	cmd.SetOut(a.out)
	cmd.SetErr(a.err)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return remedy.With(err, fmt.Sprintf("see `%s --help`", cmd.CommandPath()))
	})
	cmd.PersistentFlags().StringVar(&a.root, "root", "/", "work on this directory instead of the whole machine")
	cmd.PersistentFlags().StringVar(&a.host, "engine", "", "address of the container engine (default $DOCKER_HOST, else unix:///var/run/docker.sock)")
	cmd.PersistentFlags().DurationVar(&a.wait, "engine-wait", phases.EngineWait, "how long to wait for an engine that does not answer yet")
	cmd.AddCommand(newRun(a), newPhase(a), newStatus(a), newEvents(a), newPlan(a), newClear(a), newReload(a), newStop(a),
		newCert(a), newStorage(a), newVault(a), newUI(a), newInstall(a), newEnv(a), newVersion(a), newMan(a))
	return cmd
}

func (a *app) system() *system.System {
	return system.New(system.Config{Root: a.root, Observe: a.observe})
}

func (a *app) logger() *slog.Logger { return slog.New(a.journal()) }

// loggerTo returns a logger that also writes to another handler.
func (a *app) loggerTo(also slog.Handler) *slog.Logger {
	return slog.New(slog.NewMultiHandler(a.journal(), also))
}

func (a *app) journal() slog.Handler {
	return systemd.NewLogHandler(a.err, os.Getenv("JOURNAL_STREAM") != "")
}

func (a *app) openEngine(sys *system.System, log *slog.Logger) (*compose.Engine, error) {
	return compose.Open(compose.Config{System: sys, Host: a.host, Log: log})
}

// alone does something with host and engine while no supervisor can run.
func (a *app) alone(do func(phases.Config) error) error {
	sys, log := a.system(), a.logger()
	lock, err := sys.Lock(lockPath)
	if err != nil {
		return explainLock(err)
	}
	defer lock.Close()
	engine, err := a.openEngine(sys, log)
	if err != nil {
		return err
	}
	defer engine.Close()
	return do(phases.Config{System: sys, Engine: engine, Manager: systemd.Notifier{}, Log: log, Version: version(), EngineWait: a.wait})
}

func (a *app) client() *api.Client { return api.NewClient(a.system()) }

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
