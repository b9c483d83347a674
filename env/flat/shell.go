package flat

import (
	"bufio"
	"io"
	"strings"
)

type shellFormat struct{ prefix, postfix, assign string }

// ShellOption changes how WriteShell writes a line.
type ShellOption func(*shellFormat)

// Prefix puts a text before each line, such as "export ".
func Prefix(s string) ShellOption { return func(f *shellFormat) { f.prefix = s } }

// Postfix puts a text after each value, before the newline.
func Postfix(s string) ShellOption { return func(f *shellFormat) { f.postfix = s } }

// Assign puts another text than "=" between name and value.
func Assign(s string) ShellOption { return func(f *shellFormat) { f.assign = s } }

// WriteShell writes one NAME=value for each variable, byte for byte as the predecessor did: text is quoted where a
// shell needs it, everything else stays bare. Names are not quoted and come from the document: do not let a shell
// source the output of a document that Validate has not passed.
func WriteShell(w io.Writer, vars []Var, opts ...ShellOption) error {
	format := shellFormat{assign: "="}
	for _, opt := range opts {
		opt(&format)
	}
	out := bufio.NewWriter(w)
	for _, v := range vars {
		for _, s := range [...]string{format.prefix, v.Key, format.assign} {
			out.WriteString(s)
		}
		if v.quoted {
			writeQuoted(out, v.Value)
		} else {
			out.WriteString(v.Value)
		}
		out.WriteString(format.postfix)
		out.WriteByte('\n')
	}
	return out.Flush() // bufio keeps the first error of all writes
}

// writeQuoted quotes as Python's shlex does: not at all when every character is harmless.
func writeQuoted(out *bufio.Writer, s string) {
	if s != "" && strings.IndexFunc(s, unsafe) < 0 {
		out.WriteString(s)
		return
	}
	out.WriteByte('\'')
	out.WriteString(strings.ReplaceAll(s, "'", `'"'"'`))
	out.WriteByte('\'')
}

func unsafe(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x80 && strings.ContainsRune("_@%+=:,./-", r))
}
