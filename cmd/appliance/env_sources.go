package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/env/source"
	"appliance/env/yaml11"
	"appliance/phases"
)

func newEnvSources(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "Ask every source for an environment, and say what each answered",
		Long: `sources asks as a start does: files, seed drives, then the metadata services of clouds, in one order. The first that has an
environment wins; one that is broken ends the search, because the next could have the environment of somebody else.`,
		Example: "  appliance env sources",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := phases.Ask(cmd.Context(), a.config())
			if asJSON {
				return errors.Join(a.printJSON(askedSources{1, result}), err)
			}
			table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "SOURCE\tPLACE\tOUTCOME\tDETAIL\tTOOK")
			for _, v := range result.Sources {
				outcome := string(v.Outcome)
				if v.Cached {
					outcome = "cached"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.Source, v.Place, outcome, v.Detail, v.Took.Round(time.Millisecond))
			}
			return errors.Join(table.Flush(), err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answers as JSON")
	return cmd
}

// askedSources is what `env sources --json` prints.
type askedSources struct {
	Version int `json:"version"`
	source.Result
}

// config is for what only reads.
func (a *app) config() phases.Config {
	return phases.Config{System: a.system(), Log: a.logger()}
}

func newEnvDiff(a *app) *cobra.Command {
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Say what a reload would change in the environment",
		Long: `diff compares the active environment with what the sources and layers say now: + is new, - is gone, ~ has changed. Secrets
are hidden. A list counts as one value.`,
		Example: "  appliance env diff\n  appliance env diff --exit-code >/dev/null || appliance reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			active, err := phases.ActiveEnv(a.system())
			if err != nil {
				return err
			}
			next, err := phases.NextEnv(cmd.Context(), a.config())
			if err != nil {
				return err
			}
			d := compareEnvs(active, next)
			if asJSON {
				err = a.printJSON(d)
			} else {
				err = a.printDifference(d)
			}
			if err == nil && exitCode && len(d.Changes) > 0 {
				return exitStatus(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with status 1 when something differs")
	return cmd
}

// difference is what `env diff --json` prints.
type difference struct {
	Version int             `json:"version"`
	Origin  string          `json:"origin"` // of the environment that a reload would put in force
	Changes []changedValues `json:"changes"`
}

type changedValues struct {
	Path   string    `json:"path"`
	Before *envValue `json:"before,omitempty"`
	After  *envValue `json:"after,omitempty"`
}

func compareEnvs(active, next *env.Document) difference {
	d := difference{Version: 1, Origin: next.Origin, Changes: []changedValues{}}
	for _, change := range yaml11.Diff(active.Top, next.Top) {
		c := changedValues{Path: env.Dotted(change.Path)}
		if change.Before != nil {
			v := jsonValue(active, change.Path, change.Before)
			c.Before = &v
		}
		if change.After != nil {
			v := jsonValue(next, change.Path, change.After)
			c.After = &v
		}
		d.Changes = append(d.Changes, c)
	}
	return d
}

func (a *app) printDifference(d difference) error {
	if len(d.Changes) == 0 {
		_, err := fmt.Fprintln(a.out, "Nothing differs.")
		return err
	}
	var b strings.Builder
	for _, c := range d.Changes {
		switch {
		case c.Before == nil:
			fmt.Fprintf(&b, "+ %s: %s (%s:%d)\n", c.Path, c.After.Value, c.After.File, c.After.Line)
		case c.After == nil:
			fmt.Fprintf(&b, "- %s: %s\n", c.Path, c.Before.Value)
		default:
			fmt.Fprintf(&b, "~ %s: %s -> %s (%s:%d)\n", c.Path, c.Before.Value, c.After.Value, c.After.File, c.After.Line)
		}
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
