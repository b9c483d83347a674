package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/env"
	"appliance/env/yaml11"
	"appliance/internal/remedy"
	"appliance/phases"
)

// envValue is one value in what the env commands print as JSON. Secrets are not in it.
type envValue struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

func newEnvShow(a *app) *cobra.Command {
	var origin, reveal, asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the active environment",
		Long: `show prints the environment that is in force, all its layers merged, with secrets hidden. --origin adds the file and line
that each value comes from. --reveal shows the secrets too, on a terminal only: what is piped or recorded stays without.`,
		Example: "  appliance env show --origin",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if reveal && !a.onTerminal() {
				return remedy.With(errors.New("cannot reveal secrets: standard output is no terminal"), "call it without a pipe, or read "+phases.ActiveEnvPath+" as root")
			}
			doc, err := phases.ActiveEnv(a.system())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(shownEnv(doc))
			}
			var remark func(*yaml11.Value) string
			if origin {
				remark = func(v *yaml11.Value) string { return place(v) }
			}
			text, err := doc.Show(reveal, remark)
			if err != nil {
				return err
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show secrets, on a terminal")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the values as JSON, secrets hidden")
	cmd.MarkFlagsMutuallyExclusive("json", "reveal")
	return cmd
}

func (a *app) onTerminal() bool {
	file, ok := a.out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func place(v *yaml11.Value) string { return fmt.Sprintf("%s:%d", v.File, v.Line) }

// shownEnvironment is what `env show --json` prints.
type shownEnvironment struct {
	Version int        `json:"version"`
	Layers  []string   `json:"layers"` // the base first
	Values  []envValue `json:"values"`
}

func shownEnv(doc *env.Document) shownEnvironment {
	shown := shownEnvironment{Version: 1, Values: []envValue{}}
	for _, layer := range doc.Layers() {
		shown.Layers = append(shown.Layers, layer.Origin)
	}
	doc.Walk(func(path []string, v *yaml11.Value) {
		shown.Values = append(shown.Values, jsonValue(doc, path, v))
	})
	return shown
}

func jsonValue(doc *env.Document, path []string, v *yaml11.Value) envValue {
	text, secret := doc.Brief(path, v)
	return envValue{env.Dotted(path), text, secret, v.File, v.Line}
}

func newEnvExplain(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain KEY",
		Short: "Say what a key means, what its value is, and where that comes from",
		Long: `explain tells of a key such as appliance.domain what it is for, what may stand there, its value in the active environment
(unless it is a secret), the file and line it comes from, and what other layers say of it.`,
		Example:           "  appliance env explain appliance.domain\n  appliance env explain 'appliance.extra.files[0].path'",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKey,
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.explainKey(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(e)
			}
			return a.printExplanation(e)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// completeKey offers the keys that the schema has.
func completeKey(_ *cobra.Command, args []string, begun string) (keys []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, d := range env.Known() {
		if strings.HasPrefix(d.Path, begun) {
			keys = append(keys, cobra.CompletionWithDesc(d.Path, d.Title))
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}

// explanation is what `env explain --json` prints.
type explanation struct {
	Version     int        `json:"version"`
	Path        string     `json:"path"`
	Given       []envValue `json:"given"` // by the layers, the one that counts first
	Known       bool       `json:"known"` // the schema has the key
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        string     `json:"type,omitempty"`
	Default     string     `json:"default,omitempty"`
	Examples    []string   `json:"examples,omitempty"`
	Variables   []string   `json:"variables,omitempty"`
	Notes       []string   `json:"notes,omitempty"`
}

// explainKey explains a key by the schema and, if there is one, by the active environment.
func (a *app) explainKey(key string) (explanation, error) {
	e := explanation{Version: 1, Given: []envValue{}}
	path := env.Path(key)
	doc, err := phases.ActiveEnv(a.system())
	if err == nil {
		if found, _, ok := doc.Find(key); ok {
			path = found
		}
		for _, given := range doc.Given(path) {
			e.Given = append(e.Given, jsonValue(doc, path, given.Value))
		}
	} else {
		e.Notes = append(e.Notes, err.Error())
	}
	e.Path = env.Dotted(path)
	d, known := env.Describe(path...)
	if !known && len(e.Given) == 0 {
		err := fmt.Errorf("cannot explain %s: nothing says it, and the schema does not have it", key)
		if d.Suggestion != "" {
			return e, remedy.With(err, "did you mean "+d.Suggestion+"?")
		}
		return e, remedy.With(err, "see `appliance env show` and `appliance env schema`")
	}
	e.Known, e.Title, e.Description, e.Type, e.Default, e.Examples, e.Variables = known, d.Title, d.About, d.Type, d.Default, d.Examples, d.Variables
	for _, note := range []struct {
		holds bool
		text  string
	}{{d.Secret, "it is a secret"}, {d.Deprecated, "it is out of use"}, {d.Pending, "the appliance does not act upon it yet"}} {
		if note.holds {
			e.Notes = append(e.Notes, note.text)
		}
	}
	return e, nil
}

func (a *app) printExplanation(e explanation) error {
	table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, e.Path)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(table, "  %s\t%s\n", name, strings.ReplaceAll(text, "\n", "\n\t"))
		}
	}
	for i, given := range e.Given {
		name := "value"
		if i > 0 {
			name = "instead of"
		}
		line(name, fmt.Sprintf("%s (%s:%d)", given.Value, given.File, given.Line))
	}
	if len(e.Given) == 0 {
		line("value", "not given")
	}
	line("default", e.Default)
	line("title", e.Title)
	line("about", e.Description)
	line("expects", e.Type)
	line("examples", strings.Join(e.Examples, "\n"))
	line("programs", strings.Join(e.Variables, ", "))
	line("note", strings.Join(e.Notes, "; "))
	return table.Flush()
}
