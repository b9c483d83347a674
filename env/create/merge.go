package create

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/env"
	"appliance/internal/remedy"
)

// header is the first line of user-data for cloud-init.
const header = "#cloud-config\n"

// over answers text with extra laid over it. Comments and order of the text stay. Problems of the result are told at
// the place in extra that made them.
func (e *extra) over(name string, text []byte) ([]byte, error) {
	body, headed := bytes.CutPrefix(text, []byte(header)) // or it would go with the first key
	doc, err := load(name, body)
	if err != nil {
		return nil, err
	}
	if indirect(doc) != nil {
		err := fmt.Errorf("cannot lay %s over %s: the template has an alias (*name) or a merge key (<<)", e.name, name)
		return nil, remedy.With(err, "write the values themselves in the template")
	}
	m := merger{}
	m.merge(doc.Content[0], e.root)
	result, err := dump(doc)
	if err != nil {
		return nil, fmt.Errorf("cannot lay %s over %s: %w", e.name, name, err)
	}
	if headed {
		result = append([]byte(header), result...)
	}
	places := map[place]*yaml.Node{}
	var again yaml.Node
	if err := yaml.Load(result, &again); err == nil { // or check tells
		m.locate(&again, doc, places)
	}
	return result, check(e.name, result, func(p *env.Problem) {
		from := places[place{p.Line, p.Column}]
		if from == nil {
			from = e.root
		}
		p.Line, p.Column = from.Line, from.Column
	})
}

// merger tells why the nodes of a result are as they are: it leads from them to the nodes of extra that are to blame.
type merger map[*yaml.Node]*yaml.Node

// merge lays the mapping over onto the mapping base.
func (m merger) merge(base, over *yaml.Node) {
	index := make(map[string]int, len(base.Content)/2) // of the value
	for i := 1; i < len(base.Content); i += 2 {
		index[base.Content[i-1].Value] = i
	}
	for i := 1; i < len(over.Content); i += 2 {
		key, value := over.Content[i-1], over.Content[i]
		at, known := index[key.Value]
		switch {
		case isNull(value) && known:
			base.Content[at-1], base.Content[at] = nil, nil
			m[base] = key
		case isNull(value):
		case known:
			base.Content[at] = m.onto(base.Content[at], value)
		default:
			base.Content = append(base.Content, key, m.onto(new(yaml.Node), value))
			m[key] = key
		}
	}
	base.Content = slices.DeleteFunc(base.Content, func(n *yaml.Node) bool { return n == nil })
}

// onto answers what stands at a key: a mapping goes into the mapping that is there, or else into a new one, so that null
// removes there, too.
func (m merger) onto(base, value *yaml.Node) *yaml.Node {
	if !isMapping(value) {
		m.made(value)
		return value
	}
	if !isMapping(base) || len(base.Content) == 0 {
		empty := *value
		empty.Content = nil
		base = &empty
		m[base] = value
	}
	m.merge(base, value)
	return base
}

// made notes that n and all below it come from extra.
func (m merger) made(n *yaml.Node) {
	m[n] = n
	for _, child := range n.Content {
		m.made(child)
	}
}

type place struct{ line, column int }

// locate notes, for each node of the result as it was read again, the node of extra to blame. A mapping stands at the
// place of its first key: what was done to the mapping tells more.
func (m merger) locate(again, result *yaml.Node, places map[place]*yaml.Node) {
	at := place{again.Line, again.Column}
	if from := m[result]; from != nil && places[at] == nil {
		places[at] = from
	}
	for i := range min(len(again.Content), len(result.Content)) {
		m.locate(again.Content[i], result.Content[i], places)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isMapping is false of a !!set, the null values of which remove nothing.
func isMapping(n *yaml.Node) bool { return n.Kind == yaml.MappingNode && n.ShortTag() == "!!map" }

// dump writes a document with scalars as they were, a blank line before each key at the top, and long lines left whole.
func dump(doc *yaml.Node) ([]byte, error) {
	top := doc.Content[0].Content
	for i := 2; i < len(top); i += 2 {
		top[i].HeadComment = "\n" + top[i].HeadComment
	}
	settle(doc)
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(false))
	if err != nil {
		return nil, err
	}
	err = d.Dump(doc)
	return b.Bytes(), errors.Join(err, d.Close())
}

// settle changes the style where the writer would change the value: it puts 12:30 in quotes inside of { } and [ ], which
// makes a text of a number, and adds lines to folded text with indented lines. It answers whether n must be in a block.
func settle(n *yaml.Node) (block bool) {
	for _, child := range n.Content {
		block = settle(child) || block
	}
	switch {
	case n.Kind != yaml.ScalarNode && block:
		n.Style &^= yaml.FlowStyle
	case n.Kind == yaml.ScalarNode && n.Style&yaml.FoldedStyle != 0 && indented(n.Value):
		n.Style = n.Style&^yaml.FoldedStyle | yaml.LiteralStyle
	case n.Kind == yaml.ScalarNode && n.Style == 0:
		block = strings.Contains(n.Value, ":")
	}
	return block
}

func indented(text string) bool {
	for line := range strings.Lines(text) {
		if line[0] == ' ' || line[0] == '\t' {
			return true
		}
	}
	return false
}
