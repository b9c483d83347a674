package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/phases"
)

func newEnv(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "env",
		Short:   "Make, check, show, try and keep environments",
		Example: "  appliance env create box.example.org /app/env.yml\n  appliance env validate\n  appliance env explain appliance.domain",
	}
	cmd.AddCommand(newEnvValidate(a), newEnvFlatten(a), newEnvSchema(a),
		newEnvShow(a), newEnvExplain(a), newEnvSources(a), newEnvDiff(a), newEnvTry(a), newEnvConfirm(a), newEnvRevert(a),
		newEnvCreate(a), newEnvPackage(a), newEnvRecover(a))
	return cmd
}

func newEnvValidate(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Report everything that is wrong with an environment",
		Long: `validate holds FILE (- is standard input) against the schema and reports every problem with file, line and column. Without FILE
it takes what a start would take: the first source that has an environment, and the layers of this host over it.`,
		Example: "  appliance env validate\n  appliance env validate --json new-env.yml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := a.validateEnv(cmd.Context(), args)
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
				fmt.Fprintf(a.out, "%s is valid\n", report.origin)
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

	origin string
}

func (a *app) validateEnv(ctx context.Context, args []string) (envReport, error) {
	report := envReport{Version: 1, Problems: []env.Problem{}, Warnings: []env.Problem{}}
	doc, err := a.envToValidate(ctx, args)
	if err == nil {
		report.origin = doc.Origin
		report.Warnings = append(report.Warnings, doc.Warnings()...)
		err = doc.Validate()
	}
	if problems, ok := err.(*env.Report); ok { //nolint:errorlint // a bare report is about the document
		report.Problems, err = append(report.Problems, problems.Problems...), nil
	}
	if doc != nil && err == nil {
		report.Problems = append(report.Problems, phases.VaultProblems(doc, a.system().Now())...)
	}
	return report, err
}

func (a *app) envToValidate(ctx context.Context, args []string) (*env.Document, error) {
	if len(args) == 0 {
		return phases.NextEnv(ctx, a.config())
	}
	data, err := a.readInput(args[0])
	if err != nil {
		return nil, err
	}
	return env.Parse(args[0], data)
}

func (a *app) readInput(name string) ([]byte, error) {
	from := a.in
	if name != "-" && name != "" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, env.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", cmp.Or(name, "-"), err)
	}
	return data, nil
}

func newEnvSchema(a *app) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the environment, for editors",
		Example: "  appliance env schema > env.schema.json\n  appliance env schema --markdown | less",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text := env.Schema()
			if markdown {
				text = env.Manual()
			}
			_, err := a.out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print it as a page for people")
	return cmd
}
