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

	"appliance/env/yaml11"
)

// Validate holds the document against the schema. It returns nil or a *Report with all problems, sorted by line:
// unknown keys and wrong types below appliance, keys given twice, keys that cannot be flattened, and settings that cannot
// work together.
func (d *Document) Validate() error {
	r, err := loadRules()
	if err != nil {
		return fmt.Errorf("cannot compile the schema: %w", err)
	}
	d, inText := d.resolved()
	v := validation{Document: d, rules: &r.written}
	v.problems = append(append(v.problems, d.Duplicates...), inText...)
	for _, name := range []string{"appliance", "ecs"} {
		if top := d.Top.Get(name); top != nil {
			v.keys(top)
		}
	}
	var invalid *jsonschema.ValidationError
	if err := r.compiled.Validate(jsonOf(d.Top)); errors.As(err, &invalid) {
		v.collect(invalid)
	} else if err != nil {
		return fmt.Errorf("cannot validate %s: %w", d.Origin, err)
	}
	v.authority()
	v.thresholds()
	v.volumes()
	return yaml11.NewReport(v.problems)
}

type validation struct {
	*Document
	rules    *schema
	problems []Problem
}

func (v *validation) add(at *yaml11.Value, place []string, message, remedy string) {
	v.problems = append(v.problems, Problem{File: at.File, Line: at.Line, Column: at.Column, Path: dotted(place), Message: message, Remedy: remedy})
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
func (v *validation) keys(at *yaml11.Value) {
	for _, key := range at.Keys {
		if at.Kind == yaml11.Mapping && key.Kind != yaml11.Text {
			v.add(key, nil, "a key must be text, found "+key.Kind.String(), "put the key in quotes")
		}
	}
	for _, item := range at.Items {
		if len(v.problems) <= yaml11.MaxProblems {
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
	at, known := v.Top.Locate(place)
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

// unknown reports keys that the schema does not have, with those that were probably meant.
func (v *validation) unknown(at *yaml11.Value, place, names []string) {
	unknown := make(map[string]bool, len(names))
	for _, name := range names {
		unknown[name] = true
	}
	for _, key := range at.Keys {
		if key.Kind != yaml11.Text || !unknown[key.Text] {
			continue
		}
		below := append(slices.Clone(place), shorten(key.Text))
		if len(v.problems) > yaml11.MaxProblems {
			v.add(key, below, "unknown key", "")
		} else if meant := v.rules.suggest(place, key.Text); meant != "" {
			v.add(key, below, fmt.Sprintf("unknown key; did you mean %q?", meant), "write "+meant)
		} else {
			v.add(key, below, "unknown key", "remove it; keys of the application belong below ecs")
		}
	}
}

// tooLong reports a text that is longer than the schema allows, and why that is so.
func (v *validation) tooLong(at *yaml11.Value, place []string, k *failed.MaxLength) {
	message := fmt.Sprintf("expected at most %d characters, found %d", k.Want, k.Got)
	if node, _ := v.rules.at(place); node != nil && node.Limit != "" {
		message += ": " + node.Limit
	}
	v.add(at, place, message, "choose a shorter one")
}

// wrong reports a value that the schema refuses. What stands there is told only where it is no secret.
func (v *validation) wrong(at *yaml11.Value, place []string) {
	node, secret := v.rules.at(place)
	if node == nil {
		v.add(at, place, "is not what the schema asks for", "see the schema")
		return
	}
	expected := node.expects(v.rules)
	v.add(at, place, "expected "+expected+", found "+describe(at, secret), wayOut(at, node.target(v.rules), expected))
}

func describe(v *yaml11.Value, secret bool) string {
	switch {
	case v.Kind == yaml11.Null || secret || v.Kind >= yaml11.Binary:
		return v.Kind.String()
	case v.Kind == yaml11.Text && v.Text == "":
		return "empty text"
	case v.Kind == yaml11.Text:
		return fmt.Sprintf("the text %q", shorten(v.Text))
	case v.Kind == yaml11.Boolean:
		return v.Text
	}
	return strings.TrimPrefix(v.Kind.String(), "a ") + " " + shorten(v.Text)
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

func wayOut(at *yaml11.Value, want *schema, expected string) string {
	switch {
	case at.Kind < yaml11.List && at.Kind != yaml11.Null && at.Kind != yaml11.Text && slices.Contains(want.Type, "string"):
		return "put the value in quotes"
	case slices.Contains(want.Type, "array") && at.Kind < yaml11.List:
		return "write each item on a line of its own, after '- '"
	case slices.Contains(want.Type, "object") && at.Kind < yaml11.List:
		return "write its keys on lines of their own, indented below it"
	}
	return "write " + expected
}

// json answers the value as the schema sees it. Keys that are not text are left out, they are reported apart.
func jsonOf(v *yaml11.Value) any {
	switch v.Kind {
	case yaml11.Null:
		return nil
	case yaml11.Boolean:
		return v.Text == "true"
	case yaml11.Integer, yaml11.Float:
		if strings.HasSuffix(v.Text, "inf") || v.Text == "nan" {
			return json.Number("0.5") // JSON cannot say it; that it is a number, and no integer, is all that counts
		}
		return json.Number(v.Text)
	case yaml11.List:
		items := make([]any, len(v.Items))
		for i, item := range v.Items {
			items[i] = jsonOf(item)
		}
		return items
	case yaml11.Mapping, yaml11.Set:
		m := make(map[string]any, len(v.Keys))
		for i, key := range v.Keys {
			if key.Kind == yaml11.Text {
				m[key.Text] = jsonOf(v.Items[i])
			}
		}
		return m
	}
	return v.Text
}
