// Package flat turns environment documents into flat lists of variables, for shells and other programs.
package flat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// maxFlat bounds the flattened document in bytes, because a long key is repeated in the name of all that is below it.
const maxFlat = 64 << 20

// Var is one flattened leaf. Value is as a shell variable would hold it, not quoted.
type Var struct {
	yaml11.Place
	Key   string
	Value string

	quoted bool          // text, which a shell needs in quotes
	whole  bool          // the document chose all of the name: no key was asked for by name
	clash  *yaml11.Value // a leaf of the same name that this one has replaced
}

// Flatten lists the leaves below the named keys at the top of a document ("." for the whole of it) as KEY_SUBKEY_0, where
// combine stands for "_", sorted within each named key, the keys in the order asked. A list has a further leaf _LEN with
// the number of its items. Keys that the document does not have are left out.
//
// It fails where the predecessor failed: at keys that YAML 1.1 reads as something else than text.
func Flatten(top *yaml11.Value, combine string, keys ...string) ([]Var, error) {
	var vars []Var
	for _, name := range keys {
		f := flattener{combine: combine}
		from, prefix := top, ""
		if name != "." {
			if from = top.Get(name); from == nil {
				continue
			}
			prefix = f.upper("", name) + combine
		}
		f.leaves = make([]leaf, 0, count(from))
		if err := f.walk(path{kind: yaml11.Text}, from); err != nil {
			return nil, err
		}
		vars = f.appendTo(vars, prefix)
	}
	return vars, nil
}

// path is the name so far. Python knows only its truth: below "" or 0 a name begins anew, and names of numbers fail
// only once something is joined to them.
type path struct {
	yaml11.Place // of the last key
	kind         yaml11.Kind
	name         []byte
}

func (p path) truth() bool {
	switch p.kind {
	case yaml11.Null:
		return false
	case yaml11.Boolean:
		return string(p.name) == "true"
	case yaml11.Integer:
		return string(p.name) != "0"
	case yaml11.Float:
		return string(p.name) != "0.0" && string(p.name) != "-0.0"
	case yaml11.Binary:
		return string(p.name) != "b''"
	}
	return len(p.name) > 0
}

type leaf struct {
	key   string
	value *yaml11.Value
}

type flattener struct {
	combine string
	leaves  []leaf
	names   strings.Builder // a piece of memory that many names are in
	bytes   int
}

// room answers where a name of n bytes can be written behind others: a large document has a hundred thousand, all short.
func (f *flattener) room(n int) *strings.Builder {
	if f.names.Cap()-f.names.Len() < n {
		f.names.Reset()
		f.names.Grow(max(n, 4<<10))
	}
	return &f.names
}

// count is how many leaves there are below a value.
func count(v *yaml11.Value) (n int) {
	if v.Kind != yaml11.Mapping && v.Kind != yaml11.List {
		return 1
	}
	for _, item := range v.Items {
		n += count(item)
	}
	return n + 1 // the length of a list
}

