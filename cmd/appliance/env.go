package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/env/flat"
	"appliance/phases"
)

func newEnv(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "env",
		Short:   "Check and show environments",
		Example: "  appliance env validate /app/env.yml",
	}
	cmd.AddCommand(newEnvValidate(a), newEnvFlatten(a), newEnvSchema(a))
	return cmd
}

func newEnvValidate(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "validate [FILE]",
		Short:   "Report everything that is wrong with an environment",
		Long:    "validate holds FILE (by default /app/env.yml, - is standard input) against the schema and reports every problem with file, line and column.",
		Example: "  appliance env validate\n  appliance env validate --json new-env.yml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := a.system().Path(phases.EnvPath)
			if len(args) == 1 {
				name = args[0]
			}
			report, err := a.validateEnv(name)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(report)
			}
			if len(report.Problems) > 0 && err == nil {
				if !asJSON {
					return &env.Report{Problems: report.Problems}
				}
				return exitStatus(1)
			}
			if !asJSON {
				for _, warning := range report.Warnings {
					fmt.Fprintln(a.out, "warning:", warning)
				}
				fmt.Fprintf(a.out, "%s is valid\n", name)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// envReport is what `env validate --json` prints.
type envReport struct {
	Version  int           `json:"version"`
	Problems []env.Problem `json:"problems"`
	Warnings []env.Problem `json:"warnings"`
}

func (a *app) validateEnv(name string) (envReport, error) {
	report := envReport{Version: 1, Problems: []env.Problem{}, Warnings: []env.Problem{}}
	data, err := a.readInput(name)
	if err != nil {
		return report, err
	}
	doc, err := env.Parse(name, data)
	if err == nil {
		report.Warnings = append(report.Warnings, doc.Warnings()...)
		err = doc.Validate()
	}
	if problems, ok := err.(*env.Report); ok { //nolint:errorlint // both answer a bare report
		report.Problems, err = append(report.Problems, problems.Problems...), nil
	}
	return report, err
}

func (a *app) readInput(name string) ([]byte, error) {
	if name == "-" || name == "" {
		return io.ReadAll(io.LimitReader(a.in, env.MaxSize+1))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, env.MaxSize+1))
}

func newEnvFlatten(a *app) *cobra.Command {
	var file, prefix, postfix, combine, assign string
	cmd := &cobra.Command{
		Use:   "flatten KEYS",
		Short: "Print an environment as shell variables",
		Long: "flatten prints the leaves below the comma-separated top-level KEYS (. is all) as KEY_SUBKEY=value, a line each, sorted within each key. " +
			"Values are quoted for a shell, names are not: do not let a shell source what `appliance env validate` has remarks on.",
		Example: "  appliance env flatten ecs,appliance < /app/env.yml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := a.readInput(file)
			if err != nil {
				return err
			}
			name := file
			if name == "" {
				name = "standard input"
			}
			doc, err := env.Parse(name, data)
			if err != nil {
				return err
			}
			vars, err := flat.Flatten(doc.Top, combine, strings.Split(args[0], ",")...)
			if err != nil {
				return err
			}
			return flat.WriteShell(a.out, vars, flat.Prefix(prefix), flat.Postfix(postfix), flat.Assign(assign))
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "read this file instead of standard input")
	cmd.Flags().StringVar(&prefix, "prefix", "", "text before each line, such as \"export \"")
	cmd.Flags().StringVar(&postfix, "postfix", "", "text after each value")
	cmd.Flags().StringVar(&combine, "combine", "_", "text between the parts of a name")
	cmd.Flags().StringVar(&assign, "assign", "=", "text between name and value")
	return cmd
}

func newEnvSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the environment, for editors",
		Example: "  appliance env schema > env.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(env.Schema())
			return err
		},
	}
}
