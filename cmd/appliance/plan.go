package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/phases"
)

func newPlan(a *app) *cobra.Command {
	var asJSON, useDefault bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a start or reload would change now, and why",
		Long: `plan checks every step of a start without taking any. It can change neither the host nor the engine: both are
opened so that they deny it.`,
		Example: "  appliance plan\n  appliance plan --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := a.plan(cmd.Context(), useDefault)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(plan)
			}
			if len(plan.Changes) == 0 {
				fmt.Fprintln(a.out, "Nothing would change.")
				return nil
			}
			table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "PHASE\tSTEP\tCHANGE\tWHY")
			for _, c := range plan.Changes {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Phase, c.Step, c.Action, c.Why)
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.Flags().BoolVar(&useDefault, "default", false, "without any environment, take the embedded default one")
	return cmd
}

// plan asks the supervisor, else makes the plan itself.
func (a *app) plan(ctx context.Context, useDefault bool) (api.Plan, error) {
	plan, err := a.client().Plan(ctx)
	if !errors.Is(err, api.ErrNoSupervisor) {
		return plan, err
	}
	sys, log := a.system(), a.logger()
	engine, err := a.openEngine(sys, log)
	if err != nil {
		return plan, err
	}
	defer engine.Close()
	return phases.Plan(ctx, phases.Config{System: sys, Engine: engine, Log: log, UseDefault: useDefault})
}
