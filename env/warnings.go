package env

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Warnings lists what is legal but probably not meant, sorted by line: unquoted values that YAML 1.1 and YAML 1.2 read
// differently, keys that nothing reads, and names that collide or are no shell names once they are flattened.
func (d *Document) Warnings() []Problem {
	w := warnings{Document: d}
	if !bytes.HasPrefix(bytes.TrimPrefix(d.Data, []byte("\ufeff")), []byte("#cloud-config")) {
		w.add(1, 1, nil, "the first line is not #cloud-config", "write it there, or cloud-init will not read the file")
	}
	if r, err := loadRules(); err == nil {
		w.rules = &r.written
		w.node(d.root, nil)
		if at := d.top.get("appliance"); at != nil {
			w.deprecated(at, []string{"appliance"})
		}
	}
	w.names()
	sortProblems(w.problems)
	return w.problems
}

type warnings struct {
	*Document
	rules    *schema
	problems []Problem
}

func (w *warnings) add(line, column int, place []string, message, remedy string) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, Problem{File: w.Origin, Line: line, Column: column, Path: dotted(place), Message: message, Remedy: remedy})
	}
}

// node walks the document as it is written: an alias says nothing that its anchor does not.
func (w *warnings) node(n *yaml.Node, place []string) {
	switch n.Kind {
	case yaml.ScalarNode:
		w.scalar(n, place)
	case yaml.SequenceNode:
		for i, child := range n.Content {
			w.node(child, append(place, strconv.Itoa(i)))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind == yaml.ScalarNode {
				w.scalar(key, place)
			}
			w.node(n.Content[i+1], append(place, shorten(key.Value)))
		}
	}
}

func (w *warnings) scalar(n *yaml.Node, place []string) {
	if !plain(n) {
		return
	}
	k, printed, err := resolvePlain(n.Value)
	if err != nil || !differs(k, printed, n.Value) {
		return
	}
	// Outside of appliance nobody knows what is a secret.
	_, secret := w.rules.at(place)
	message := "YAML 1.1 reads this as " + k.String() + ", YAML 1.2 as something else"
	if !secret && len(place) > 1 && place[0] == "appliance" {
		message = fmt.Sprintf("%q is %s in YAML 1.1 (%s), something else in YAML 1.2", shorten(n.Value), k, shorten(printed))
	}
	remedy := "put it in quotes when it is meant as text"
	switch k {
	case boolean:
		remedy = "write " + printed + ", or put it in quotes when it is meant as text"
	case integer, float:
		remedy = "put it in quotes, or write it as a plain decimal number"
	}
	w.add(n.Line, n.Column, place, message, remedy)
}

// differs tells whether YAML 1.2 gives another meaning to an unquoted scalar.
func differs(k kind, printed, written string) bool {
	switch k {
	case boolean:
		return !slices.Contains([]string{"true", "false"}, strings.ToLower(written))
	case integer:
		_, digits := cutSign(written)
		return signed(written[0] == '-', digits) != printed && !strings.HasPrefix(written, "0x") || strings.Contains(written, "_")
	case float:
		return strings.ContainsAny(written, "_:")
	case timestamp:
		return printed != written
	case text:
		return coreNumber(written)
	}
	return false
}

// coreNumber recognises numbers of YAML 1.2 only: 1e3, 0o17, -.5 and 08.
func coreNumber(s string) bool {
	if octal, ok := strings.CutPrefix(s, "0o"); ok {
		return octal != "" && strings.Trim(octal, "01234567") == ""
	}
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func (w *warnings) deprecated(at *value, place []string) {
	for i, key := range at.keys {
		below := append(slices.Clone(place), key.text)
		if node, _ := w.rules.at(below); node != nil && node.Deprecated {
			w.add(key.line, key.column, below, "this key is out of use", strings.ToLower(node.About[:1])+strings.TrimSuffix(node.About[1:], "."))
		}
		w.deprecated(at.items[i], below)
	}
	if at.kind == list {
		for i, item := range at.items {
			w.deprecated(item, append(slices.Clone(place), strconv.Itoa(i)))
		}
	}
}

// names warns of flattened names that a shell cannot hold, or that stand for two values.
func (w *warnings) names() {
	vars, err := w.Flatten("appliance", "ecs")
	if err != nil {
		return // Validate tells
	}
	lines := make(map[string]int, len(vars))
	for _, v := range vars {
		if strings.Trim(v.Key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			w.add(v.line, v.column, nil, fmt.Sprintf("the flattened name %q is no name of a shell variable", shorten(v.Key)),
				"use only letters, digits and _ in keys")
		}
		if before, twice := lines[v.Key]; twice {
			w.add(v.line, v.column, nil, fmt.Sprintf("%s is also the flattened name of line %d", shorten(v.Key), before), "rename one of the keys")
		}
		lines[v.Key] = v.line
	}
}
