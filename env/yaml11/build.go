package yaml11

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// builder turns nodes into values, once for each anchor.
type builder struct {
	origin     string
	seen       map[*yaml.Node]*Value // nil while the value is being built
	anchors    map[string]int        // line of each name
	problems   []Problem
	duplicates []Problem
	spare      []Value
	depth      int  // levels above the value being built
	copied     int  // entries taken over by merge keys
	grown      bool // a problem said that the document grows too large
}

func (b *builder) place(n *yaml.Node) Place { return Place{b.origin, n.Line, n.Column} }

// problem notes what is wrong with a node and answers a value to go on with.
func (b *builder) problem(n *yaml.Node, message, remedy string) *Value {
	b.problems = append(b.problems, Problem{File: b.origin, Line: n.Line, Column: n.Column, Message: message, Remedy: remedy})
	return &Value{Place: b.place(n), cost: nodeCost}
}

const anchorName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func (b *builder) build(n *yaml.Node) *Value {
	if len(b.problems) > MaxProblems {
		return &Value{Place: b.place(n)}
	}
	if n.Kind == yaml.AliasNode {
		return b.alias(n)
	}
	if n.Anchor == "" {
		return b.node(n)
	}
	if strings.Trim(n.Anchor, anchorName) != "" { // YAML 1.2 would take any: a password such as &a$b would vanish
		return b.problem(n, "the name of an anchor (&name) may have only letters, digits, - and _", "put a value that begins with & in quotes")
	}
	if v := b.seen[n]; v != nil {
		return v
	}
	if first := b.anchors[n.Anchor]; first != 0 {
		return b.problem(n, fmt.Sprintf("the same anchor (&name) stands in line %d and in line %d", first, n.Line), "rename one of the two")
	}
	b.anchors[n.Anchor] = n.Line
	b.seen[n] = nil
	v := b.node(n)
	b.seen[n] = v
	return v
}

func (b *builder) alias(n *yaml.Node) *Value {
	if b.target(n) == nil {
		return &Value{Place: b.place(n)}
	}
	v := b.build(n.Alias)
	switch {
	case v.cost > maxCost || v.values > MaxValues:
		return b.tooLarge(n)
	case b.depth+v.depth >= maxDepth:
		return b.tooDeep(n)
	}
	return v
}

// target answers what a node stands for, or nil when it is the alias of something that contains it.
func (b *builder) target(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	if v, known := b.seen[n.Alias]; known && v == nil {
		b.problem(n, "an anchor (&name) contains its own alias (*name)", "remove the circle")
		return nil
	}
	return n.Alias
}

// tooLarge is said once: where one alias grows too large, the others of the document mostly do too.
func (b *builder) tooLarge(n *yaml.Node) *Value {
	if b.grown {
		return &Value{Place: b.place(n)}
	}
	b.grown = true
	return b.problem(n, "holds too many values, or grows too large when its aliases are expanded",
		"write fewer values and do not nest anchors")
}

func (b *builder) tooDeep(n *yaml.Node) *Value {
	return b.problem(n, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "use fewer levels; what an alias stands for counts, too")
}

func (b *builder) node(n *yaml.Node) *Value {
	if b.depth == maxDepth {
		return b.tooDeep(n)
	}
	b.depth++
	defer func() { b.depth-- }()
	v := b.value()
	v.Place, v.cost = b.place(n), nodeCost
	switch n.Kind {
	case yaml.ScalarNode:
		b.scalar(n, v)
	case yaml.SequenceNode:
		b.sequence(n, v)
	case yaml.MappingNode:
		b.mapping(n, v)
	}
	v.cost += len(v.Text)
	v.values = 1
	for _, part := range [2][]*Value{v.Keys, v.Items} {
		for _, child := range part {
			v.depth = max(v.depth, child.depth+1)
			v.cost = min(v.cost+child.cost, 2*maxCost)
		}
	}
	for _, item := range v.Items {
		v.values = min(v.values+item.values, 2*MaxValues)
	}
	return v
}

// value answers an empty value. They are made by the dozen: a large document has a hundred thousand.
func (b *builder) value() *Value {
	if len(b.spare) == 0 {
		b.spare = make([]Value, 32)
	}
	v := &b.spare[0]
	b.spare = b.spare[1:]
	return v
}

// explicitTag answers the tag that the author wrote, or "".
func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle != 0 {
		return n.ShortTag()
	}
	return ""
}

const quotedStyle = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// Plain reports whether the text of a scalar decides what it is: unquoted, or with the tag "!" as PyYAML reads it.
func Plain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Style&(quotedStyle|yaml.TaggedStyle) == 0 || n.Tag == "!")
}

