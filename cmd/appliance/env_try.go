package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/phases"
)

func newEnvTry(a *app) *cobra.Command {
	var during time.Duration
	var noWait bool
	cmd := &cobra.Command{
		Use:   "try FILE",
		Short: "Put an environment in force for a time, and go back unless it is confirmed",
		Long: `try checks FILE (- is standard input), says what it would change, and walks with it in the place of what the sources have; the
layers of this host are laid over it as ever. Unless ` + "`appliance env confirm`" + ` is called in time, the appliance goes back by itself:
when the time is over, when what was tried fails, and at the next boot, so after a power cut too.`,
		Example: "  appliance env try new-env.yml --for 10m\n  appliance env confirm",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := a.readInput(args[0])
			if err != nil {
				return err
			}
			if err := a.checkTrial(args[0], data); err != nil {
				return err
			}
			return a.tryEnv(cmd.Context(), data, during, noWait)
		},
	}
	cmd.Flags().DurationVar(&during, "for", 10*time.Minute, "how long, from now on")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until the appliance has come to rest with it")
	return cmd
}

// checkTrial finds what is wrong with an environment as the supervisor would, but names the file as the operator did.
func (a *app) checkTrial(name string, data []byte) error {
	doc, err := env.Parse(name, data)
	if err == nil {
		doc, err = phases.Layered(a.config(), doc)
	}
	if err != nil {
		return err
	}
	return doc.Validate()
}

func (a *app) tryEnv(ctx context.Context, data []byte, during time.Duration, noWait bool) error {
	before, err := a.client().Status(ctx)
	if err != nil {
		return err
	}
	trial, err := a.client().Try(ctx, data, during)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	for _, c := range trial.Changes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Phase, c.Step, c.Action, c.Why)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	confirm := fmt.Sprintf("It is being tried until %s. Keep it with `appliance env confirm`, or it goes back by itself; `appliance env revert` goes back now.",
		trial.Until.Local().Format(time.TimeOnly))
	if noWait {
		fmt.Fprintln(a.out, confirm)
		return nil
	}
	after, err := a.awaitRest(ctx, before)
	if err != nil {
		return err
	}
	if after.Trial != nil && after.Trial.Outcome != "" {
		return remedy.With(errors.New("cannot keep this environment: the appliance went back: "+after.Trial.Outcome), "look at `appliance events` and mend it")
	}
	fmt.Fprintln(a.out, after.Summary)
	fmt.Fprintln(a.out, confirm)
	return verdict(after)
}

func newEnvConfirm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm",
		Short: "Keep the environment that is being tried",
		Long: `confirm writes what is being tried to /app/env.yml (or the file that ENV_YML names), which is asked before any drive or cloud,
and keeps what was there beside it as env.yml.before. The appliance must be healthy with it.`,
		Example: "  appliance env confirm",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.request(cmd.Context(), "confirm", false) },
	}
}

func newEnvRevert(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "revert",
		Short:   "Go back from the environment that is being tried, now",
		Example: "  appliance env revert",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.request(cmd.Context(), "revert", false) },
	}
}