func (f *flattener) walk(at path, v *yaml11.Value) error {
	switch v.Kind {
	case yaml11.Mapping:
		for i, key := range v.Keys {
			below, err := f.join(at, key.Kind, key.Text, key.Place)
			if err == nil {
				err = f.walk(below, v.Items[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	case yaml11.List:
		for i, item := range v.Items {
			below, err := f.join(at, yaml11.Text, strconv.Itoa(i), item.Place)
			if err == nil {
				err = f.walk(below, item)
			}
			if err != nil {
				return err
			}
		}
		if at.kind != yaml11.Text {
			return keyError(at)
		}
		at.name = append(append(at.name, f.combine...), "len"...)
		return f.leaf(at, &yaml11.Value{Kind: yaml11.Integer, Text: strconv.Itoa(len(v.Items)), Place: v.Place})
	}
	return f.leaf(at, v)
}

func (f *flattener) join(at path, kind yaml11.Kind, name string, place yaml11.Place) (path, error) {
	if !at.truth() {
		return path{place, kind, []byte(name)}, nil
	}
	if at.kind != yaml11.Text {
		return path{}, keyError(at)
	}
	if kind != yaml11.Text {
		return path{}, keyError(path{place, kind, nil})
	}
	at.name = append(append(at.name, f.combine...), name...)
	at.Place = place
	return at, nil
}

func keyError(at path) error {
	return remedy.With(fmt.Errorf("cannot flatten: %s:%d:%d: the key is %s, not text", at.File, at.Line, at.Column, at.kind), "put the key in quotes")
}

func (f *flattener) leaf(at path, v *yaml11.Value) error {
	if at.kind != yaml11.Text {
		return keyError(at)
	}
	if v.Kind == yaml11.Set {
		printed, err := pySet(v)
		if err != nil {
			return err
		}
		v = &yaml11.Value{Kind: yaml11.Set, Text: printed, Place: v.Place}
	}
	if f.bytes += len(at.name) + len(v.Text); f.bytes > maxFlat {
		return remedy.With(fmt.Errorf("cannot flatten: more than %d MiB", maxFlat>>20), "use shorter keys, or ask for fewer")
	}
	names := f.room(len(at.name))
	start := names.Len()
	names.Write(at.name)
	f.leaves = append(f.leaves, leaf{names.String()[start:], v})
	return nil
}

// pySet prints a set as Python does, its members in the order of the document: Python's own order is not defined.
func pySet(v *yaml11.Value) (string, error) {
	if len(v.Keys) == 0 {
		return "set()", nil
	}
	members := make([]string, len(v.Keys))
	for i, key := range v.Keys {
		switch key.Kind {
		case yaml11.Text:
			members[i] = yaml11.PyText(key.Text)
		case yaml11.Null:
			members[i] = "None"
		case yaml11.Boolean:
			members[i] = strings.ToUpper(key.Text[:1]) + key.Text[1:]
		case yaml11.Timestamp:
			return "", remedy.With(fmt.Errorf("cannot flatten: %s:%d:%d: a set of dates", key.File, key.Line, key.Column), "write a list, or put the dates in quotes")
		default:
			members[i] = key.Text
		}
	}
	return "{" + strings.Join(members, ", ") + "}", nil
}

// appendTo sorts the leaves by their names as written, before upper-casing, and keeps the last of the same name.
func (f *flattener) appendTo(vars []Var, prefix string) []Var {
	slices.SortStableFunc(f.leaves, func(a, b leaf) int { return strings.Compare(a.key, b.key) })
	vars = slices.Grow(vars, len(f.leaves))
	var clash *yaml11.Value
	for i, l := range f.leaves {
		if i+1 < len(f.leaves) && f.leaves[i+1].key == l.key {
			if f.leaves[i+1].value.Place != l.value.Place { // an alias says the same again
				clash = l.value
			}
			continue
		}
		v := Var{Key: f.upper(prefix, l.key), Value: l.value.Text, Place: l.value.Place, whole: prefix == "", clash: clash}
		if l.value.Kind == yaml11.Text {
			v.quoted, v.Value = true, yaml11.Strip(v.Value)
		}
		vars, clash = append(vars, v), nil
	}
	return vars
}

// upper is Python's str.upper of s, which differs from Go's where one letter becomes several, with a prefix before it.
func (f *flattener) upper(prefix, s string) string {
	b := f.room(len(prefix) + len(s))
	start := b.Len()
	b.WriteString(prefix)
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z':
			b.WriteByte(byte(r) - 'a' + 'A')
			continue
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
			continue
		}
		if at := strings.Index(expanding, "\n"+string(r)); at >= 0 {
			to := expanding[at+1+utf8.RuneLen(r):]
			b.WriteString(to[:strings.IndexByte(to, '\n')])
			continue
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()[start:]
}
