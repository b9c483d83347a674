package yaml11_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// bomb makes each anchor nine times the one before it.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [lol]\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	return b.String()
}

// mergeChain makes each mapping repeat all the keys before it, so that the work grows with the square.
func mergeChain(links int) string {
	var b strings.Builder
	b.WriteString("m0: &m0 {k0: 1}\n")
	for i := 1; i <= links; i++ {
		fmt.Fprintf(&b, "m%d: &m%d {<<: *m%d, k%d: 1}\n", i, i, i-1, i)
	}
	return b.String()
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, data string
		want       string // the first problem without its remedy
	}{
		{"empty", "", "env.yml: is empty"},
		{"blank", " \n\n", "env.yml: is empty"},
		{"only comments", "#cloud-config\n# nothing\n", "env.yml: is empty"},
		{"binary", "a: 1\nb: \x7fELF\x02\n", "env.yml:2:4: is binary: control character U+007F"},
		{"NUL", "a: 1\nb: x\x00y\n", "env.yml:2:5: is binary: control character U+0000"},
		{"10 MB", strings.Repeat("a: 12345\n", 10<<20/9), "env.yml: is larger than 4 MiB: 10485756 bytes"},
		{"not UTF-8", "a: ü\nb: ü\xfc\n", "env.yml:2:5: is not UTF-8: byte 0xfc"},
		{"UTF-16", "\xff\xfea\x00", "env.yml:1:1: is not UTF-8: byte 0xff"},
		{"tab indentation", "a:\n\tb: 1\n", "env.yml:2:1: is not YAML: a tab in the indentation"},
		{"open bracket", "a: [1, 2\n", "env.yml:2:1: is not YAML: did not find expected ',' or ']' while parsing a flow sequence"},
		{"unknown escape", `a: "\q"`, `env.yml:1:5: is not YAML: an escape (\x) that is not known`},
		{"several documents", "a: 1\n---\nb: 2\n", "env.yml:2:1: holds several documents"},
		{"list at the top", "- a\n- b\n", "env.yml:1:1: must be a mapping of keys at the top, found a list"},
		{"text at the top", "#cloud-config\nhello\n", "env.yml:2:1: must be a mapping of keys at the top, found text"},
		{"alias without anchor", "a:\n  password: *hunter2\n", "env.yml:2:13: is not YAML: an alias (*name) without its anchor (&name)"},
		{"anchor that hides a password", "a:\n  password: &hunter$2\n", "env.yml:2:13: the name of an anchor (&name) may have only letters, digits, - and _"},
		{"anchor twice", "a: &x 1\nb: &x 2\n", "env.yml:2:4: the same anchor (&name) stands in line 1 and in line 2"},
		{"tag that is not known", "a:\n  password: !hunter2 x\n", "env.yml:2:13: a tag (!name) that is not known"},
		{"no such day", "a:\n  - 2024-02-30\n", "env.yml:2:5: a date that is not in the calendar"},
		{"circle in a list", "a: &x [1, *x]\n", "env.yml:1:11: an anchor (&name) contains its own alias (*name)"},
		{"circle in a mapping", "a: &x\n  b: {c: *x}\n", "env.yml:2:10: an anchor (&name) contains its own alias (*name)"},
		{"circle through a merge", "a: &x [{<<: *x}]\n", "env.yml:1:13: an anchor (&name) contains its own alias (*name)"},
		{"circle in an ordered mapping", "a: !!omap &x [*x]\n", "env.yml:1:15: an anchor (&name) contains its own alias (*name)"},
		{"bomb", bomb(9), "env.yml:8:10: holds too many values, or grows too large when its aliases are expanded"},
		{"bomb of one text", "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 30) + "]\n", "env.yml:1:1: holds too many values, or grows too large when its aliases are expanded"},
		{"chain of merges", mergeChain(5000), "env.yml:725:18: holds too many values, or grows too large when its aliases are expanded"},
		{"deep flow", "a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101), "env.yml:1:103: is nested more than 100 levels deep"},
		{"deep block", "a:\n  " + strings.Repeat("- ", 101) + "1\n", "env.yml:2:201: is nested more than 100 levels deep"},
		{"abyss", strings.Repeat("[", 100000), "env.yml:1:1001: is not YAML: nested too deep while increasing flow level"},
		{"deep by aliases", "a: &a " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\nb: " + strings.Repeat("[", 60) + "*a" + strings.Repeat("]", 60), "env.yml:2:64: is nested more than 100 levels deep"},
		{"deep by merges", "a: &a {k: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "}\nb: " + strings.Repeat("[", 60) + "{<<: *a}" + strings.Repeat("]", 60), "env.yml:2:69: is nested more than 100 levels deep"},
		{"flood of commas", "a: [" + strings.Repeat("1,", 1<<20) + "]", "env.yml: holds more than 262144 commas"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			doc, err := yaml11.Parse("env.yml", []byte(tt.data))
			if took := time.Since(start); took > 10*time.Second { // one second on an idle machine
				t.Errorf("took %v", took)
			}
			var report *yaml11.Report
			if !errors.As(err, &report) || doc != nil {
				t.Fatalf("got %v, %v, want a report", doc, err)
			}
			first := report.Problems[0]
			if first.Remedy == "" || remedy.Of(err) != first.Remedy {
				t.Errorf("remedy %q, of the error %q", first.Remedy, remedy.Of(err))
			}
			first.Remedy = ""
			if diff := cmp.Diff(tt.want, first.String()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("shows the password: %v", err)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"BOM", "\ufeffa: {b: 1}\n", "A_B=1\n"},
		{"CRLF", "#cloud-config\r\na:\r\n  b: |\r\n    x\r\n    y\r\n  c: 1\r\n", "A_B='x\ny'\nA_C=1\n"},
		{"document markers", "%YAML 1.1\n---\na: {b: 1}\n...\n", "A_B=1\n"},
		{"100 levels", "a: " + strings.Repeat("[", 99) + strings.Repeat("]", 99), strings.Repeat("A", 1) + strings.Repeat("_0", 98) + "_LEN=0\n"},
		{"largest size", "a: {b: x}\n#" + strings.Repeat("x", yaml11.MaxSize-11), "A_B=x\n"},
		{"keys in a flood", "a: {b: 1}\nc:\n" + strings.Repeat("  - x\n", 100000), "A_B=1\n"},
		{"modest aliases", "x: &x {b: [1, 2]}\na: {c: *x, <<: *x, b: 3}\n", "A_B=3\nA_C_B_0=1\nA_C_B_1=2\nA_C_B_LEN=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := flattened([]byte(tt.data), "a")
			if err != nil {
				t.Fatal(err)
			}
			// Only the last line of a list of lists is looked at: each level adds its length.
			if i := strings.Index(got, tt.want); i < 0 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReportListsEveryProblem(t *testing.T) {
	_, err := yaml11.Parse("/app/env.yml", []byte("a: !x 1\nb: [!y 2]\n"))
	want := "cannot use /app/env.yml: /app/env.yml:1:4: a tag (!name) that is not known (put the value in quotes)\n" +
		"/app/env.yml:2:5: a tag (!name) that is not known (put the value in quotes)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestReportIsBounded(t *testing.T) {
	_, err := yaml11.Parse("env.yml", []byte("a:\n"+strings.Repeat("- !x 1\n", 5000)))
	var report *yaml11.Report
	if !errors.As(err, &report) || len(report.Problems) != 1001 {
		t.Fatalf("got %d problems", len(report.Problems))
	}
}
