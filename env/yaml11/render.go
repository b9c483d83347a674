package yaml11

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Render writes a value as a YAML document that means the same to readers of YAML 1.1 and to Parse: text that could be
// read as anything else is quoted, numbers are decimal, aliases and merge keys are expanded. A remark, if there is one,
// stands as a comment above or beside what it is made of.
func Render(top *Value, remark func(path []string, v *Value) string) ([]byte, error) {
	if remark == nil {
		remark = func([]string, *Value) string { return "" }
	}
	r := renderer{remark}
	var out bytes.Buffer
	dumper, err := yaml.NewDumper(&out, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithUnicode(true))
	if err == nil {
		err = dumper.Dump(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{r.node(nil, top)}})
	}
	if err == nil {
		err = dumper.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write YAML: %w", err)
	}
	return out.Bytes(), nil
}

type renderer struct {
	remark func(path []string, v *Value) string
}

func (r renderer) node(path []string, v *Value) *yaml.Node {
	switch v.Kind {
	case List:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i, item := range v.Items {
			n.Content = append(n.Content, r.node(append(path[:len(path):len(path)], fmt.Sprint(i)), item))
		}
		return n
	case Mapping, Set:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if v.Kind == Set {
			n.Tag, n.Style = "!!set", yaml.TaggedStyle
		}
		for i, key := range v.Keys {
			below := append(path[:len(path):len(path)], key.Text)
			name, item := scalarNode(key), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
			if v.Kind == Mapping {
				item = r.node(below, v.Items[i])
				annotate(name, item, r.remark(below, v.Items[i]))
			}
			n.Content = append(n.Content, name, item)
		}
		return n
	}
	return scalarNode(v)
}

// annotate puts a remark beside a value of one line, and above any other.
func annotate(name, item *yaml.Node, remark string) {
	switch {
	case remark == "":
	case item.Kind == yaml.ScalarNode && item.Style&yaml.LiteralStyle == 0:
		item.LineComment = remark
	default:
		name.HeadComment = remark
	}
}

func scalarNode(v *Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: v.Text}
	switch v.Kind {
	case Null:
		n.Tag, n.Value = "!!null", "null"
	case Boolean:
		n.Tag = "!!bool"
	case Integer:
		n.Tag = "!!int"
	case Float:
		n.Tag, n.Value = "!!float", floatLiteral(v.Text)
	case Timestamp:
		n.Tag = "!!timestamp"
	case Binary:
		n.Tag, n.Style, n.Value = "!!binary", yaml.TaggedStyle|yaml.DoubleQuotedStyle, v.base64
	default:
		n.Tag, n.Style = "!!str", textStyle(v.Text)
	}
	return n
}

// floatLiteral writes what Python prints of a number so that YAML 1.1 reads a number: with a point, which 1e+16 has not.
func floatLiteral(printed string) string {
	switch sign, rest := strings.TrimSuffix(printed, strings.TrimLeft(printed, "-")), strings.TrimLeft(printed, "-"); {
	case rest == "inf" || rest == "nan":
		return sign + "." + rest
	case !strings.Contains(printed, "."):
		if mantissa, exponent, ok := strings.Cut(printed, "e"); ok {
			return mantissa + ".0e" + exponent
		}
	}
	return printed
}

// textStyle leaves plain words bare, and writes several lines as a block.
func textStyle(s string) yaml.Style {
	if kind, _, err := Resolve(s); err == nil && kind == Text && strings.Trim(s, wordLetters) == "" && s != "" && strings.Trim(s[:1], firstLetters) == "" && !strings.HasSuffix(s, ":") {
		return 0
	}
	// A block cannot say how deep its first line is indented when an empty one comes before it.
	if strings.Contains(strings.TrimRight(s, "\n"), "\n") && !strings.HasPrefix(s, "\n") && strings.IndexFunc(s, func(r rune) bool {
		return r == '\r' || r == '\t' || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}) < 0 {
		return yaml.LiteralStyle
	}
	return yaml.DoubleQuotedStyle
}

const (
	firstLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/"
	wordLetters  = firstLetters + "0123456789_.@+-:"
)
