package flat_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// script is output that a shell must be able to evaluate, and what that has to define.
type script struct {
	document string
	format   string
	text     string
	want     map[string]string
}

// scripts flattens all of a document for a shell; a format that refuses it is left out.
func scripts(data []byte, formats ...string) (all []script) {
	doc, err := yaml11.Parse("env.yml", data)
	if err != nil {
		return nil
	}
	vars, err := flat.Flatten(doc.Top, "_", ".")
	if err != nil {
		return nil
	}
	want := map[string]string{}
	for _, v := range vars {
		want[v.Key] = v.Value
	}
	for _, format := range formats {
		var out bytes.Buffer
		if _, err := flat.Print(&out, doc, []string{"."}, options(format)); err == nil {
			all = append(all, script{string(data), format, out.String(), want})
		}
	}
	return all
}

// evaluate lets a shell that has no program to run, in an empty directory, evaluate each script in a subshell of its own.
// Each must succeed and define what it should and nothing else; together they must say nothing and leave no file.
func evaluate(t testing.TB, shell string, all []script) {
	t.Helper()
	dir := t.TempDir()
	cwd, file := filepath.Join(dir, "empty"), filepath.Join(dir, "script")
	if err := os.Mkdir(cwd, 0o700); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, s := range append([]script{{}}, all...) { // the first tells what is there without us
		quoted := "'" + strings.ReplaceAll(s.text, "'", `'\''`) + "'"
		fmt.Fprintf(&text, "(set -a; eval %s || exit; exec /usr/bin/env -0)\nprintf 'status %%s\\0' $?\n", quoted)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), shell, file)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = cwd, []string{"PATH="}, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Errorf("%s said %q", shell, &stderr)
	}
	if left, err := os.ReadDir(cwd); err != nil || len(left) > 0 {
		t.Errorf("%s left %v: %v", shell, left, err)
	}
	results := parseResults(stdout.String())
	if len(results) != len(all)+1 {
		t.Fatalf("%s came to %d results of %d", shell, len(results), len(all)+1)
	}
	for i, s := range all {
		want := maps.Clone(results[0])
		maps.Copy(want, s.want)
		if diff := cmp.Diff(want, results[i+1]); diff != "" {
			t.Errorf("%s misreads the format %s of %q:\n%s", shell, s.format, s.document, diff)
		}
	}
}

// parseResults reads the variables and the exit status after each script, which is the variable "".
func parseResults(out string) (results []map[string]string) {
	found := map[string]string{}
	for entry := range strings.SplitSeq(out, "\x00") {
		name, value, assigned := strings.Cut(entry, "=")
		switch {
		case name == "_": // bash tells each program its own name
		case assigned:
			found[name] = value
		case entry != "":
			found[""] = entry
			results = append(results, found)
			found = map[string]string{}
		}
	}
	return results
}

func shells(t testing.TB) []string {
	return []string{tool(t, "dash", "dash"), tool(t, "bash", "bash")}
}

// TestShellsReadWhatIsMeant holds two thousand nasty documents against real shells.
func TestShellsReadWhatIsMeant(t *testing.T) {
	const documents = 2000
	random := rand.New(rand.NewPCG(11, 13))
	var halves [2][]script // each document in one format to one shell and in the other to the other
	for n := range documents {
		for i, s := range scripts(nasty(random), flat.Shell, flat.Export) {
			halves[(n+i)%2] = append(halves[(n+i)%2], s)
		}
	}
	if n := len(halves[0]) + len(halves[1]); n < documents {
		t.Errorf("only %d of %d documents can be printed", n/2, documents)
	}
	for i, shell := range shells(t) {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			t.Parallel()
			evaluate(t, shell, halves[i])
		})
	}
}

// TestShellsReadTheCorpus does the same with what the predecessor was held against.
func TestShellsReadTheCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/flat/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	var all []script
	for _, file := range files {
		all = append(all, scripts(readFile(t, file), flat.Shell, flat.Export)...)
	}
	if len(all) < len(files) {
		t.Errorf("only %d scripts of %d documents", len(all), len(files))
	}
	for _, shell := range shells(t) {
		evaluate(t, shell, all)
	}
}

// TestOwnNamesOfShells: what bash keeps for itself is refused, but for what is only said of the host.
func TestOwnNamesOfShells(t *testing.T) {
	harmless := map[string]bool{"HOSTNAME": true, "HOSTTYPE": true, "MACHTYPE": true, "OSTYPE": true, "TERM": true}
	for _, shell := range []struct{ path, list string }{
		{tool(t, "bash", "bash"), "compgen -v"},
		{tool(t, "dash", "dash"), `set | while IFS== read -r name _; do case $name in [A-Z_]*) echo $name;; esac; done`},
	} {
		cmd := exec.CommandContext(t.Context(), shell.path, "-c", shell.list)
		cmd.Env = []string{}
		out, err := cmd.Output()
		names := strings.Fields(string(out))
		if err != nil || len(names) < 5 {
			t.Fatalf("%s: %d names, %v", shell.path, len(names), err)
		}
		for _, name := range names {
			got, err := printed([]byte(name+": x"), ".", flat.Export)
			if refused := err != nil; refused == harmless[name] {
				t.Errorf("%s of %s: got %q, %v", name, shell.path, got, err)
			}
		}
	}
}

