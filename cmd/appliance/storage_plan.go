package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"appliance/internal/remedy"
	"appliance/phases"
	"appliance/storage/disk"
)

func newStoragePlan(a *app) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what would be made of the disks, step by step, and why",
		Long: `plan looks at the disks and holds them against appliance.storage.setup, as a start does. It changes nothing.
A device that holds anything is refused, unless its disk's serial number stands in appliance.storage.overwrite.
While every required filesystem (ecs-data, ecs-volatile) is there, a start makes nothing new; --all plans for all that is missing.
The exit status is 0 when the plan can be carried out, 1 when not.`,
		Example: "  appliance storage plan\n  appliance storage plan --json | jq -r '.steps[] | select(.state != \"done\") | .what'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.volumes(cmd, all)
			if err != nil {
				return err
			}
			plan, err := v.Plan(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(plan)
			} else {
				err = printVolumes(a.out, plan)
			}
			return errors.Join(err, plan.Hinders())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also make what is missing while every required filesystem is there")
	return cmd
}

// volumes are those of the environment that a start would take now.
func (a *app) volumes(cmd *cobra.Command, all bool) (*disk.Volumes, error) {
	v, err := phases.Volumes(cmd.Context(), a.config(), all)
	if err == nil && os.Geteuid() != 0 {
		err = remedy.With(errors.New("cannot look at the disks: only root may read them"), fmt.Sprintf("run `sudo %s`", cmd.CommandPath()))
	}
	return v, err
}

func printVolumes(w io.Writer, plan disk.Plan) error {
	var b strings.Builder
	if len(plan.Absent) > 0 {
		fmt.Fprintf(&b, "Required, and not there: %s\n\n", strings.Join(plan.Absent, ", "))
	}
	for _, tool := range plan.Missing {
		fmt.Fprintf(&b, "missing  the program %s; Debian has it in the package %s\n", tool.Program, tool.Package)
	}
	for _, step := range plan.Steps {
		fmt.Fprintf(&b, "%-8s %s: %s\n", step.State, step.What, step.Why)
		if step.State == disk.Done {
			continue
		}
		if d := step.Device; d != nil {
			fmt.Fprintf(&b, "         on %s, %s\n", cmp.Or(d.ByID, d.Path), describeDevice(d))
		}
		for _, command := range step.Commands {
			fmt.Fprintf(&b, "         + %s\n", command)
		}
	}
	if len(plan.Steps) == 0 && len(plan.Missing) == 0 {
		b.WriteString("appliance.storage asks for nothing.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// describeDevice says what a device is, as somebody sees it who stands before the machine.
func describeDevice(d *disk.Device) string {
	parts := []string{fmt.Sprintf("%.1f GiB", float64(d.Size)/(1<<30))}
	if d.Model != "" {
		parts = append(parts, "model "+d.Model)
	}
	if d.Serial != "" {
		parts = append(parts, "serial "+d.Serial)
	}
	if d.ByID != "" {
		parts = append(parts, "now "+d.Path)
	}
	return strings.Join(parts, ", ")
}
