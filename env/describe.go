package env

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"appliance/env/yaml11"
)

// Description is what the schema says of one key.
type Description struct {
	Path       string   // as appliance.extra.files[].path; [] is any item of a list
	Title      string   // a few words, without a period
	About      string   // sentences
	Type       string   // in words: "true or false", "a list of text"
	Default    string   // as YAML without a newline at its end, or "" where there is none
	Examples   []string // in the same way
	Variables  []string // the names that programs know its values by: of an item the first one's, of a mapping none
	Required   bool     // whatever holds the key must have it
	Secret     bool     // its value is never shown
	Deprecated bool     // nothing reads it
	Pending    bool     // the appliance itself does not act upon it yet
	Suggestion string   // of an unknown key only: the path of the one that was probably meant, or ""
}

// Describe answers what the schema says of the key at a path as Find answers it: names of keys, and numbers of items. Of a
// key that the schema does not have it answers false, and perhaps a suggestion. The empty path is the whole document.
func Describe(path ...string) (Description, bool) {
	root, err := loadWritten()
	if err != nil {
		return Description{}, false // a schema that does not load lets no document pass
	}
	at := place{root: root, node: root}
	for _, part := range path {
		next, known := at.below(part)
		if !known {
			return Description{Suggestion: at.suggest(part)}, false
		}
		at = next
	}
	return at.describe(), true
}

// anyItem stands for the number of an item in paths.
const anyItem = "[]"

// place is a node of the schema, how it was reached, and what holds there because it holds above.
type place struct {
	root, node                *schema
	path                      []string
	required, secret, pending bool
	chosen                    bool // a key of the path is free to choose, so that no variable can be named
}

func (p place) target() *schema { return p.node.target(p.root) }

// below answers the place of a key, or of an item by its number.
func (p place) below(part string) (place, bool) {
	t := p.target()
	node := t.below(part)
	if node != nil && node == t.Items {
		if _, err := strconv.Atoi(part); err != nil && part != anyItem {
			return place{}, false
		}
		part = anyItem
	}
	if node == nil {
		return place{}, false
	}
	// The schema calls the whole of ecs secret, so that no message shows any of it. That would tell nothing here.
	secret := p.secret || node.Secret && (len(p.path) > 0 || part != "ecs")
	return place{
		root: p.root, node: node, path: append(slices.Clip(p.path), part),
		required: slices.Contains(t.Required, part),
		secret:   secret,
		pending:  p.pending || node.Pending,
		chosen:   p.chosen || node == t.Others.schema,
	}, true
}

// suggest answers the path of the known key that was probably meant by an unknown one here.
func (p place) suggest(name string) string {
	meant := p.root.suggest(p.path, name)
	if meant == "" || strings.Contains(meant, ".") {
		return meant
	}
	return joined(append(slices.Clip(p.path), meant))
}

func joined(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), "."+anyItem, anyItem)
}

func (p place) describe() Description {
	d := Description{
		Path: joined(p.path), Title: p.node.Title, About: p.node.About, Type: p.words(), Default: snippet(p.node.Default),
		Variables: p.variables(), Required: p.required, Secret: p.secret, Deprecated: p.node.Deprecated, Pending: p.pending,
	}
	for _, example := range p.node.Examples {
		d.Examples = append(d.Examples, snippet(example))
	}
	return d
}

// words says what the place may hold, of a list also what its items are.
func (p place) words() string {
	said, t := p.node.expects(p.root), p.target()
	switch {
	case said == "":
		return "anything"
	case t.Items == nil || !strings.HasPrefix(said, "a list"):
		return said
	}
	item := t.Items.expects(p.root)
	of := map[string]string{"text": " of text", "a mapping": " of mappings"}[item]
	if of == "" {
		of = ", each item " + item
	}
	return strings.Replace(said, "a list", "a list"+of, 1)
}

// variables answers the names of the flattened values. Only what is below appliance and ecs is handed to programs.
func (p place) variables() []string {
	t := p.target()
	if p.chosen || t.Properties != nil || t.Others.schema != nil || len(p.path) < 2 || p.path[0] != "appliance" && p.path[0] != "ecs" {
		return nil
	}
	name := strings.ToUpper(strings.ReplaceAll(strings.Join(p.path, "_"), anyItem, "0"))
	switch {
	case !slices.Contains(t.Type, "array"):
		return []string{name}
	case t.Items.target(p.root).Properties != nil:
		return []string{name + "_LEN"}
	}
	return []string{name + "_0", name + "_LEN"}
}

// snippet writes a value of the schema as YAML, below the keys of a path; of no value or null there is nothing to write.
func snippet(value json.RawMessage, path ...string) string {
	text := string(value)
	if text == "" || text == "null" {
		return ""
	}
	for _, part := range slices.Backward(path) {
		if part == anyItem {
			text = "[" + text + "]"
		} else {
			text = fmt.Sprintf("{%q: %s}", part, text)
		}
	}
	doc, err := yaml11.Parse("schema.json", []byte(`{"": `+text+"}")) // JSON is YAML
	if err != nil {
		return ""
	}
	written, err := yaml11.Render(doc.Top.Items[0], nil)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(written), "\n")
}
