package env

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFlat bounds the flattened document in bytes, because a long key is repeated in the name of all that is below it.
const maxFlat = 64 << 20

var errFlat = fmt.Errorf("cannot flatten: more than %d MiB", maxFlat>>20)

// Var is one flattened leaf. Value is as a shell variable would hold it, not quoted.
type Var struct {
	Key   string
	Value string

	quoted bool // text, which a shell needs in quotes
	line   int
	column int
}

// Flatten lists the leaves below the named top-level keys ("." for the whole document) as KEY_SUBKEY_0, sorted within
// each named key, the keys in the order asked. A list has a further leaf _LEN with the number of its items. Keys that
// the document does not have are left out; Has tells.
//
// It fails where the predecessor failed: at keys that YAML 1.1 reads as something else than text.
func (d *Document) Flatten(keys ...string) ([]Var, error) { return d.FlattenJoined("_", keys...) }

// FlattenJoined is Flatten with another text than "_" between the parts of a name.
func (d *Document) FlattenJoined(combine string, keys ...string) ([]Var, error) {
	var vars []Var
	for _, name := range keys {
		f := flattener{combine: combine}
		from, prefix := d.top, ""
		if name != "." {
			if from = d.top.get(name); from == nil {
				continue
			}
			prefix = upper(name) + combine
		}
		if err := f.walk(path{kind: text}, from); err != nil {
			return nil, err
		}
		vars = f.appendTo(vars, prefix)
	}
	return vars, nil
}

// path is the name so far. Python knows only its truth: below "" or 0 a name begins anew, and names of numbers fail
// only once something is joined to them.
type path struct {
	kind kind
	name []byte
	line int
}

func (p path) truth() bool {
	switch p.kind {
	case null:
		return false
	case boolean:
		return string(p.name) == "true"
	case integer:
		return string(p.name) != "0"
	case float:
		return string(p.name) != "0.0" && string(p.name) != "-0.0"
	case binary:
		return string(p.name) != "b''"
	}
	return len(p.name) > 0
}

type leaf struct {
	key   string
	value *value
}

type flattener struct {
	combine string
	leaves  []leaf
	bytes   int
}

func (f *flattener) walk(at path, v *value) error {
	switch v.kind {
	case mapping:
		for i, key := range v.keys {
			below, err := f.join(at, key.kind, key.text, key.line)
			if err == nil {
				err = f.walk(below, v.items[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	case list:
		for i, item := range v.items {
			below, err := f.join(at, text, strconv.Itoa(i), item.line)
			if err == nil {
				err = f.walk(below, item)
			}
			if err != nil {
				return err
			}
		}
		if at.kind != text {
			return keyError(at)
		}
		at.name = append(append(at.name, f.combine...), "len"...)
		return f.leaf(at, &value{kind: integer, text: strconv.Itoa(len(v.items)), line: v.line, column: v.column})
	}
	return f.leaf(at, v)
}

func (f *flattener) join(at path, kind kind, name string, line int) (path, error) {
	if !at.truth() {
		return path{kind, []byte(name), line}, nil
	}
	if at.kind != text {
		return path{}, keyError(at)
	}
	if kind != text {
		return path{}, keyError(path{kind: kind, line: line})
	}
	at.name = append(append(at.name, f.combine...), name...)
	at.line = line
	return at, nil
}

func keyError(at path) error {
	return fmt.Errorf("cannot flatten: the key in line %d is %s, not text", at.line, at.kind)
}

func (f *flattener) leaf(at path, v *value) error {
	if at.kind != text {
		return keyError(at)
	}
	if v.kind == set {
		printed, err := pySet(v)
		if err != nil {
			return err
		}
		v = &value{kind: set, text: printed, line: v.line, column: v.column}
	}
	if f.bytes += len(at.name) + len(v.text); f.bytes > maxFlat {
		return errFlat
	}
	f.leaves = append(f.leaves, leaf{string(at.name), v})
	return nil
}

// pySet prints a set as Python does, its members in the order of the document: Python's own order is not defined.
func pySet(v *value) (string, error) {
	if len(v.keys) == 0 {
		return "set()", nil
	}
	members := make([]string, len(v.keys))
	for i, key := range v.keys {
		switch key.kind {
		case text:
			members[i] = pyText(key.text)
		case null:
			members[i] = "None"
		case boolean:
			members[i] = strings.ToUpper(key.text[:1]) + key.text[1:]
		case timestamp:
			return "", errors.New("cannot flatten: a set of dates")
		default:
			members[i] = key.text
		}
	}
	return "{" + strings.Join(members, ", ") + "}", nil
}

// appendTo sorts the leaves by their names as written, before upper-casing, and keeps the last of the same name.
func (f *flattener) appendTo(vars []Var, prefix string) []Var {
	slices.SortStableFunc(f.leaves, func(a, b leaf) int { return cmp.Compare(a.key, b.key) })
	vars = slices.Grow(vars, len(f.leaves))
	for i, l := range f.leaves {
		if i+1 < len(f.leaves) && f.leaves[i+1].key == l.key {
			continue
		}
		v := Var{Key: prefix + upper(l.key), Value: l.value.text, line: l.value.line, column: l.value.column}
		if l.value.kind == text {
			v.quoted, v.Value = true, strip(v.Value)
		}
		vars = append(vars, v)
	}
	return vars
}

// strip takes away what Python counts as space.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}

// upper is Python's str.upper, which differs from Go's where one letter becomes several.
func upper(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	if i < 0 {
		return strings.ToUpper(s)
	}
	var b strings.Builder
	for _, r := range s {
		if r >= utf8.RuneSelf {
			if at := strings.Index(expanding, "\n"+string(r)); at >= 0 {
				to := expanding[at+1+utf8.RuneLen(r):]
				b.WriteString(to[:strings.IndexByte(to, '\n')])
				continue
			}
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
