package vault

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// gpg-agent keeps secret keys as S-expressions of Rivest's draft, in the canonical form: (11:private-key(3:rsa(1:n257:…)…)).
// GnuPG 2.3 also writes them in the advanced form, on lines beside other entries, as agent/keyformat.txt of GnuPG tells.

// node is an atom or a sexp.
type node interface{ append(to []byte) []byte }

type atom string

// sexp is a list.
type sexp []node

func (a atom) append(to []byte) []byte {
	to = strconv.AppendInt(to, int64(len(a)), 10)
	return append(append(to, ':'), a...)
}

func (s sexp) append(to []byte) []byte {
	to = append(to, '(')
	for _, n := range s {
		to = n.append(to)
	}
	return append(to, ')')
}

// find answers the list inside this one that begins with name, or this one where it does so itself; nil where there is none.
func (s sexp) find(name string) sexp {
	if len(s) > 0 && s[0] == node(atom(name)) {
		return s
	}
	for _, n := range s {
		if list, ok := n.(sexp); ok && len(list) > 0 && list[0] == node(atom(name)) {
			return list
		}
	}
	return nil
}

// value answers the second of two atoms.
func (s sexp) value() ([]byte, bool) {
	if len(s) != 2 {
		return nil, false
	}
	value, ok := s[1].(atom)
	return []byte(value), ok
}

var errExpression = errors.New("it is no S-expression")

const (
	maxNesting    = 16      // gpg-agent's have five
	maxKeyFile    = 1 << 18 // of the longest RSA keys some 10 kB
	whitespace    = " \t\r\n"
	tokenSpecials = "-./_:*+="
)

// readKeyFile reads a file of gpg-agent, of either form.
func readKeyFile(data []byte) (sexp, error) {
	if len(data) > maxKeyFile {
		return nil, errExpression
	}
	if trimmed := bytes.TrimLeft(data, whitespace); len(trimmed) == 0 || trimmed[0] != '(' {
		if data = entryOf(string(data), "Key:"); data == nil {
			return nil, errExpression
		}
	}
	r := sexpReader{data: data}
	r.blanks()
	list, ok := r.list(0)
	if r.blanks(); !ok || len(r.data) > 0 && strings.Trim(string(r.data), "\x00") != "" {
		return nil, errExpression
	}
	return list, nil
}

// entryOf answers the value of an entry in a file of names and values, whose further lines begin with a blank.
func entryOf(text, name string) []byte {
	var value []byte
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			if inside {
				value = append(value, line...)
			}
		default:
			inside = value == nil && len(line) >= len(name) && strings.EqualFold(line[:len(name)], name)
			if inside {
				value = append([]byte{}, line[len(name):]...)
			}
		}
	}
	return value
}

type sexpReader struct{ data []byte }

func (r *sexpReader) blanks() { r.data = bytes.TrimLeft(r.data, whitespace) }

func (r *sexpReader) list(depth int) (sexp, bool) {
	if len(r.data) == 0 || r.data[0] != '(' || depth > maxNesting {
		return nil, false
	}
	r.data = r.data[1:]
	list := sexp{}
	for {
		r.blanks()
		if len(r.data) == 0 {
			return nil, false
		}
		var n node
		var ok bool
		switch r.data[0] {
		case ')':
			r.data = r.data[1:]
			return list, true
		case '(':
			n, ok = r.list(depth + 1)
		default:
			n, ok = r.atom()
		}
		if !ok {
			return nil, false
		}
		list = append(list, n)
	}
}

// atom reads 3:abc, #616263#, "abc" without escapes, or abc.
func (r *sexpReader) atom() (node, bool) {
	switch c := r.data[0]; {
	case c >= '0' && c <= '9':
		digits, _, ok := bytes.Cut(r.data, []byte{':'})
		n, err := strconv.Atoi(string(digits))
		if start := len(digits) + 1; ok && err == nil && n <= len(r.data)-start {
			value := atom(r.data[start : start+n])
			r.data = r.data[start+n:]
			return value, true
		}
	case c == '#':
		if body, rest, ok := bytes.Cut(r.data[1:], []byte{'#'}); ok {
			r.data = rest
			return hexAtom(body)
		}
	case c == '"':
		if body, rest, ok := bytes.Cut(r.data[1:], []byte{'"'}); ok && !bytes.ContainsRune(body, '\\') {
			r.data = rest
			return atom(body), true
		}
	case isToken(c):
		n := 1
		for n < len(r.data) && (isToken(r.data[n]) || r.data[n] >= '0' && r.data[n] <= '9') {
			n++
		}
		value := atom(r.data[:n])
		r.data = r.data[n:]
		return value, true
	}
	return nil, false
}

func isToken(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte(tokenSpecials, c) >= 0
}

func hexAtom(body []byte) (node, bool) {
	var value []byte
	var high byte
	half := false
	for _, c := range body {
		if strings.IndexByte(whitespace, c) >= 0 {
			continue
		}
		digit, err := strconv.ParseUint(string(rune(c)), 16, 8)
		if err != nil {
			return nil, false
		}
		if half {
			value = append(value, high<<4|byte(digit))
		}
		high, half = byte(digit), !half
	}
	return atom(value), !half
}
