package env

import (
	"bytes"
	"fmt"
	"strings"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// Merge makes one environment of a base and of the layers laid over it, in order: mappings are merged, lists replaced, and
// null takes a key away. Its values keep the places where they were written, and its Data is the result as one document.
// A base without layers stays as it is.
func Merge(base *Document, layers ...*Document) (*Document, error) {
	if len(layers) == 0 {
		return base, nil
	}
	merged := &Document{&yaml11.Document{Top: base.Top, Duplicates: base.Duplicates}, append([]*Document{base}, layers...)}
	names, values := []string{base.Origin}, base.Top.Values()
	for _, layer := range layers {
		if values += layer.Top.Values(); values > yaml11.MaxValues {
			return nil, tooLarge(merged.layers)
		}
		merged.Top = yaml11.Merge(merged.Top, layer.Top)
		merged.Duplicates = append(merged.Duplicates[:len(merged.Duplicates):len(merged.Duplicates)], layer.Duplicates...)
		names = append(names, layer.Origin)
	}
	merged.Origin = strings.Join(names, " + ")
	body, err := yaml11.Render(merged.Top, nil)
	if err != nil {
		return nil, err
	}
	merged.Data = append(fmt.Appendf(nil, "#cloud-config\n# Made of %s: change it there.\n", oneLine(strings.Join(names, ", "))), body...)
	if len(merged.Data) > MaxSize {
		return nil, tooLarge(merged.layers)
	}
	return merged, nil
}

func tooLarge(layers []*Document) error {
	return remedy.With(fmt.Errorf("cannot use %s with %d layers: together they hold too much", layers[0].Origin, len(layers)-1),
		"move large content out of the environment")
}

// Layers are the documents that this one is made of, the base first; of a document that was not merged, itself.
func (d *Document) Layers() []*Document {
	if d.layers == nil {
		return []*Document{d}
	}
	return d.layers
}

// Given is what one layer says of a key.
type Given struct {
	Layer *Document
	Value *yaml11.Value // a null takes the key away
}

// Given lists what the layers say of the key at a path, the one that counts first. A path is what Find answers.
func (d *Document) Given(path []string) []Given {
	var given []Given
	layers := d.Layers()
	for i := len(layers) - 1; i >= 0; i-- {
		if v, ok := layers[i].Top.Locate(path); ok {
			given = append(given, Given{layers[i], v})
		}
	}
	return given
}

// Find answers the path that a key names, such as appliance.extra.files[0].path, and the value there. A part that has
// dots of its own is found, too.
func (d *Document) Find(key string) (path []string, v *yaml11.Value, ok bool) {
	parts := Path(key)
	v, path, ok = find(d.Top, nil, parts)
	if !ok {
		return parts, nil, false
	}
	return path, v, true
}

func find(at *yaml11.Value, path, parts []string) (*yaml11.Value, []string, bool) {
	if len(parts) == 0 {
		return at, path, true
	}
	for n := len(parts); n > 0; n-- {
		part := strings.Join(parts[:n], ".")
		below, ok := at.Locate([]string{part})
		if !ok {
			continue
		}
		if v, whole, ok := find(below, append(path[:len(path):len(path)], part), parts[n:]); ok {
			return v, whole, true
		}
	}
	return nil, nil, false
}

// hiddenText stands in the place of a secret.
const hiddenText = "[secret]"

// Show writes the environment as YAML with secrets hidden, unless they are to be revealed. A remark on a value, if there is
// one, stands beside it as a comment.
func (d *Document) Show(reveal bool, remark func(*yaml11.Value) string) ([]byte, error) {
	shown := d.Top
	if !reveal {
		shown = d.Redact(nil, d.Top)
	}
	body, err := yaml11.Render(shown, func(_ []string, v *yaml11.Value) string {
		if remark == nil || v.Kind == yaml11.Mapping && len(v.Items) > 0 {
			return ""
		}
		return remark(v)
	})
	return append(bytes.Clone([]byte("#cloud-config\n")), body...), err
}

// Redact answers the value at a path with every secret in it hidden. Nothing and truth values are no secrets.
func (d *Document) Redact(path []string, v *yaml11.Value) *yaml11.Value {
	switch v.Kind {
	case yaml11.Null, yaml11.Boolean:
		return v
	case yaml11.Mapping, yaml11.List:
		shown := *v
		shown.Items = make([]*yaml11.Value, len(v.Items))
		for i, item := range v.Items {
			part := fmt.Sprint(i)
			if v.Kind == yaml11.Mapping {
				part = v.Keys[i].Text
			}
			shown.Items[i] = d.Redact(append(path[:len(path):len(path)], part), item)
		}
		return &shown
	}
	if !isSecret(path) && !hasPassword(v.Text) {
		return v
	}
	return &yaml11.Value{Place: v.Place, Kind: yaml11.Text, Text: hiddenText}
}
