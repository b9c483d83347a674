package env

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	// maxDepth is the deepest nesting, aliases expanded. Flattened names of more parts serve nobody.
	maxDepth = 100

	// maxCost is the largest document after its aliases are expanded: a value costs nodeCost and the bytes of its text.
	// A document of MaxSize without aliases that is not all punctuation stays below it.
	maxCost  = 20 << 20
	nodeCost = 16

	// maxCopied bounds the entries that merge keys take over: each mapping of a chain repeats all before it, without any
	// single one being large.
	maxCopied = 1 << 18
)

// kind is what a value is after resolution.
type kind uint8

const (
	null kind = iota
	boolean
	integer
	float
	text
	timestamp
	binary
	list
	mapping
	set
)

func (k kind) String() string {
	return [...]string{"nothing", "a truth value", "a number", "a number", "text", "a date", "binary data", "a list", "a mapping", "a set"}[k]
}

// value is one value of the document as it is meant. Values that aliases share are shared.
type value struct {
	kind   kind
	text   string   // of a scalar: how Python prints it; of text: the text itself
	keys   []*value // of a mapping or set, beside items
	items  []*value // of a list, mapping or set
	line   int
	column int
	depth  int // levels below
	cost   int
}

// get answers what is below the named keys, or nil.
func (v *value) get(path ...string) *value {
	for _, name := range path {
		next := (*value)(nil)
		if v.kind == mapping {
			for i, key := range v.keys {
				if key.kind == text && key.text == name {
					next = v.items[i]
				}
			}
		}
		if v = next; v == nil {
			return nil
		}
	}
	return v
}

// ident is what makes two keys the same in a Python dict: 1, 1.0 and true are one key.
type ident struct {
	kind kind
	text string
}

func (v *value) ident() ident {
	switch {
	case v.kind == float:
		return ident{integer, strings.TrimSuffix(v.text, ".0")}
	case v.kind == boolean && v.text == "true":
		return ident{integer, "1"}
	case v.kind == boolean:
		return ident{integer, "0"}
	}
	return ident{v.kind, v.text}
}

// builder turns nodes into values, once for each anchor.
type builder struct {
	origin     string
	seen       map[*yaml.Node]*value // nil while the value is being built
	anchors    map[string]int        // line of each name
	problems   []Problem
	duplicates []Problem
	depth      int  // levels above the value being built
	copied     int  // entries taken over by merge keys
	grown      bool // a problem said that the document grows too large
}

// problem notes what is wrong with a node and answers a value to go on with.
func (b *builder) problem(n *yaml.Node, message, remedy string) *value {
	b.problems = append(b.problems, Problem{File: b.origin, Line: n.Line, Column: n.Column, Message: message, Remedy: remedy})
	return &value{line: n.Line, column: n.Column, cost: nodeCost}
}

