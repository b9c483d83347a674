package flat_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"appliance/env/flat"
	"appliance/env/yaml11"
)

func parse(t testing.TB, data string) *yaml11.Document {
	t.Helper()
	doc, err := yaml11.Parse("env.yml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestFlattenKeysThatAreNotText(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"number with a value", "a: {1: x}", "!"},
		{"number with a mapping", "a: {1: {b: x}}", "!"},
		{"number with an empty mapping", "a: {1: {}}", ""},
		{"number with a list", "a: {0: []}", "!"},
		{"truth value below text", "a: {b: {on: x}}", "!"},
		{"what Python counts as false vanishes", "a: {0.0: {b: 1}, null: {c: 2}}", "A_B=1\nA_C=2\n"},
		{"equal in Python", "a: {0: {b: 1}, false: {c: 2}}", "A_C=2\n"},
		{"empty text vanishes", "a: {'': {b: 1}}", "A_B=1\n"},
		{"merge in quotes is a key", "a: {'<<': 1}", "A_<<=1\n"},
		{"equals sign is a key", "a: {=: 1}", "A_==1\n"},
		{"elsewhere they do no harm", "b: {1: x}\na: {c: 1}", "A_C=1\n"},
		{"letters that grow", "a: {ŉß: 1}", "A_ʼNSS=1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := flattened([]byte(tt.data), "a")
			if err != nil {
				got = "!"
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "cannot flatten: stdin:1:") {
				t.Error(err)
			}
		})
	}
}

func TestFlattenIsBounded(t *testing.T) {
	data := "a:\n  " + strings.Repeat("k", 1<<20) + ":\n" + strings.Repeat("  - x\n", 1000)
	if _, err := flat.Flatten(parse(t, data).Top, "_", "a"); err == nil {
		t.Error("flattened a name of 1 MiB a thousand times")
	}
}

// document makes an environment of at least n bytes in the manner of a real one.
func document(n int) []byte {
	var b bytes.Buffer
	b.WriteString("#cloud-config\nappliance:\n  domain: ecs.example.org\n  storage: {ignore: {data: yes, volatile: yes}}\necs:\n")
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "  service%d:\n    enabled: yes\n    port: 80%d\n    names: [a.example.org, 'b c']\n    note: it's fine # a comment\n", i, i)
	}
	return b.Bytes()
}

func benchmarkFlatten(b *testing.B, size int) {
	data := document(size)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		doc, err := yaml11.Parse("env.yml", data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := flat.Print(io.Discard, doc, []string{"ecs", "appliance"}, options(flat.Shell)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlatten1k(b *testing.B)  { benchmarkFlatten(b, 1<<10) }
func BenchmarkFlatten10k(b *testing.B) { benchmarkFlatten(b, 10<<10) }
func BenchmarkFlatten1M(b *testing.B)  { benchmarkFlatten(b, 1<<20) }
