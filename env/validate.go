package env

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	failed "github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Validate holds the document against the schema. It returns nil or a *Report with all problems, sorted by line:
// unknown keys and wrong types below appliance, keys given twice, and keys that cannot be flattened.
func (d *Document) Validate() error {
	r, err := loadRules()
	if err != nil {
		return fmt.Errorf("cannot compile the schema: %w", err)
	}
	v := validation{Document: d, rules: &r.written}
	v.problems = append(v.problems, d.duplicates...)
	for _, name := range []string{"appliance", "ecs"} {
		if top := d.top.get(name); top != nil {
			v.keys(top)
		}
	}
	var invalid *jsonschema.ValidationError
	if err := r.compiled.Validate(d.top.json()); errors.As(err, &invalid) {
		v.collect(invalid)
	} else if err != nil {
		return fmt.Errorf("cannot validate %s: %w", d.Origin, err)
	}
	return report(v.problems)
}

// duplicate is the problem of a key that stands twice in one mapping.
func duplicate(origin string, first, second *value) Problem {
	return Problem{File: origin, Line: second.line, Column: second.column,
		Message: fmt.Sprintf("the same key stands in line %d and in line %d", first.line, second.line),
		Remedy:  "remove one of the two; only the last one would count"}
}

type validation struct {
	*Document
	rules    *schema
	problems []Problem
}

func (v *validation) add(at *value, place []string, message, remedy string) {
	v.problems = append(v.problems, Problem{File: v.Origin, Line: at.line, Column: at.column, Path: dotted(place), Message: message, Remedy: remedy})
}

// dotted writes a place as appliance.extra.files[0].path.
func dotted(place []string) string {
	var b strings.Builder
	for i, part := range place {
		if _, err := strconv.Atoi(part); err == nil && i > 0 {
			b.WriteString("[" + part + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// keys refuses keys that are not text: Flatten could not name what is below them.
func (v *validation) keys(at *value) {
	for _, key := range at.keys {
		if at.kind == mapping && key.kind != text {
			v.add(key, nil, "a key must be text, found "+key.kind.String(), "put the key in quotes")
		}
	}
	for _, item := range at.items {
		if len(v.problems) <= maxProblems {
			v.keys(item)
		}
	}
}

// collect turns the leaves of a validation error into problems.
func (v *validation) collect(e *jsonschema.ValidationError) {
	for _, cause := range e.Causes {
		v.collect(cause)
	}
	if len(e.Causes) > 0 {
		return
	}
	place := e.InstanceLocation
	at, known := v.locate(place)
	if !known {
		return
	}
	switch k := e.ErrorKind.(type) {
	case *failed.AdditionalProperties:
		v.unknown(at, place, k.Properties)
	case *failed.Required:
		for _, name := range k.Missing {
			below := append(slices.Clone(place), name)
			v.add(at, below, "is missing", "add the line '"+name+":' with its value")
		}
	case *failed.MaxLength:
		v.tooLong(at, place, k)
	default:
		v.wrong(at, place)
	}
}

// locate answers the value at a place of the schema's view.
func (v *validation) locate(place []string) (*value, bool) {
	at := v.top
	for _, part := range place {
		if at.kind == list {
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(at.items) {
				return nil, false
			}
			at = at.items[i]
			continue
		}
		if at = at.get(part); at == nil {
			return nil, false
		}
	}
	return at, true
}

// unknown reports keys that the schema does not have, with those that were probably meant.
func (v *validation) unknown(at *value, place, names []string) {
	unknown := make(map[string]bool, len(names))
	for _, name := range names {
		unknown[name] = true
	}
	for _, key := range at.keys {
		if key.kind != text || !unknown[key.text] {
			continue
		}
		below := append(slices.Clone(place), shorten(key.text))
		if len(v.problems) > maxProblems {
			v.add(key, below, "unknown key", "")
		} else if meant := v.rules.suggest(place, key.text); meant != "" {
			v.add(key, below, fmt.Sprintf("unknown key; did you mean %q?", meant), "write "+meant)
		} else {
			v.add(key, below, "unknown key", "remove it; keys of the application belong below ecs")
		}
	}
}

// tooLong reports a text that is longer than the schema allows, and why that is so.
func (v *validation) tooLong(at *value, place []string, k *failed.MaxLength) {
	message := fmt.Sprintf("expected at most %d characters, found %d", k.Want, k.Got)
	if node, _ := v.rules.at(place); node != nil && node.Limit != "" {
		message += ": " + node.Limit
	}
	v.add(at, place, message, "choose a shorter one")
}

// wrong reports a value that the schema refuses. What stands there is told only where it is no secret.
func (v *validation) wrong(at *value, place []string) {
	node, secret := v.rules.at(place)
	if node == nil {
		v.add(at, place, "is not what the schema asks for", "see the schema")
		return
	}
	expected := node.expects(v.rules)
	v.add(at, place, "expected "+expected+", found "+describe(at, secret), wayOut(at, node.target(v.rules), expected))
}

func describe(v *value, secret bool) string {
	switch {
	case v.kind == null || secret || v.kind >= binary:
		return v.kind.String()
	case v.kind == text && v.text == "":
		return "empty text"
	case v.kind == text:
		return fmt.Sprintf("the text %q", shorten(v.text))
	case v.kind == boolean:
		return v.text
	}
	return strings.TrimPrefix(v.kind.String(), "a ") + " " + shorten(v.text)
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

func wayOut(at *value, want *schema, expected string) string {
	switch {
	case at.kind < list && at.kind != null && at.kind != text && slices.Contains(want.Type, "string"):
		return "put the value in quotes"
	case slices.Contains(want.Type, "array") && at.kind < list:
		return "write each item on a line of its own, after '- '"
	case slices.Contains(want.Type, "object") && at.kind < list:
		return "write its keys on lines of their own, indented below it"
	}
	return "write " + expected
}

// json answers the value as the schema sees it. Keys that are not text are left out, they are reported apart.
func (v *value) json() any {
	switch v.kind {
	case null:
		return nil
	case boolean:
		return v.text == "true"
	case integer, float:
		if strings.HasSuffix(v.text, "inf") || v.text == "nan" {
			return json.Number("0.5") // JSON cannot say it; that it is a number, and no integer, is all that counts
		}
		return json.Number(v.text)
	case list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = item.json()
		}
		return items
	case mapping, set:
		m := make(map[string]any, len(v.keys))
		for i, key := range v.keys {
			if key.kind == text {
				m[key.text] = v.items[i].json()
			}
		}
		return m
	}
	return v.text
}
