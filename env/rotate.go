package env

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// Rotated answers the text of the document with a new pair of keys of the storage vault. The old pair goes into ecs.vault_retired. No other
// line changes. It refuses a text in which the keys are not written as keys with indented text below them.
func (d *Document) Rotated(encrypt, sign string, now time.Time) ([]byte, error) {
	old := d.Settings().Vault
	var root yaml.Node
	if err := yaml.Unmarshal(d.Data, &root); err != nil || len(root.Content) != 1 {
		return nil, d.notByHand("it is not one YAML document")
	}
	_, ecs := child(root.Content[0], "ecs")
	if ecs == nil || ecs.Kind != yaml.MappingNode || ecs.Style&yaml.FlowStyle != 0 {
		return nil, d.notByHand("the keys do not stand in lines below ecs:")
	}
	edit := textEdit{lines: slices.Collect(bytes.Lines(d.Data)), node: ecs}
	err := errors.Join(edit.setKey("vault_encrypt", encrypt), edit.setKey("vault_sign", sign))
	if err == nil {
		err = edit.retire([]string{old.Encrypt, old.Sign}, now)
	}
	if err != nil {
		return nil, d.notByHand(err.Error())
	}
	text := edit.apply()
	return text, d.sameBut(text, Vault{Encrypt: yaml11.Strip(encrypt), Sign: yaml11.Strip(sign), Retired: append([]string{old.Encrypt, old.Sign}, old.Retired...)})
}

func (d *Document) notByHand(why string) error {
	return remedy.With(fmt.Errorf("cannot change the keys in %s: %s", d.Origin, why), "have them written to a file with --output, and put them into the environment by hand")
}

// sameBut makes sure that a new text says what it should, and nothing else differs.
func (d *Document) sameBut(text []byte, want Vault) error {
	after, err := Parse(d.Origin, text)
	if err != nil {
		return d.notByHand("the result could not be read")
	}
	for _, change := range yaml11.Diff(d.Top, after.Top) {
		if len(change.Path) < 2 || change.Path[0] != "ecs" || !strings.HasPrefix(change.Path[1], "vault_") {
			return d.notByHand(dotted(change.Path) + " would have changed with them")
		}
	}
	got := after.Settings().Vault
	if got.Encrypt != want.Encrypt || got.Sign != want.Sign || !slices.Equal(got.Retired, want.Retired) {
		return d.notByHand("the result does not have the keys that it should have")
	}
	return nil
}

// child answers the key and the value of a name in a mapping.
func child(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// textEdit changes lines of a text and leaves all others as they are.
type textEdit struct {
	lines   [][]byte
	node    *yaml.Node // the mapping whose entries change
	changes []change
}

// change puts text in the place of lines.
type change struct {
	from, to int // from 0, to not included
	text     string
}

// extent answers the lines of an entry of the mapping: that of the key, and those below it that are indented deeper.
func (e *textEdit) extent(key *yaml.Node) (from, to int) {
	from = key.Line - 1
	to = from + 1
	for i := to; i < len(e.lines); i++ {
		line := bytes.TrimRight(e.lines[i], " \r\n")
		indent := len(line) - len(bytes.TrimLeft(line, " "))
		item := indent == key.Column-1 && bytes.HasPrefix(line[indent:], []byte("-")) && !bytes.HasPrefix(line, []byte("---"))
		if len(line) > 0 && indent < key.Column && !item {
			break
		}
		if len(line) > 0 {
			to = i + 1
		}
	}
	return from, to
}

// setKey writes a text of several lines below a key that is there.
func (e *textEdit) setKey(name, text string) error {
	key, value := child(e.node, name)
	if key == nil || value.Kind != yaml.ScalarNode || value.Anchor != "" {
		return fmt.Errorf("ecs.%s is not written as text below its key", name)
	}
	from, to := e.extent(key)
	e.changes = append(e.changes, change{from, to, literal(strings.Repeat(" ", key.Column-1)+name+": |"+comment(value), key.Column+1, text)})
	return nil
}

// comment is what stands after the value on the line of its key.
func comment(value *yaml.Node) string {
	if value.LineComment == "" {
		return ""
	}
	return " " + value.LineComment
}

// retire puts texts before those of the list that is there, or begins one after the key that signs.
func (e *textEdit) retire(texts []string, now time.Time) error {
	sign, _ := child(e.node, "vault_sign")
	key, list := child(e.node, "vault_retired")
	items := func(indent int) (text string) {
		head := strings.Repeat(" ", indent) + "- | # until " + now.UTC().Format(time.DateOnly)
		for _, t := range texts {
			text += literal(head, indent+2, t)
		}
		return text
	}
	switch {
	case key == nil:
		_, end := e.extent(sign)
		indent := sign.Column - 1
		e.changes = append(e.changes, change{end, end, strings.Repeat(" ", indent) + "vault_retired:\n" + items(indent+2)})
	case list.Kind == yaml.SequenceNode && len(list.Content) > 0 && list.Style&yaml.FlowStyle == 0:
		at := list.Content[0].Line - 1
		e.changes = append(e.changes, change{at, at, items(list.Column - 1)})
	case list.Kind == yaml.SequenceNode && len(list.Content) == 0 || list.Tag == "!!null":
		from, to := e.extent(key)
		indent := key.Column - 1
		e.changes = append(e.changes, change{from, to, strings.Repeat(" ", indent) + "vault_retired:" + comment(list) + "\n" + items(indent+2)})
	default:
		return errors.New("ecs.vault_retired is not written as a list with an item a line")
	}
	return nil
}

// literal writes a text of several lines, indented, below its head.
func literal(head string, indent int, text string) string {
	var b strings.Builder
	b.WriteString(head + "\n")
	for line := range strings.Lines(strings.TrimSpace(text)) {
		if line = strings.TrimRight(line, " \r\n"); line != "" {
			b.WriteString(strings.Repeat(" ", indent) + line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// apply answers the changed text, with the line ends of the old one.
func (e *textEdit) apply() []byte {
	end := "\n"
	if len(e.lines) > 0 && bytes.HasSuffix(e.lines[0], []byte("\r\n")) {
		end = "\r\n"
	}
	slices.SortStableFunc(e.changes, func(a, b change) int { // what is put in between comes before the lines that go
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	var out []byte
	at := 0
	for _, c := range e.changes {
		out = append(out, bytes.Join(e.lines[at:c.from], nil)...)
		if n := len(out); n > 0 && out[n-1] != '\n' {
			out = append(out, end...)
		}
		out = append(out, strings.ReplaceAll(c.text, "\n", end)...)
		at = c.to
	}
	return append(out, bytes.Join(e.lines[at:], nil)...)
}
