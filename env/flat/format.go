package flat

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// Options say which variables are written, and how.
type Options struct {
	Format  string // one of Formats; Shell and Compat alone look at Prefix, Assign and Postfix
	Combine string // between the parts of a name, as a rule "_"
	Prefix  string // before each line, such as "export "
	Assign  string // between name and value, as a rule "="
	Postfix string // after each value
}

// The formats.
const (
	Shell   = "shell"   // NAME=value for sh and bash, quoted where need be
	Export  = "export"  // export NAME='value' for sh and bash, always quoted
	Docker  = "docker"  // NAME=value as `docker run --env-file` takes it
	Systemd = "systemd" // NAME="value" for EnvironmentFile=
	JSON    = "json"    // one object, all values text
	Compat  = "compat"  // the predecessor's bytes, whatever a shell makes of them
)

// format is how variables are written, and what keeps one from being written so.
type format struct {
	name   string
	checks []check
	write  func(out *bufio.Writer, vars []Var, o Options)
}

func formats() []format {
	return []format{
		{Shell, []check{shellName, ownName, noNUL}, writeShell},
		{Docker, []check{dockerName, noNUL, oneLine}, writeDocker},
		{Systemd, []check{shellName, ownName, noNUL, character, argument}, writeSystemd},
		{JSON, nil, writeJSON},
		{Export, []check{shellName, ownName, noNUL, argument, altogether()}, writeExport},
		{Compat, nil, writeCompat},
	}
}

// Formats lists the names of the formats.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// Print writes what stands below the keys of a document, as Flatten lists it, in the format of the options. The error is
// a *yaml11.Report when the format cannot say a variable as it is meant; then nothing is written. The notes tell of what
// is right but may surprise: keys that the document does not have, keys given twice, values that only a shell needs quoted.
func Print(w io.Writer, doc *yaml11.Document, keys []string, o Options) (notes []yaml11.Problem, err error) {
	f, err := o.format()
	if err != nil {
		return nil, err
	}
	vars, err := Flatten(doc.Top, o.Combine, keys...)
	if err != nil {
		return nil, err
	}
	if f.name != Compat {
		if err := refuse(vars, f.checks, o.namePrefix()); err != nil {
			return nil, err
		}
		notes = slices.Clone(doc.Duplicates)
	}
	if f.name == Shell {
		notes = append(notes, quotedNotes(vars)...)
	}
	yaml11.SortProblems(notes)
	notes = append(missing(doc, keys), notes...)
	out := bufio.NewWriterSize(w, 64<<10)
	f.write(out, vars, o)
	return notes, out.Flush() // bufio keeps the first error of all writes
}

// format finds the format that is asked for.
func (o Options) format() (format, error) {
	all := formats()
	at := slices.IndexFunc(all, func(f format) bool { return f.name == o.Format })
	switch {
	case at < 0:
		return format{}, remedy.With(fmt.Errorf("cannot flatten: there is no format %q", o.Format), "choose one of "+strings.Join(Formats(), ", "))
	case o.Format == Shell && !o.assigns(), o.Format == Compat:
		return all[len(all)-1], nil
	case o.Format != Shell && o != (Options{Format: o.Format, Combine: o.Combine, Assign: "="}):
		return format{}, remedy.With(fmt.Errorf("cannot flatten: the format %s has no use for a prefix, a postfix or an assignment of your own", o.Format),
			"leave --prefix, --postfix and --assign away, or choose the format "+Shell)
	}
	f := all[at]
	if f.name == Shell && o.exports() {
		f.checks = append(f.checks, argument, altogether())
	}
	return f, nil
}

// assigns says whether lines are assignments to a shell at all. Where the operator has chosen another syntax they are for
// another reader, and nothing is known of what that one takes.
func (o Options) assigns() bool {
	return o.Assign == "=" && strings.Trim(o.Combine, nameCharacters) == ""
}

// exports says whether the prefix hands the variables on to all that the shell starts, as "export " does.
func (o Options) exports() bool {
	words := strings.FieldsFunc(o.Prefix, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) })
	return slices.Contains(words, "export")
}

// namePrefix is the part of the prefix that becomes a part of each name: APP_ of "export APP_".
func (o Options) namePrefix() string {
	return o.Prefix[len(strings.TrimRight(o.Prefix, nameCharacters)):]
}

func missing(doc *yaml11.Document, keys []string) (notes []yaml11.Problem) {
	for _, key := range keys {
		if key != "." && !doc.Has(key) {
			notes = append(notes, yaml11.Problem{File: doc.Origin, Message: fmt.Sprintf("has no key %.64q at its top", key)})
		}
	}
	return notes
}
