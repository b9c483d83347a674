package main

import (
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
			var failed error
			err := a.client().Events(ctx, 0, func(e api.Event) bool {
				if asJSON {
					failed = a.printJSON(e)
				} else {
					_, failed = fmt.Fprintf(a.out, "%s %-8s %s\n", e.Time.Format(time.RFC3339), e.Kind, e.Text)
				}
				return failed == nil
			})
			if ctx.Err() != nil {
				return nil
			}
			if failed != nil {
				return failed
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each event as JSON")
	return cmd
}
