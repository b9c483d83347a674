package env

import (
	"bytes"
	"cmp"
	_ "embed" // manual.md
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"appliance/env/yaml11"
)

//go:embed manual.md
var manualIntro string

// Manual answers the documentation of env.yml in Markdown: what it is, where it comes from, and every key of the schema in the
// schema's order. docs/env.md is this text.
func Manual() []byte {
	root, err := loadOrdered()
	if err != nil {
		return nil // a schema that does not load lets no document pass
	}
	var keys []place
	place{root: root, node: root}.walk(func(p place) { keys = append(keys, p) })
	var b bytes.Buffer
	b.WriteString(strings.Replace(manualIntro, "{{traps}}\n", traps(), 1))
	contents(&b, keys)
	overview(&b, keys)
	for _, p := range keys {
		section(&b, p)
	}
	return b.Bytes()
}

// Known lists the keys of the schema in its order, each described.
func Known() []Description {
	root, err := loadOrdered()
	if err != nil {
		return nil
	}
	var known []Description
	place{root: root, node: root}.walk(func(p place) { known = append(known, p.describe()) })
	return known
}

// loadOrdered answers the schema with the order in which its keys stand. JSON objects have none, a YAML document has.
func loadOrdered() (*schema, error) {
	var root schema
	if err := json.Unmarshal(schemaJSON, &root); err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(schemaJSON, &doc); err != nil {
		return nil, err
	}
	root.order(doc.Content[0])
	return &root, nil
}

// order tells each key its rank among its siblings, as they are written.
func (s *schema) order(written *yaml.Node) {
	for i := 0; i+1 < len(written.Content); i += 2 {
		switch name, below := written.Content[i].Value, written.Content[i+1]; name {
		case "properties":
			rank(s.Properties, below)
		case "$defs":
			rank(s.Defs, below)
		case "items":
			s.Items.order(below)
		}
	}
}

func rank(named map[string]*schema, written *yaml.Node) {
	for i := 0; i+1 < len(written.Content); i += 2 {
		s := named[written.Content[i].Value]
		s.rank = i
		s.order(written.Content[i+1])
	}
}

// walk hands every key below a place to visit, each before those below it.
func (p place) walk(visit func(place)) {
	t := p.target()
	names := slices.SortedFunc(maps.Keys(t.Properties), func(a, b string) int {
		return cmp.Compare(t.Properties[a].rank, t.Properties[b].rank)
	})
	for _, name := range names {
		below, _ := p.below(name)
		visit(below)
		below.walk(visit)
	}
	stand := "" // for a name that a key below has not: its own keys have one
	switch {
	case t.Items != nil:
		stand = anyItem
	case t.Others.schema != nil:
		stand = t.Keys
	default:
		return
	}
	below, _ := p.below(stand)
	below.walk(visit)
}

// traps lists words that YAML 1.1 does not take for text.
func traps() string {
	var b strings.Builder
	for _, word := range []string{"yes", "no", "on", "off", "0600", "12:30", "1_000", "2026-01-31", "~"} {
		kind, value, err := yaml11.Resolve(word)
		if err != nil {
			continue
		}
		meant := strings.TrimPrefix(kind.String(), "a ")
		if kind != yaml11.Null {
			meant += " " + value
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", word, meant)
	}
	return b.String()
}

// contents links the keys at the top and those right below them.
func contents(b *bytes.Buffer, keys []place) {
	for _, p := range keys {
		if depth := len(p.path); depth <= 2 {
			name := joined(p.path)
			fmt.Fprintf(b, "%s- [%s](#%s): %s\n", strings.Repeat("  ", depth-1), name, anchor(name), p.node.Title)
		}
	}
	b.WriteByte('\n')
}

// anchor is the fragment that Markdown renderers give a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// overview is the table of all keys, with columns that line up where nobody renders it.
func overview(b *bytes.Buffer, keys []place) {
	rows := [][]string{{"key", "type", "default", "what"}}
	for _, p := range keys {
		rows = append(rows, []string{"`" + joined(p.path) + "`", p.kind(), p.start(), p.node.Title + marks(p.secret, p.node.Deprecated, p.node.Pending)})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		for j, cell := range row {
			fmt.Fprintf(b, "| %-*s ", widths[j], cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
}

// kind is the type in as few words as there are.
func (p place) kind() string { return cmp.Or(p.target().kinds(), p.words()) }

// start is the default in one line; of a mapping its keys tell.
func (p place) start() string {
	switch value := string(p.node.Default); {
	case p.required:
		return "required"
	case value == "" || value == "null" || value[0] == '{':
		return ""
	case value[0] == '[':
		return "`" + value + "`"
	}
	return "`" + snippet(p.node.Default) + "`"
}

func marks(secret, deprecated, pending bool) string {
	said := ""
	if secret {
		said += " (secret)"
	}
	if deprecated {
		said += " (out of use)"
	}
	if pending {
		said += " (not acted upon yet)"
	}
	return said
}

// section is all there is to know of one key.
func section(b *bytes.Buffer, p place) {
	d := p.describe()
	fmt.Fprintf(b, "\n%s `%s`\n\n", strings.Repeat("#", min(len(p.path), 3)+1), d.Path)
	fmt.Fprintf(b, "**%s.** %s", d.Title, d.About)
	if said := marks(d.Secret, d.Deprecated, d.Pending); said != "" {
		fmt.Fprintf(b, " *%s*", said[1:])
	}
	fmt.Fprintf(b, "\n\n- Type: %s\n", d.Type)
	short, long := p.examples()
	if p.required {
		b.WriteString("- Must be given\n")
	} else {
		fact(b, "Default", p.start())
	}
	fact(b, "Example", short...)
	fact(b, "Variable", quoted(d.Variables)...)
	for _, example := range long {
		fmt.Fprintf(b, "\n```yaml\n%s\n```\n", example)
	}
}

func fact(b *bytes.Buffer, name string, said ...string) {
	if all := strings.Join(said, ", "); all != "" {
		fmt.Fprintf(b, "- %s: %s\n", name, all)
	}
}

func quoted(words []string) []string {
	var all []string
	for _, word := range words {
		all = append(all, "`"+word+"`")
	}
	return all
}

// examples answers those of one line as they are, and the others as whole documents would hold them.
func (p place) examples() (short, long []string) {
	for _, value := range p.node.Examples {
		line := snippet(value, p.path[len(p.path)-1])
		if strings.Contains(line, "\n") {
			long = append(long, snippet(value, p.path...))
		} else {
			short = append(short, "`"+line+"`")
		}
	}
	return short, long
}
