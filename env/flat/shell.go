package flat

import (
	"bufio"
	"strings"

	"appliance/env/yaml11"
)

// writeShell quotes whatever a shell would not take as it is. Where the predecessor's bytes mean the same, they are the same.
func writeShell(out *bufio.Writer, vars []Var, o Options) {
	for _, v := range vars {
		v.quoted = v.quoted || v.bareButUnsafe()
		writeLine(out, v, o)
	}
}

// writeCompat writes byte for byte as the predecessor did: only text is quoted, and only where a shell needs it. Names
// come from the document as they are, so that a shell may not be let near the output of a document one does not know.
func writeCompat(out *bufio.Writer, vars []Var, o Options) {
	for _, v := range vars {
		writeLine(out, v, o)
	}
}

func writeLine(out *bufio.Writer, v Var, o Options) {
	for _, s := range [...]string{o.Prefix, v.Key, o.Assign} {
		out.WriteString(s)
	}
	if v.quoted && (v.Value == "" || !harmless(v.Value)) {
		writeQuoted(out, v.Value)
	} else {
		out.WriteString(v.Value)
	}
	out.WriteString(o.Postfix)
	out.WriteByte('\n')
}

// writeExport always quotes: no reader has to know which values are harmless.
func writeExport(out *bufio.Writer, vars []Var, _ Options) {
	for _, v := range vars {
		out.WriteString("export " + v.Key + "=")
		writeQuoted(out, v.Value)
		out.WriteByte('\n')
	}
}

// bareButUnsafe says whether the predecessor left a value bare that a shell reads as something else: the time of a
// timestamp as a command, for one.
func (v Var) bareButUnsafe() bool { return !v.quoted && !harmless(v.Value) }

func quotedNotes(vars []Var) (notes []yaml11.Problem) {
	for _, v := range vars {
		if v.bareButUnsafe() && len(notes) < yaml11.MaxProblems {
			notes = append(notes, yaml11.Problem{File: v.File, Line: v.Line, Column: v.Column,
				Message: "the value of " + shown(v.Key) + " is quoted, because a shell would misread it bare; --compat leaves it bare"})
		}
	}
	return notes
}

// writeQuoted quotes as Python's shlex does, which is safe between any two words of a shell.
func writeQuoted(out *bufio.Writer, s string) {
	out.WriteByte('\'')
	for {
		before, after, found := strings.Cut(s, "'")
		out.WriteString(before)
		if !found {
			break
		}
		out.WriteString(`'"'"'`)
		s = after
	}
	out.WriteByte('\'')
}

// harmless says whether Python's shlex would leave a text without quotes: a shell reads every character as itself.
func harmless(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_@%+=:,./-", c) >= 0) {
			return false
		}
	}
	return true
}