const anchorName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func (b *builder) build(n *yaml.Node) *value {
	if len(b.problems) > maxProblems {
		return &value{line: n.Line, column: n.Column}
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

func (b *builder) alias(n *yaml.Node) *value {
	if b.target(n) == nil {
		return &value{line: n.Line, column: n.Column}
	}
	v := b.build(n.Alias)
	switch {
	case v.cost > maxCost:
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
func (b *builder) tooLarge(n *yaml.Node) *value {
	if b.grown {
		return &value{line: n.Line, column: n.Column}
	}
	b.grown = true
	return b.problem(n, "holds too many values, or grows too large when its aliases are expanded",
		"write fewer values and do not nest anchors")
}

func (b *builder) tooDeep(n *yaml.Node) *value {
	return b.problem(n, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "use fewer levels; what an alias stands for counts, too")
}

func (b *builder) node(n *yaml.Node) *value {
	if b.depth == maxDepth {
		return b.tooDeep(n)
	}
	b.depth++
	defer func() { b.depth-- }()
	v := &value{line: n.Line, column: n.Column, cost: nodeCost}
	switch n.Kind {
	case yaml.ScalarNode:
		b.scalar(n, v)
	case yaml.SequenceNode:
		b.sequence(n, v)
	case yaml.MappingNode:
		b.mapping(n, v)
	}
	v.cost += len(v.text)
	for _, part := range [2][]*value{v.keys, v.items} {
		for _, child := range part {
			v.depth = max(v.depth, child.depth+1)
			v.cost = min(v.cost+child.cost, 2*maxCost)
		}
	}
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

// plain reports whether the text of a scalar decides what it is: unquoted, or with the tag "!" as PyYAML reads it.
func plain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Style&(quotedStyle|yaml.TaggedStyle) == 0 || n.Tag == "!")
}

func (b *builder) scalar(n *yaml.Node, v *value) {
	var err error
	switch tag := explicitTag(n); {
	case plain(n):
		v.kind, v.text, err = resolvePlain(n.Value)
	case tag == "":
		v.kind, v.text = text, n.Value
	default:
		v.kind, v.text, err = resolveTagged(tag, n.Value)
	}
	if err != nil {
		b.problem(n, err.Error(), "put the value in quotes")
	}
}

func (b *builder) sequence(n *yaml.Node, v *value) {
	v.kind = list
	tag := explicitTag(n)
	switch tag {
	case "", "!!seq":
		for _, child := range n.Content {
			v.items = append(v.items, b.build(child))
		}
	case "!!omap", "!!pairs":
		for _, child := range n.Content {
			v.items = append(v.items, b.pair(child))
		}
	default:
		b.problem(n, "has a tag (!name) that a list cannot have", "remove the tag")
	}
}

// pair is an item of an ordered mapping: a list of key and value, as it flattens.
func (b *builder) pair(n *yaml.Node) *value {
	if n = b.target(n); n == nil {
		return &value{}
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return b.problem(n, "must be one key with its value", "write '- key: value'")
	}
	b.depth++
	defer func() { b.depth-- }()
	key, val := b.build(n.Content[0]), b.build(n.Content[1])
	return &value{kind: list, items: []*value{key, val}, line: n.Line, column: n.Column,
		depth: 1 + max(key.depth, val.depth), cost: min(nodeCost+key.cost+val.cost, 2*maxCost)}
}

func (b *builder) mapping(n *yaml.Node, v *value) {
	v.kind = mapping
	switch explicitTag(n) {
	case "", "!!map":
	case "!!set":
		v.kind = set
	default:
		b.problem(n, "has a tag (!name) that a mapping cannot have", "remove the tag")
		return
	}
	m := entries{value: v}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			b.merge(&m, n.Content[i+1])
		}
	}
	if len(v.keys) > 0 {
		m.merged = make(map[ident]bool, len(v.keys))
		for _, key := range v.keys {
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
	return plain(n) && n.Value == "<<" || n.Kind == yaml.ScalarNode && explicitTag(n) == "!!merge"
}

func (b *builder) entry(m *entries, keyNode, valueNode *yaml.Node) {
	var key *value
	if plain(keyNode) && keyNode.Value == "=" { // the default key of YAML 1.1 is text as a key and an error as a value
		key = &value{kind: text, text: "=", line: keyNode.Line, column: keyNode.Column, cost: nodeCost + 1}
	} else {
		key = b.build(keyNode)
	}
	if key.kind >= list {
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
		if from.kind != mapping && from.kind != set {
			b.problem(sources[i], "a merge key (<<) needs a mapping or a list of mappings", "write '<<: *name' where &name is a mapping")
			return
		}
		if b.copied += len(from.keys); b.copied > maxCopied {
			b.tooLarge(n)
			return
		}
		if b.depth+from.depth > maxDepth {
			b.tooDeep(n)
			return
		}
		for j, key := range from.keys {
			m.put(key, from.items[j])
		}
	}
}

// entries collects the keys of one mapping in the order of their first mention.
type entries struct {
	*value
	merged map[ident]bool // keys that came from merge keys only, so far
	index  map[ident]int  // nil while a linear search is cheap
}

// put sets a key to a value; the last one wins. It answers the key that was there before, or nil.
func (m *entries) put(key, val *value) *value {
	i := m.find(key)
	if i < 0 {
		m.keys, m.items = append(m.keys, key), append(m.items, val)
		if m.index != nil {
			m.index[key.ident()] = len(m.keys) - 1
		}
		return nil
	}
	before := m.keys[i]
	m.keys[i], m.items[i] = key, val
	return before
}

const linear = 8 // keys up to which comparing them all beats a map

func (m *entries) find(key *value) int {
	if len(m.keys) <= linear {
		for i, k := range m.keys {
			if k.ident() == key.ident() {
				return i
			}
		}
		return -1
	}
	if m.index == nil {
		m.index = make(map[ident]int, 4*linear)
		for i, k := range m.keys {
			m.index[k.ident()] = i
		}
	}
	if i, ok := m.index[key.ident()]; ok {
		return i
	}
	return -1
}
