package yaml11

import "fmt"

// entries collects the keys of one mapping in the order of their first mention.
type entries struct {
	*Value
	merged map[ident]bool // keys that came from merge keys only, so far
	index  map[ident]int  // nil while a linear search is cheap
}

// put sets a key to a value; the last one wins. It answers the key that was there before, or nil.
func (m *entries) put(key, val *Value) *Value {
	i := m.find(key)
	if i < 0 {
		m.Keys, m.Items = append(m.Keys, key), append(m.Items, val)
		if m.index != nil {
			m.index[key.ident()] = len(m.Keys) - 1
		}
		return nil
	}
	before := m.Keys[i]
	m.Keys[i], m.Items[i] = key, val
	return before
}

const linear = 8 // keys up to which comparing them all beats a map

func (m *entries) find(key *Value) int {
	if len(m.Keys) <= linear {
		for i, k := range m.Keys {
			if k.ident() == key.ident() {
				return i
			}
		}
		return -1
	}
	if m.index == nil {
		m.index = make(map[ident]int, 4*linear)
		for i, k := range m.Keys {
			m.index[k.ident()] = i
		}
	}
	if i, ok := m.index[key.ident()]; ok {
		return i
	}
	return -1
}

// duplicate is the problem of a key that stands twice in one mapping.
func duplicate(origin string, first, second *Value) Problem {
	return Problem{File: origin, Line: second.Line, Column: second.Column,
		Message: fmt.Sprintf("the same key stands in line %d and in line %d", first.Line, second.Line),
		Remedy:  "remove one of the two; only the last one would count"}
}
