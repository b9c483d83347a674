package env

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/env/yaml11"
)

// Warnings lists what is legal but probably not meant, sorted by line: unquoted values that YAML 1.1 and YAML 1.2 read
// differently, keys that nothing reads, and names that collide or are no shell names once they are flattened.
func (d *Document) Warnings() []Problem {
	w := warnings{Document: d}
	layers := d.Layers()
	if base := layers[0]; !bytes.HasPrefix(bytes.TrimPrefix(base.Data, []byte("\ufeff")), []byte("#cloud-config")) {
		w.add(yaml11.Place{File: base.Origin, Line: 1, Column: 1}, nil, "the first line is not #cloud-config",
			"write it there, or cloud-init will not read the file")
	}
	if r, err := loadRules(); err == nil {
		w.rules = &r.written
		for _, layer := range layers {
			w.file = layer.Origin
			w.node(layer.Root, nil)
		}
		if at := d.Top.Get("appliance"); at != nil {
			w.deprecated(at, []string{"appliance"})
		}
	}
	w.names()
	yaml11.SortProblems(w.problems)
	return w.problems
}

type warnings struct {
	*Document
	file     string // being walked
	rules    *schema
	problems []Problem
}

func (w *warnings) add(at yaml11.Place, place []string, message, remedy string) {
	if len(w.problems) < yaml11.MaxProblems {
		w.problems = append(w.problems, Problem{File: at.File, Line: at.Line, Column: at.Column, Path: dotted(place), Message: message, Remedy: remedy})
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
	if !yaml11.Plain(n) {
		return
	}
	k, printed, err := yaml11.Resolve(n.Value)
	if err != nil || !yaml11.Differs(k, printed, n.Value) {
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
	case yaml11.Boolean:
		remedy = "write " + printed + ", or put it in quotes when it is meant as text"
	case yaml11.Integer, yaml11.Float:
		remedy = "put it in quotes, or write it as a plain decimal number"
	}
	w.add(yaml11.Place{File: w.file, Line: n.Line, Column: n.Column}, place, message, remedy)
}

func (w *warnings) deprecated(at *yaml11.Value, place []string) {
	for i, key := range at.Keys {
		below := append(slices.Clone(place), key.Text)
		if node, _ := w.rules.at(below); node != nil && node.Deprecated {
			w.add(key.Place, below, "this key is out of use", strings.ToLower(node.About[:1])+strings.TrimSuffix(node.About[1:], "."))
		}
		w.deprecated(at.Items[i], below)
	}
	if at.Kind == yaml11.List {
		for i, item := range at.Items {
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
	places := make(map[string]yaml11.Place, len(vars))
	for _, v := range vars {
		if strings.HasPrefix(v.Key, "APPLIANCE_STORAGE_SETUP_") {
			continue // its keys are names of devices, and no program asks for them by these
		}
		if strings.Trim(v.Key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			w.add(v.Place, nil, fmt.Sprintf("the flattened name %q is no name of a shell variable", shorten(v.Key)),
				"use only letters, digits and _ in keys")
		}
		if before, twice := places[v.Key]; twice {
			where := fmt.Sprintf("line %d", before.Line)
			if before.File != v.File {
				where += " of " + before.File
			}
			w.add(v.Place, nil, fmt.Sprintf("%s is also the flattened name of %s", shorten(v.Key), where), "rename one of the keys")
		}
		places[v.Key] = v.Place
	}
}
