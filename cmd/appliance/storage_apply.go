package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/internal/remedy"
	"appliance/storage/disk"
)

func newStorageApply(a *app) *cobra.Command {
	var asJSON, all, yes bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make of the disks what the environment says",
		Long: `apply carries out what "appliance storage plan" shows, as a start does by itself. Each step is in a journal before it begins,
so that apply can be cut off at any point and run again. On a terminal it shows the plan and asks first.`,
		Example: "  appliance storage apply\n  appliance storage apply --yes --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.volumes(cmd, all)
			if err != nil {
				return err
			}
			plan, err := v.Plan(cmd.Context())
			if err == nil {
				err = plan.Hinders()
			}
			if err != nil {
				return err
			}
			if plan.Work() == "" && !asJSON {
				fmt.Fprintln(a.out, "Everything is as it should be.")
			}
			if plan.Work() != "" && !yes {
				if err := a.consent(plan); err != nil {
					return err
				}
			}
			return v.Apply(cmd.Context(), a.stepPrinter(asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each step as a line of JSON, as it begins and as it ends")
	cmd.Flags().BoolVar(&all, "all", false, "also make what is missing while every required filesystem is there")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) stepPrinter(asJSON bool) func(disk.Step) {
	if asJSON {
		lines := json.NewEncoder(a.out)
		return func(s disk.Step) { _ = lines.Encode(s) } // nobody reads it: the work goes on
	}
	return func(s disk.Step) {
		if s.State == disk.Done {
			fmt.Fprintf(a.out, "done     %s: %s\n", s.What, s.Why)
			return
		}
		fmt.Fprintf(a.out, "begins   %s: %s\n", s.What, s.Why)
	}
}

// consent shows the plan and asks. Where nobody can answer it is not given.
func (a *app) consent(plan disk.Plan) error {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return remedy.With(errors.New("cannot ask whether to go on: this is no terminal"), "give --yes after a look at `appliance storage plan`")
	}
	if err := printVolumes(a.out, plan); err != nil {
		return err
	}
	fmt.Fprint(a.out, "\nGo on? [y/N] ")
	answer, _ := bufio.NewReader(a.in).ReadString('\n') // the end of input is no yes
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
