package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/phases"
)

// troubled is the exit status of `appliance status` for an appliance that has failed or is out of health.
const troubled = exitStatus(3)

func newStatus(a *app) *cobra.Command {
	var asJSON, watch bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the appliance is doing",
		Long: `status asks the supervisor, or answers from its record when none is running.
The exit status is 0 when all is well or under way, 3 when the appliance has failed or is out of health, 1 when nothing can be told.`,
		Example: "  appliance status\n  appliance status --json\n  appliance status --watch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watchStatus(cmd.Context())
			}
			status, err := a.statusAtRest(cmd.Context(), wait)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(status)
			} else {
				err = printStatus(a.out, status)
			}
			return errors.Join(err, verdict(status))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait so long at the most until a start has ended, well or badly")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it live, with a bar for each service")
	return cmd
}

func verdict(s api.Status) error {
	if s.State == string(phases.Failed) || s.State == string(phases.Run) && s.Supervisor != nil && !s.Healthy && s.Step == "" {
		return troubled
	}
	return nil
}

// statusAtRest is status once the supervisor has come to rest, or after wait as it is then.
func (a *app) statusAtRest(ctx context.Context, wait time.Duration) (api.Status, error) {
	end := time.After(wait)
	show := a.progress()
	for {
		status, err := a.status(ctx)
		if wait > 0 && err == nil {
			show(status)
		}
		if wait == 0 || err != nil || status.Resting {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-end:
			return status, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// progress returns what tells, on standard error, each new line of a status that is being waited for.
func (a *app) progress() func(api.Status) {
	last := ""
	return func(s api.Status) {
		if s.Summary != last && !s.Resting {
			fmt.Fprintln(a.err, s.Summary)
		}
		last = s.Summary
	}
}

// status asks the supervisor, else the record.
func (a *app) status(ctx context.Context) (api.Status, error) {
	status, err := a.client().Status(ctx)
	if !errors.Is(err, api.ErrNoSupervisor) {
		return status, err
	}
	rec, loadErr := machine.NewStore(a.system(), phases.StateDir, a.logger()).Load()
	if loadErr != nil {
		return status, remedy.With(fmt.Errorf("cannot tell the status: %w, and %w", err, loadErr), "ask as root")
	}
	status = phases.StatusOf(rec)
	status.Summary = "not running; last known: " + status.Summary
	return status, nil
}

func printStatus(w io.Writer, s api.Status) error {
	fmt.Fprintln(w, s.Summary)
	if !s.Since.IsZero() {
		fmt.Fprintf(w, "  since        %s (%s)\n", s.Since.Format(time.DateTime), time.Since(s.Since).Round(time.Second))
	}
	if s.Env != nil {
		fmt.Fprintf(w, "  environment  %s (sha256 %.12s)\n", s.Env.Origin, s.Env.SHA256)
	}
	if s.Supervisor != nil {
		fmt.Fprintf(w, "  supervisor   PID %d, version %s\n", s.Supervisor.PID, s.Supervisor.Version)
	}
	if t := s.Trial; t != nil && t.Outcome == "" {
		fmt.Fprintf(w, "  on trial     until %s: `appliance env confirm` keeps the environment\n", t.Until.Local().Format(time.DateTime))
	}
	if t := s.Trial; t != nil && t.Outcome != "" {
		fmt.Fprintf(w, "  last trial   %s\n", t.Outcome)
	}
	for _, url := range s.URLs {
		fmt.Fprintf(w, "  reachable    %s\n", url)
	}
	if f := s.Failure; f != nil {
		fmt.Fprintf(w, "  failure      %s %s: %s\n", f.Phase, f.Step, f.Cause)
		fmt.Fprintf(w, "  first seen   %s, tried %d times\n  to do        %s\n", f.First.Format(time.DateTime), f.Tries, f.ToDo)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "  warning      %s (since %s)\n", warning.Text, warning.Since.Local().Format(time.DateTime))
		if warning.Remedy != "" {
			fmt.Fprintf(w, "  to do        %s\n", warning.Remedy)
		}
	}
	if len(s.Services) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\nSERVICE\tSTATE\tHEALTH\tUP\tRESTARTS\tCONTAINER\tIMAGE")
	for _, service := range s.Services {
		for _, c := range service.Containers {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%.12s\t%s\n", service.Name, c.State, c.Health,
				time.Since(c.Started).Round(time.Second), c.Restarts, c.ID, c.Image)
		}
		if len(service.Containers) == 0 {
			fmt.Fprintf(table, "%s\tabsent\t\t\t\t\t\n", service.Name)
		}
	}
	return table.Flush()
}
