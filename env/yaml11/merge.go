package yaml11

// Merge lays one value over another and changes neither: mappings are merged key by key, a null takes its key away, and
// anything else, lists too, replaces what was there (RFC 7396). Every value keeps the place where it was written.
func Merge(base, over *Value) *Value {
	if over.Kind != Mapping {
		return over
	}
	m := entries{Value: &Value{Place: over.Place, Kind: Mapping}}
	if base != nil && base.Kind == Mapping {
		m.Place = base.Place
		for i, key := range base.Keys {
			m.put(key, base.Items[i])
		}
	}
	for i, key := range over.Keys {
		if over.Items[i].Kind == Null {
			if at := m.find(key); at >= 0 {
				m.Items[at] = nil // taken out at the end, all at once
			}
			continue
		}
		var under *Value
		if at := m.find(key); at >= 0 {
			under = m.Items[at]
		}
		m.put(key, Merge(under, over.Items[i]))
	}
	m.compact()
	return m.Value
}

// compact takes out the keys whose items are gone. It ends the use of the index.
func (m *entries) compact() {
	kept := 0
	for i, item := range m.Items {
		if item != nil {
			m.Keys[kept], m.Items[kept] = m.Keys[i], item
			kept++
		}
	}
	m.Keys, m.Items = m.Keys[:kept], m.Items[:kept]
}

// Change is one difference between two documents. Before is nil for what is new, After for what is gone.
type Change struct {
	Path   []string
	Before *Value
	After  *Value
}

// Diff lists what differs, in the order of after, then what is gone. Mappings are compared key by key, lists as a whole.
func Diff(before, after *Value) []Change { return diff(nil, before, after) }

func diff(path []string, before, after *Value) []Change {
	if before.Kind != Mapping || after.Kind != Mapping {
		if Equal(before, after) {
			return nil
		}
		return []Change{{path, before, after}}
	}
	var changes []Change
	old, now := entries{Value: before}, entries{Value: after}
	for i, key := range after.Keys {
		below := append(path[:len(path):len(path)], key.Text)
		if at := old.find(key); at >= 0 {
			changes = append(changes, diff(below, before.Items[at], after.Items[i])...)
		} else {
			changes = append(changes, Change{below, nil, after.Items[i]})
		}
	}
	for i, key := range before.Keys {
		if now.find(key) < 0 {
			changes = append(changes, Change{append(path[:len(path):len(path)], key.Text), before.Items[i], nil})
		}
	}
	return changes
}

// Equal says whether two values mean the same, wherever they are written. The order of keys means nothing.
func Equal(a, b *Value) bool {
	if a == b {
		return true
	}
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Keys) != len(b.Keys) || len(a.Items) != len(b.Items) {
		return false
	}
	if a.Kind == List {
		for i := range a.Items {
			if !Equal(a.Items[i], b.Items[i]) {
				return false
			}
		}
		return true
	}
	other := entries{Value: b}
	for i, key := range a.Keys {
		at := other.find(key)
		if at < 0 || a.Kind == Mapping && !Equal(a.Items[i], b.Items[at]) {
			return false
		}
	}
	return true
}
