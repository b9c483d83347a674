package env

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"appliance/env/yaml11"
)

// Path splits a key such as appliance.extra.files[0].path into its parts.
func Path(key string) []string {
	return strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// Dotted writes a path as appliance.extra.files[0].path.
func Dotted(path []string) string { return dotted(path) }

// Walk hands every value that is no mapping with keys or list with items, and its path, to seen, in the order of the document.
func (d *Document) Walk(seen func(path []string, v *yaml11.Value)) { walk(nil, d.Top, seen) }

func walk(path []string, v *yaml11.Value, seen func(path []string, v *yaml11.Value)) {
	if v.Kind != yaml11.Mapping && v.Kind != yaml11.List || len(v.Items) == 0 {
		seen(path, v)
		return
	}
	for i, item := range v.Items {
		part := strconv.Itoa(i)
		if v.Kind == yaml11.Mapping {
			part = v.Keys[i].Text
		}
		walk(append(path[:len(path):len(path)], part), item, seen)
	}
}

// Brief says in one line what a value at a path is. A secret is not shown, and said to be one.
func (d *Document) Brief(path []string, v *yaml11.Value) (text string, secret bool) {
	switch shown := d.Redact(path, v); v.Kind {
	case yaml11.Null:
		return "null", false
	case yaml11.Mapping:
		names := make([]string, len(v.Keys))
		for i, key := range v.Keys {
			names[i] = key.Text
		}
		return "{" + shorten(strings.Join(names, ", ")) + "}", false
	case yaml11.List:
		items := make([]string, len(v.Items))
		for i, item := range v.Items {
			var hidden bool
			items[i], hidden = d.Brief(append(path[:len(path):len(path)], strconv.Itoa(i)), item)
			secret = secret || hidden
		}
		return "[" + strings.Join(items, ", ") + "]", secret
	default:
		text, rest, more := strings.Cut(strings.TrimRight(shown.Text, "\n"), "\n")
		if letters := []rune(text); len(letters) > longestBrief {
			text = string(letters[:longestBrief]) + "…"
		}
		text = oneLine(text)
		if more {
			text += fmt.Sprintf(" … (%d more lines)", 1+strings.Count(rest, "\n"))
		}
		return text, shown != v
	}
}

// longestBrief is how much of a text is told in brief, in characters.
const longestBrief = 200

// oneLine keeps what a document holds from being obeyed by a terminal.
func oneLine(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	return strconv.Quote(text)
}
