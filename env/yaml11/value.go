package yaml11

import (
	"strconv"
	"strings"
)

const (
	// maxDepth is the deepest nesting, aliases expanded. Flattened names of more parts serve nobody.
	maxDepth = 100

	// maxCost is the largest document after its aliases are expanded: a value costs nodeCost and the bytes of its text.
	// A document of MaxSize without aliases that is not all punctuation stays below it.
	maxCost  = 20 << 20
	nodeCost = 16

	// MaxValues is how many values a document may have, its aliases expanded. Whoever writes or shows them all needs about
	// 1.5 kB for each.
	MaxValues = 1 << 17

	// maxCopied bounds the entries that merge keys take over: each mapping of a chain repeats all before it, without any
	// single one being large.
	maxCopied = 1 << 18
)

// Kind is what a value is after resolution.
type Kind uint8

// The kinds of values, scalars first.
const (
	Null Kind = iota
	Boolean
	Integer
	Float
	Text
	Timestamp
	Binary
	List
	Mapping
	Set
)

func (k Kind) String() string {
	return [...]string{"nothing", "a truth value", "a number", "a number", "text", "a date", "binary data", "a list", "a mapping", "a set"}[k]
}

// Place is where something is written. Line and Column count from 1, columns in characters; 0 means that it is not known.
type Place struct {
	File   string
	Line   int
	Column int
}

// Value is one value of the document as it is meant. Values that aliases share are shared.
type Value struct {
	Place
	Kind   Kind
	Text   string   // of a scalar: how Python prints it; of text: the text itself
	Keys   []*Value // of a mapping or set, beside Items
	Items  []*Value // of a list, mapping or set
	depth  int      // levels below
	cost   int
	values int    // with those below
	base64 string // of binary data: as it was written
}

// Get answers what is below the named keys, or nil.
func (v *Value) Get(path ...string) *Value {
	for _, name := range path {
		next := (*Value)(nil)
		if v.Kind == Mapping {
			for i, key := range v.Keys {
				if key.Kind == Text && key.Text == name {
					next = v.Items[i]
				}
			}
		}
		if v = next; v == nil {
			return nil
		}
	}
	return v
}

// Values is how many values of a parsed document there are from v on down, aliases expanded; 2*MaxValues stands for any more.
func (v *Value) Values() int { return v.values }

// Locate answers what is at a path, whose parts are keys of mappings or numbers of list items, from 0.
func (v *Value) Locate(path []string) (*Value, bool) {
	for _, part := range path {
		if v.Kind == List {
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v.Items) {
				return nil, false
			}
			v = v.Items[i]
		} else if v = v.Get(part); v == nil {
			return nil, false
		}
	}
	return v, true
}

// ident is what makes two keys the same in a Python dict: 1, 1.0 and true are one key.
type ident struct {
	kind Kind
	text string
}

func (v *Value) ident() ident {
	switch {
	case v.Kind == Float:
		return ident{Integer, strings.TrimSuffix(v.Text, ".0")}
	case v.Kind == Boolean && v.Text == "true":
		return ident{Integer, "1"}
	case v.Kind == Boolean:
		return ident{Integer, "0"}
	}
	return ident{v.Kind, v.Text}
}
