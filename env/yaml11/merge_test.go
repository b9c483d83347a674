package yaml11_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/yaml11"
)

func top(t testing.TB, origin, data string) *yaml11.Value {
	t.Helper()
	doc, err := yaml11.Parse(origin, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Top
}

func render(t testing.TB, v *yaml11.Value) string {
	t.Helper()
	out, err := yaml11.Render(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestMerge(t *testing.T) {
	tests := []struct{ name, base, over, want string }{
		{"mappings merge", "a: {b: 1, c: 2}\nd: 3", "a: {c: 4, e: 5}", "a: {b: 1, c: 4, e: 5}\nd: 3"},
		{"lists replace", "a: {b: [1, 2, 3]}", "a: {b: [4]}", "a: {b: [4]}"},
		{"null removes", "a: {b: 1, c: 2}", "a: {b: null}", "a: {c: 2}"},
		{"null removes a mapping", "a: {b: {c: 1}}\nd: 1", "a:", "d: 1"},
		{"null of what is not there", "a: 1", "b: {c: null, d: {e: ~}}", "a: 1\nb: {d: {}}"},
		{"a null in a list stays", "a: 1", "a: [~, 1]", "a: [~, 1]"},
		{"a scalar over a mapping", "a: {b: 1}", "a: 2", "a: 2"},
		{"a mapping over a scalar", "a: 2", "a: {b: 1}", "a: {b: 1}"},
		{"an empty mapping changes nothing", "a: {b: 1}", "a: {}", "a: {b: 1}"},
		{"removed and set again keeps one", "{a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1}", "{b: ~, j: 2, c: ~}", "{a: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 2}"},
		{"merge keys of the layer count first", "a: {b: 1, c: 2}", "x: &x {b: 7}\na: {<<: *x}", "x: {b: 7}\na: {b: 7, c: 2}"},
		{"equal in Python is one key", "a: {1: x}", "a: {true: y}", "a: {true: y}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, over := top(t, "base", tt.base), top(t, "over", tt.over)
			before := [2]string{render(t, base), render(t, over)}
			got := yaml11.Merge(base, over)
			if want := top(t, "want", tt.want); !yaml11.Equal(got, want) {
				t.Errorf("got\n%swant\n%s", render(t, got), tt.want)
			}
			if after := [2]string{render(t, base), render(t, over)}; after != before {
				t.Error("the merge has changed what was merged")
			}
			if changes := yaml11.Diff(base, yaml11.Merge(base, top(t, "none", "{}"))); len(changes) > 0 {
				t.Errorf("laying nothing over it changes %v", changes)
			}
		})
	}
}

func TestMergedValuesKnowTheirPlace(t *testing.T) {
	got := yaml11.Merge(top(t, "base.yml", "a:\n  b: 1\n  c: 2\n"), top(t, "over.yml", "\na:\n  c: 3\n"))
	want := map[string]yaml11.Place{"b": {File: "base.yml", Line: 2, Column: 6}, "c": {File: "over.yml", Line: 3, Column: 6}}
	for key, place := range want {
		if diff := cmp.Diff(place, got.Get("a", key).Place); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
}

func TestDiff(t *testing.T) {
	before := top(t, "before", "a: {b: 1, c: [1, 2], d: x, '5': 1}\ngone: {x: 1}\n")
	after := top(t, "after", "new: 1\na: {d: x, c: [1, 3], b: '1', '5': 1}\n")
	var got []string
	for _, change := range yaml11.Diff(before, after) {
		sign := "~"
		switch {
		case change.Before == nil:
			sign = "+"
		case change.After == nil:
			sign = "-"
		}
		got = append(got, sign+strings.Join(change.Path, "."))
	}
	if diff := cmp.Diff([]string{"+new", "~a.c", "~a.b", "-gone"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRenderMeansTheSame(t *testing.T) {
	tests := []string{
		"a: 1", "a: {}", "a: []", "a: [[], {}, [1]]", "a: ''", "a: ' x '", "a: \"x\\ty\\u2028z\\r\\n\"", "a: |\n  x\n   y\n\n\n", "a: |-\n  x\n  y", "a: |\n    x\n   \n", "a: \"\\n\\nx\\n\"", "a: \"\\n    hello\\n    world\"", "a: \"\\n  hello\\nworld\"", "? \"\\n  hello\\nworld\"\n: 1", "a: \" x\\ny\"",
		"a: [yes, no, on, off, true, ~, 'yes', 'null', '~', '']", "a: [0600, 0x1f, 0b11, 12:30, 1_000, '0600', '12:30', 08, 1e3, '1.5']",
		"a: [1.5, 1.0e+16, 1.0e-7, .inf, -.inf, .nan, -0.0, 190:20:30.15]", "a: [2001-12-14, 2001-12-14t21:59:43.10-05:00, '2001-12-14', 2001-12-14 21:59:43 Z]",
		"a: [!!binary aGVsbG8=, !!binary '']", "a: !!set {b, c, 'yes'}", "a: !!set {}", "a: !!omap [x: 1, y: 2]", "? 'x: y'\n: {'#': '# no comment', '- ': '- no list', '*x': '&y', '!': '!t', '%': '%'}",
		"a: {1: x, true: y, 1.5: z, null: w, 2001-12-14: v}", "a: {'=': 1, '<<': 2}", "a: ['a: b', 'a #b', 'a:', ':a', '? x', \"it's\", '\"', '{', '[', ',', '|', '>', '@', '`', '\\']", "a: ü€😀", "a: \"\\u00a0\\ufeffx\"",
	}
	for _, data := range tests {
		want := top(t, "before", data)
		out := render(t, want)
		doc, err := yaml11.Parse("after", []byte(out))
		if err != nil {
			t.Errorf("%s\nis rendered as\n%s: %v", data, out, err)
		} else if !yaml11.Equal(want, doc.Top) {
			t.Errorf("%s\nis rendered as\n%s, which is %q", data, out, render(t, doc.Top))
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, data := range []string{"a: &x [1, *x]", "a: {<<: {b: 1}}", "a: |\n  x\n\n  y\n", "a: !!set {b}", "a: !!binary aGVsbG8=", "? 'x: y'\n: 1.5", "a: \"\\u2028\\r\\n x\""} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := yaml11.Parse("before", data)
		if err != nil || len(data) > 4096 {
			return
		}
		out, err := yaml11.Render(doc.Top, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := yaml11.Parse("after", out)
		if err != nil {
			t.Fatalf("rendered as\n%s: %v", out, err)
		}
		if !yaml11.Equal(doc.Top, again.Top) {
			t.Fatalf("rendered as\n%s", out)
		}
	})
}
