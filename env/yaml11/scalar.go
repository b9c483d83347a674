package yaml11

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Resolve tells what an unquoted scalar means, by the rules of PyYAML 6, and how Python prints it. It is written by
// hand because a process that only flattens must not pay for compiling regular expressions.
func Resolve(s string) (Kind, string, error) {
	if s == "" {
		return Null, "", nil
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.':
		return resolveNumber(s)
	case s == "~" || s == "null" || s == "Null" || s == "NULL":
		return Null, "", nil
	case s == "=":
		return Null, "", errors.New("an unquoted = has a meaning of its own in YAML 1.1")
	case s == "<<":
		return Null, "", errors.New("an unquoted << is a merge key and no value")
	}
	if is, word := boolWord(s); word {
		return Boolean, is, nil
	}
	return Text, s, nil
}

// boolWord answers "true" or "false" for a word that YAML 1.1 reads so.
func boolWord(s string) (is string, word bool) {
	switch s {
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return "true", true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return "false", true
	}
	return "", false
}

func resolveNumber(s string) (Kind, string, error) {
	if n, ok := scanInt(s); ok {
		t, err := n.decimal()
		return Integer, t, err
	}
	if isFloat(s) {
		t, err := floatText(s)
		return Float, t, err
	}
	if t, ok, err := timestampText(s, false); ok {
		return Timestamp, t, err
	}
	return Text, s, nil
}

// resolveTagged reads a scalar as the tag says that its author wrote before it.
func resolveTagged(tag, s string) (Kind, string, error) {
	switch tag {
	case "!!str":
		return Text, s, nil
	case "!!null":
		return Null, "", nil
	case "!!bool":
		if is, word := boolWord(strings.ToLower(s)); word {
			return Boolean, is, nil
		}
	case "!!int":
		if t, err := taggedInt(s); err == nil {
			return Integer, t, nil
		}
	case "!!float":
		if t, err := floatText(s); err == nil {
			return Float, t, nil
		}
	case "!!timestamp":
		if t, ok, err := timestampText(s, true); ok {
			return Timestamp, t, err
		}
	case "!!binary":
		if data, err := decodeBase64(s); err == nil {
			return Binary, pyBytes(data), nil
		}
	default:
		return Null, "", errors.New("a tag (!name) that is not known")
	}
	return Null, "", fmt.Errorf("a value that cannot be read as its tag %s says", tag)
}

// decodeBase64 skips what is not of the alphabet, as Python does.
func decodeBase64(s string) ([]byte, error) {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x80:
			return nil, errors.New("cannot decode base64: not ASCII")
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=':
			b.WriteByte(c)
		}
	}
	return base64.StdEncoding.DecodeString(b.String())
}

// pyBytes prints bytes as Python's repr does.
func pyBytes(data []byte) string {
	return "b" + pyQuote(string(data), func(b *strings.Builder, c byte) {
		if c < 0x20 || c >= 0x7f {
			fmt.Fprintf(b, `\x%02x`, c)
			return
		}
		b.WriteByte(c)
	})
}

// PyText prints text as Python's repr does, for the members of a set.
func PyText(s string) string {
	return pyQuote(s, func(b *strings.Builder, c byte) {
		if c < 0x20 || c == 0x7f {
			fmt.Fprintf(b, `\x%02x`, c)
			return
		}
		b.WriteByte(c)
	})
}

func pyQuote(s string, other func(*strings.Builder, byte)) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for i := range len(s) {
		switch c := s[i]; c {
		case quote, '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			other(&b, c)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// Strip takes away what Python counts as space.
func Strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
