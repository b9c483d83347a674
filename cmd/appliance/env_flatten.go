package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/env/flat"
	"appliance/internal/remedy"
)

const flattenAbout = `flatten prints the leaves below the comma-separated top-level KEYS ('.' is all) as KEY_SUBKEY, sorted within each key.

  shell    NAME=value for sh and bash: the predecessor's bytes wherever these are safe, quoted where they are not
  export   export NAME='value' for sh and bash, always quoted: eval "$(appliance env flatten --format export ecs)"
  docker   NAME=value for docker run --env-file, and for env_file of compose with format: raw; no value of several lines
  systemd  NAME="value" for EnvironmentFile=
  json     one object, every value text
  compat   the predecessor's bytes, whatever a shell makes of them

Nothing is printed when the format cannot say a value as it is meant, when two keys have one name, and for shells and systemd
when a name is none of a variable, or one that means something of its own to shells and programs, such as PATH, LD_PRELOAD,
BASH_ENV or UID. With '.' names are refused as well that end as orders to programs do, such as _PAGER or _OPTIONS, but for those
below appliance and ecs. No list knows every program: ask for keys by name, not for '.', of a document that you do not trust.
What is exported is bounded, too, by what Linux lets a process have: nothing could be started after more.
With another --assign than =, or a --combine that names cannot have, the output is not for a shell and nothing is checked.

What is printed but may surprise is told on standard error: keys that are not there, keys given twice, values in new quotes.`

func newEnvFlatten(a *app) *cobra.Command {
	var file string
	var compat bool
	var o flat.Options
	cmd := &cobra.Command{
		Use:   "flatten KEYS",
		Short: "Print an environment as variables, for a shell and others",
		Long:  flattenAbout,
		Example: "  appliance env flatten ecs,appliance < /app/env.yml\n" +
			"  eval \"$(appliance env flatten --format export --file /app/env.yml ecs)\"\n" +
			"  appliance env flatten --format docker --file /app/env.yml ecs > ecs.env",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if compat {
				if cmd.Flags().Changed("format") && o.Format != flat.Compat {
					return remedy.With(fmt.Errorf("cannot flatten: --compat is a format of its own, as %s is", o.Format), "choose one of the two")
				}
				o.Format = flat.Compat
			}
			return a.flatten(file, strings.Split(args[0], ","), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "file", "", "read this file instead of standard input")
	flags.StringVar(&o.Format, "format", flat.Shell, strings.Join(flat.Formats(), ", "))
	flags.BoolVar(&compat, "compat", false, "short for --format compat")
	flags.StringVar(&o.Prefix, "prefix", "", "text before each line, such as \"export \" (shell, compat)")
	flags.StringVar(&o.Postfix, "postfix", "", "text after each value (shell, compat)")
	flags.StringVar(&o.Combine, "combine", "_", "text between the parts of a name")
	flags.StringVar(&o.Assign, "assign", "=", "text between name and value (shell, compat)")
	return cmd
}

func (a *app) flatten(file string, keys []string, o flat.Options) error {
	data, err := a.readInput(file)
	if err != nil {
		return err
	}
	doc, err := env.Parse(cmp.Or(file, "standard input"), data)
	if err != nil {
		return err
	}
	notes, err := flat.Print(a.out, doc.Document, keys, o)
	for _, note := range notes {
		fmt.Fprintln(a.err, "note:", note)
	}
	return err
}
