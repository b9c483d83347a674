package main

import (
	"github.com/spf13/cobra"

	"appliance/phases"
)

func newPhase(a *app) *cobra.Command {
	var useDefault bool
	cmd := &cobra.Command{
		Use:       "phase NAME",
		Short:     "Run one phase by itself and end",
		Long:      "phase runs the steps of one phase on what the phases before it left on the host. No supervisor may be running.",
		Example:   "  appliance phase prepare-env",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"prepare-env", "prepare-appliance", "prepare-ecs", "run", "cleanup"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.alone(func(cfg phases.Config) error {
				cfg.UseDefault = useDefault
				return phases.Single(cmd.Context(), cfg, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&useDefault, "default", false, "without any environment, take the embedded default one")
	return cmd
}
