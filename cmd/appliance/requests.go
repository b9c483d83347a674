package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/phases"
)

func newClear(a *app) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:     "clear",
		Short:   "Remove the failed flag and try again",
		Long:    "clear takes /run/appliance-failed away, after its cause is mended, and waits for how the next try ends.",
		Example: "  appliance clear",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.request(cmd.Context(), "clear", noWait)
			if !errors.Is(err, api.ErrNoSupervisor) {
				return err
			}
			return a.clearRecord()
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for how the try ends")
	return cmd
}

// clearRecord leaves the order for the next supervisor.
func (a *app) clearRecord() error {
	failed := false
	err := a.alone(func(cfg phases.Config) (err error) {
		failed, err = phases.ClearRecord(cfg)
		return err
	})
	if err != nil {
		return err
	}
	if failed {
		fmt.Fprintln(a.out, "No supervisor is running; the next one tries again.")
	} else {
		fmt.Fprintln(a.out, "There is nothing to clear: the appliance has not failed.")
	}
	return nil
}

func newReload(a *app) *cobra.Command {
	var noWait, exec bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Walk again from the environment on",
		Long: `reload reads the environment and the compose project again and brings the application to what they say.
With --exec the supervisor first replaces itself by the binary on disk, in place: same PID, and no container is touched.`,
		Example: "  appliance reload\n  appliance reload --exec",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if exec {
				return a.request(cmd.Context(), "reexec", noWait)
			}
			return a.request(cmd.Context(), "reload", noWait)
		},
	}
	cmd.Flags().BoolVar(&exec, "exec", false, "replace the supervisor's process in place")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until it is done")
	return cmd
}

func newStop(a *app) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the application and the supervisor",
		Long: `stop stops the containers within their stop timeout and ends the supervisor. Data, containers and images stay.
With --remove the containers and networks of the application go too; volumes, data and images stay all the same.`,
		Example: "  appliance stop",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			err := a.stop(ctx)
			if !remove {
				return err
			}
			if err != nil && !errors.Is(err, api.ErrNoSupervisor) {
				return err
			}
			return a.alone(func(cfg phases.Config) error { return phases.RemoveStack(ctx, cfg) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the containers and networks as well")
	return cmd
}

// stop ends the supervisor and returns when nobody listens any more.
func (a *app) stop(ctx context.Context) error {
	if _, err := a.client().Post(ctx, "stop"); err != nil {
		return err
	}
	for {
		if _, err := a.client().Status(ctx); errors.Is(err, api.ErrNoSupervisor) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// request posts an action and waits until the appliance has come to rest again.
func (a *app) request(ctx context.Context, action string, noWait bool) error {
	before, err := a.client().Status(ctx)
	if err != nil {
		return err
	}
	if _, err := a.client().Post(ctx, action); err != nil {
		return err
	}
	if noWait {
		return nil
	}
	after, err := a.awaitRest(ctx, before)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, after.Summary)
	return verdict(after)
}

// betweenProcesses is how long one supervisor may take to follow another.
const betweenProcesses = 30 * time.Second

// awaitRest waits for a state to stay in that was entered after before.
func (a *app) awaitRest(ctx context.Context, before api.Status) (api.Status, error) {
	seen, show := time.Now(), a.progress()
	for {
		status, err := a.client().Status(ctx)
		switch {
		case errors.Is(err, api.ErrNoSupervisor) && time.Since(seen) < betweenProcesses:
		case err != nil:
			return status, err
		case status.Since.After(before.Since) && status.Resting:
			return status, nil
		default:
			seen = time.Now()
			show(status)
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
