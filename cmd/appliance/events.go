package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
)

func newEvents(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Follow what happens",
		Long:    "events prints what the supervisor still remembers of what happened, and goes on with what happens, until it is interrupted.",
		Example: "  appliance events\n  appliance events --json | jq .text",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return a.followEvents(ctx, func(e api.Event) error {
				if asJSON {
					return a.printJSON(e)
				}
				_, err := fmt.Fprintf(a.out, "%s %-8s %s\n", e.Time.Format(time.RFC3339), e.Kind, e.Text)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each event as JSON")
	return cmd
}

// followEvents hands every event to show until ctx ends, over replacements of the supervisor.
func (a *app) followEvents(ctx context.Context, show func(api.Event) error) error {
	var last uint64
	var failed error
	seen := time.Time{} // when a supervisor last answered
	for {
		err := a.client().Events(ctx, last, func(e api.Event) bool {
			last, seen = e.ID, time.Now()
			failed = show(e)
			return failed == nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case failed != nil:
			return failed
		case err != nil && time.Since(seen) > betweenProcesses:
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
