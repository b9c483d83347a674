package flat

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

const usage = `usage: flatyaml [--file FILE] [--prefix TEXT] [--postfix TEXT] [--combine TEXT] [--assign TEXT] KEY

Prints what stands below the comma-separated top-level keys of a YAML document ('.' is all of it) as KEY_SUBKEY=value, a line
each. Only values are quoted for a shell: of a document that you do not know let a shell read
` + "`appliance env flatten --format export KEY`" + ` instead.

  --file FILE     read this file instead of standard input
  --prefix TEXT   before each line, such as 'export '
  --postfix TEXT  after each value
  --combine TEXT  between the parts of a name (default _)
  --assign TEXT   between name and value (default =)

Example: flatyaml --prefix 'export ' ecs,appliance < /app/env.yml

Exit status: 0 if it was printed (keys that the document does not have are told on standard error), 1 if the document
cannot be read or flattened, 2 if the command line is wrong.
`

// Main is the program flatyaml, which takes the command line of the predecessor's flatyaml.py and prints the same bytes. It
// returns the exit status.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	o := Options{Format: Compat}
	var file string
	flags := flag.NewFlagSet("flatyaml", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the errors are told below
	flags.StringVar(&file, "file", "", "")
	flags.StringVar(&o.Prefix, "prefix", "", "")
	flags.StringVar(&o.Postfix, "postfix", "", "")
	flags.StringVar(&o.Combine, "combine", "_", "")
	flags.StringVar(&o.Assign, "assign", "=", "")
	keys, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return 0
	case err != nil:
		fmt.Fprintf(errs, "flatyaml: cannot read the command line: %v\nTo do: see `flatyaml --help`.\n", err)
		return 2
	}
	notes, err := printFile(out, file, in, keys, o)
	for _, note := range notes {
		fmt.Fprintln(errs, "flatyaml:", note)
	}
	if err != nil {
		fmt.Fprintln(errs, "flatyaml:", err)
		if todo := remedy.Of(err); todo != "" {
			fmt.Fprintf(errs, "To do: %s.\n", todo)
		}
		return 1
	}
	return 0
}

// parse lets options stand behind the KEY, too, which package flag does not.
func parse(flags *flag.FlagSet, args []string) (keys []string, err error) {
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	if len(words) != 1 {
		return nil, fmt.Errorf("one KEY is needed, found %d", len(words))
	}
	return strings.Split(words[0], ","), nil
}

func printFile(out io.Writer, file string, in io.Reader, keys []string, o Options) (notes []yaml11.Problem, err error) {
	name := "standard input"
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the document: %w", err)
		}
		defer opened.Close()
		name, in = file, opened
	}
	data, err := io.ReadAll(io.LimitReader(in, yaml11.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	doc, err := yaml11.Parse(name, data)
	if err != nil {
		return nil, err
	}
	return Print(out, doc, keys, o)
}