// TestExportedAltogether: whatever is exported leaves shells able to start commands, and one that would not is refused.
func TestExportedAltogether(t *testing.T) {
	const value = 100 << 10
	var fits strings.Builder
	fits.WriteString("a:\n")
	for i := range 9 {
		fmt.Fprintf(&fits, "  v%d: %s\n", i, strings.Repeat("x", value))
	}
	tooMuch := fits.String() + "  v9: " + strings.Repeat("x", value) + "\n"
	many := "a:\n" + strings.Repeat("  - "+strings.Repeat("x", 192)+"\n", 4800) // too much only with their pointers
	for name, o := range map[string]flat.Options{
		"export": options(flat.Export),
		"shell":  {Format: flat.Shell, Prefix: "export ", Combine: "_", Assign: "="},
	} {
		var out bytes.Buffer
		if _, err := flat.Print(&out, parse(t, fits.String()), []string{"a"}, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string]string{}
		for i := range 9 {
			want[fmt.Sprintf("A_V%d", i)] = strings.Repeat("x", value)
		}
		for _, shell := range shells(t) {
			evaluate(t, shell, []script{{name, name, out.String(), want}})
		}
		for _, data := range []string{tooMuch, many} {
			out.Reset()
			_, err := flat.Print(&out, parse(t, data), []string{"a"}, o)
			if err == nil || strings.Count(err.Error(), "altogether") != 1 || remedy.Of(err) == "" || out.Len() > 0 {
				t.Errorf("%s: printed %d bytes, %v", name, out.Len(), err)
			}
		}
	}
	if _, err := printed([]byte(tooMuch), "a", flat.Shell); err != nil {
		t.Errorf("refused what is not exported: %v", err)
	}
}

// fragments are what shells make something of.
var fragments = []string{
	"$(touch pwned)", "`touch pwned`", "; touch pwned;", "'", "'\"'\"'", `"`, `\`, `\'`, "\n", "\r", "\r\n", "\t", " ", "!!", "!1", "~", "~root", "*", "?", "[a]", "{a,b}",
	"#", " #", "&", "|", ">pwned", "<", "$HOME", "${x:=y}", "$((1))", "$'\\n'", "=", "a=b", "-n", "--", "%s", "(", ")", "x", "word", "0", ".", "/", ",", "@", "\x01", "\x7f", "\x1b[0m",
	"\u0080", "\u0085", "\u00a0", "\u2028", "\ufeff", "\ufffe", "é", "日本", "\U0001f600", "<<EOF\n", "\nEOF\n", "export ", ":", "\\\n", "\a", "\b",
}

// bare are unquoted scalars of every kind.
var bare = []string{
	"1", "-1", "1.50", "0600", "12:30", ".inf", ".nan", "yes", "off", "~", "", "2020-01-02", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43", "!!binary aGkgJCh4KQ==", "!!binary /wEnAA==",
	"!!set {a b, '$(touch pwned)', \"'\"}", "!!set {}", "!!omap [a: 1]", "plain text", "word", "[]", "{}",
}

var keys = []string{"a", "B", "_c", "d1", "some_key", "mixedCase", "e", "f_", "g"}

// badKeys make a format refuse the document: few have one.
var badKeys = []string{"$(touch pwned)", "a b", "a;touch pwned", "", "1a", "ü", "a\nb", "a=b", "path", "ifs", "random", "uid", "ps4", "optind", "len", "a", "A", "#", "shellopts", "_"}

// nasty makes a document of a few values that a shell could stumble over.
func nasty(r *rand.Rand) []byte {
	var b bytes.Buffer
	for i := range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "%s: ", nastyKey(r, i))
		nastyValue(&b, r, 0)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func nastyKey(r *rand.Rand, i int) string {
	if r.IntN(60) == 0 {
		return strconv.QuoteToASCII(badKeys[r.IntN(len(badKeys))])
	}
	return strconv.QuoteToASCII(keys[r.IntN(len(keys))] + strconv.Itoa(i))
}

func nastyValue(b *bytes.Buffer, r *rand.Rand, depth int) {
	kind := r.IntN(10)
	switch {
	case kind == 0 && depth < 3:
		b.WriteByte('[')
		for range r.IntN(3) {
			nastyValue(b, r, depth+1)
			b.WriteString(", ")
		}
		b.WriteByte(']')
	case kind < 3 && depth < 3:
		b.WriteByte('{')
		for i := range r.IntN(4) {
			fmt.Fprintf(b, "%s: ", nastyKey(r, i))
			nastyValue(b, r, depth+1)
			b.WriteString(", ")
		}
		b.WriteByte('}')
	case kind < 5:
		b.WriteString(bare[r.IntN(len(bare))])
	default:
		var text string
		for range 1 + r.IntN(4) {
			text += fragments[r.IntN(len(fragments))]
		}
		b.WriteString(strconv.QuoteToASCII(text))
	}
}

// FuzzShell lets real shells evaluate what is printed of any document.
func FuzzShell(f *testing.F) {
	random := rand.New(rand.NewPCG(17, 19))
	for range 20 {
		f.Add(nasty(random))
	}
	for _, name := range []string{"scalars", "anchors", "omap", "block2", "binary"} {
		f.Add(readFile(f, "testdata/flat/"+name+".yml"))
	}
	judges := shells(f)
	seen := map[string]bool{}
	f.Fuzz(func(t *testing.T, data []byte) {
		var fresh []script
		for _, s := range scripts(data, flat.Shell, flat.Export) {
			if len(s.text) < 32<<10 && !seen[s.text] { // more than that no environment holds
				seen[s.text] = true
				fresh = append(fresh, s)
			}
		}
		if len(fresh) == 0 {
			return
		}
		for _, shell := range judges {
			evaluate(t, shell, fresh)
		}
	})
}