func (b *builder) scalar(n *yaml.Node, v *Value) {
	var err error
	switch tag := explicitTag(n); {
	case Plain(n):
		v.Kind, v.Text, err = Resolve(n.Value)
	case tag == "":
		v.Kind, v.Text = Text, n.Value
	default:
		v.Kind, v.Text, err = resolveTagged(tag, n.Value)
		if v.Kind == Binary {
			v.base64 = n.Value
		}
	}
	if err != nil {
		b.problem(n, err.Error(), "put the value in quotes")
	}
}

func (b *builder) sequence(n *yaml.Node, v *Value) {
	v.Kind = List
	tag := explicitTag(n)
	switch tag {
	case "", "!!seq":
		v.Items = make([]*Value, 0, len(n.Content))
		for _, child := range n.Content {
			v.Items = append(v.Items, b.build(child))
		}
	case "!!omap", "!!pairs":
		for _, child := range n.Content {
			v.Items = append(v.Items, b.pair(child))
		}
	default:
		b.problem(n, "has a tag (!name) that a list cannot have", "remove the tag")
	}
}

// pair is an item of an ordered mapping: a list of key and value, as it flattens.
func (b *builder) pair(n *yaml.Node) *Value {
	if n = b.target(n); n == nil {
		return &Value{}
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return b.problem(n, "must be one key with its value", "write '- key: value'")
	}
	b.depth++
	defer func() { b.depth-- }()
	key, val := b.build(n.Content[0]), b.build(n.Content[1])
	return &Value{Kind: List, Items: []*Value{key, val}, Place: b.place(n),
		depth: 1 + max(key.depth, val.depth), cost: min(nodeCost+key.cost+val.cost, 2*maxCost), values: min(1+key.values+val.values, 2*MaxValues)}
}

func (b *builder) mapping(n *yaml.Node, v *Value) {
	v.Kind = Mapping
	switch explicitTag(n) {
	case "", "!!map":
	case "!!set":
		v.Kind = Set
	default:
		b.problem(n, "has a tag (!name) that a mapping cannot have", "remove the tag")
		return
	}
	both, half := make([]*Value, len(n.Content)), len(n.Content)/2
	v.Keys, v.Items = both[:0:half], both[half:half]
	m := entries{Value: v}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			b.merge(&m, n.Content[i+1])
		}
	}
	if len(v.Keys) > 0 {
		m.merged = make(map[ident]bool, len(v.Keys))
		for _, key := range v.Keys {
			m.merged[key.ident()] = true
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			b.entry(&m, n.Content[i], n.Content[i+1])
		}
	}
}

func isMerge(n *yaml.Node) bool {
	return Plain(n) && n.Value == "<<" || n.Kind == yaml.ScalarNode && explicitTag(n) == "!!merge"
}

func (b *builder) entry(m *entries, keyNode, valueNode *yaml.Node) {
	var key *Value
	if Plain(keyNode) && keyNode.Value == "=" { // the default key of YAML 1.1 is text as a key and an error as a value
		key = &Value{Kind: Text, Text: "=", Place: b.place(keyNode), cost: nodeCost + 1}
	} else {
		key = b.build(keyNode)
	}
	if key.Kind >= List {
		b.problem(keyNode, "a list or mapping cannot be a key", "write a plain key")
	}
	before := m.put(key, b.build(valueNode))
	if m.merged[key.ident()] { // given here and by a merge key: that is what merging is for
		delete(m.merged, key.ident())
	} else if before != nil {
		b.duplicates = append(b.duplicates, duplicate(b.origin, before, key))
	}
}

// merge takes over the entries of the mapping, or list of mappings, below a merge key; the first in a list wins.
func (b *builder) merge(m *entries, n *yaml.Node) {
	target := b.target(n)
	if target == nil {
		return
	}
	sources := []*yaml.Node{target}
	if target.Kind == yaml.SequenceNode {
		sources = target.Content
	}
	for i := len(sources) - 1; i >= 0; i-- {
		from := b.build(sources[i])
		if from.Kind != Mapping && from.Kind != Set {
			b.problem(sources[i], "a merge key (<<) needs a mapping or a list of mappings", "write '<<: *name' where &name is a mapping")
			return
		}
		if b.copied += len(from.Keys); b.copied > maxCopied {
			b.tooLarge(n)
			return
		}
		if b.depth+from.depth > maxDepth {
			b.tooDeep(n)
			return
		}
		for j, key := range from.Keys {
			m.put(key, from.Items[j])
		}
	}
}
