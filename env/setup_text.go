package env

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"appliance/env/yaml11"
)

// setup answers the layout of the disks as a mapping. Where it is written as text, that text is read as YAML, and what is in
// it has the place that it has in the document. Problems are those of the text; nil without a problem is no layout.
func (d *Document) setup() (*yaml11.Value, []Problem) {
	at := d.Top.Get(setupPath...)
	switch {
	case at == nil || at.Kind == yaml11.Null:
		return nil, nil
	case at.Kind == yaml11.Mapping:
		return at, nil
	case at.Kind != yaml11.Text || strings.TrimSpace(at.Text) == "":
		return nil, nil
	}
	doc, err := yaml11.Parse(at.File, []byte(at.Text))
	var report *Report
	if errors.As(err, &report) {
		return nil, inText(at, report.Problems)
	}
	if err != nil {
		return nil, []Problem{{File: at.File, Line: at.Line, Column: at.Column, Path: dotted(setupPath), Message: "is text that is no YAML", Remedy: "write a mapping"}}
	}
	move(doc.Top, shift(d, at), map[*yaml11.Value]bool{})
	return doc.Top, inText(at, doc.Duplicates)
}

// inText gives problems of a text the place that the text has. What they say may quote it, and it may hold passphrases.
func inText(at *yaml11.Value, problems []Problem) (moved []Problem) {
	for _, p := range problems {
		moved = append(moved, Problem{File: at.File, Line: at.Line, Column: at.Column, Path: dotted(setupPath),
			Message: "is text that is no YAML to work with, at its line " + strconv.Itoa(p.Line), Remedy: "write a mapping, without the | behind setup:"})
	}
	return moved
}

// shift tells by how many lines what is in a text stands below where its own first line would be line 1: of a block, which
// begins behind a | or >, by that of the indicator; of other texts all is taken to stand where they begin.
func shift(d *Document, at *yaml11.Value) int {
	lines := strings.Split(string(d.source(at.File)), "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return at.Line - 1
	}
	if line := []rune(lines[at.Line-1]); at.Column >= 1 && at.Column <= len(line) && (line[at.Column-1] == '|' || line[at.Column-1] == '>') {
		return at.Line
	}
	return at.Line - 1
}

// source is the text of the layer that came from origin.
func (d *Document) source(origin string) []byte {
	for _, layer := range d.Layers() {
		if layer.Origin == origin {
			return layer.Data
		}
	}
	return nil
}

func move(v *yaml11.Value, lines int, moved map[*yaml11.Value]bool) {
	if moved[v] {
		return // aliases share values
	}
	moved[v] = true
	v.Line += lines
	for _, key := range v.Keys {
		move(key, lines, moved)
	}
	for _, item := range v.Items {
		move(item, lines, moved)
	}
}

// resolved is the document with its layout of the disks as a mapping, however it is written.
func (d *Document) resolved() (*Document, []Problem) {
	at := d.Top.Get(setupPath...)
	if at == nil || at.Kind != yaml11.Text {
		return d, nil
	}
	setup, problems := d.setup()
	if setup == nil {
		return d, problems
	}
	doc := *d.Document
	doc.Top = with(doc.Top, setupPath, setup)
	return &Document{Document: &doc, layers: d.layers}, problems
}

// with is a copy of v with another value at a path that is there.
func with(v *yaml11.Value, path []string, value *yaml11.Value) *yaml11.Value {
	if len(path) == 0 {
		return value
	}
	changed := *v
	changed.Items = slices.Clone(v.Items)
	for i, key := range v.Keys {
		if key.Kind == yaml11.Text && key.Text == path[0] {
			changed.Items[i] = with(v.Items[i], path[1:], value)
		}
	}
	return &changed
}
