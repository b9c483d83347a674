package flat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env/flat"
	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

func TestFormats(t *testing.T) {
	tests := []struct{ format, data, want string }{
		{flat.Shell, "a: {b: x, c: it's, d: , e: '', f: [1]}", "A_B=x\nA_C='it'\"'\"'s'\nA_D=\nA_E=''\nA_F_0=1\nA_F_LEN=1\n"},
		{flat.Shell, "a: {b: 2001-12-14 21:59:43, c: !!binary aGk=, d: !!set {x y}}", "A_B='2001-12-14 21:59:43'\nA_C='b'\"'\"'hi'\"'\"''\nA_D='{'\"'\"'x y'\"'\"'}'\n"},
		{flat.Export, "a: {b: x, c: it's, d: , e: 1}", "export A_B='x'\nexport A_C='it'\"'\"'s'\nexport A_D=''\nexport A_E='1'\n"},
		{flat.Export, "a: {b: \"~\\r\\n!!\\u00a0$(x)\"}", "export A_B='~\r\n!!\u00a0$(x)'\n"},
		{flat.Docker, "a: {b: it's \"x\" $y, SOME-KEY: ' # a=b', ü: , c.d: 1}", "A_SOME-KEY=# a=b\nA_B=it's \"x\" $y\nA_C.D=1\nA_Ü=\n"},
		{flat.Systemd, "a: {b: \"1\\n 2\\t\", c: 'it''s \"x\" \\ `y` $z %n #', d: }", "A_B=\"1\n 2\"\nA_C=\"it's \\\"x\\\" \\\\ \\`y\\` \\$z %n #\"\nA_D=\"\"\n"},
		{flat.JSON, "a: {b: \"1\\n\\0<&>\\u00e9\", 'c d': yes, '': {x: }}", "{\n  \"A_B\": \"1\\n\\u0000<&>é\",\n  \"A_C D\": \"true\",\n  \"A_X\": \"\"\n}\n"},
		{flat.JSON, "a: {}", "{\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.format+" "+tt.data, func(t *testing.T) {
			got, err := printed([]byte(tt.data), "a", tt.format)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if tt.format == flat.JSON && !json.Valid([]byte(got)) {
				t.Error("not JSON")
			}
		})
	}
}

// TestRefused tells what no format may print, and that nothing of it is printed.
func TestRefused(t *testing.T) {
	shells, variables := []string{flat.Shell, flat.Export}, []string{flat.Shell, flat.Export, flat.Systemd}
	safe := append(variables, flat.Docker, flat.JSON)
	long := strings.Repeat("x", 1<<17)
	tests := []struct {
		name    string
		formats []string
		key     string
		data    string
		want    string
	}{
		{"hyphen", variables, "a", "a:\n  SOME-KEY: 1", `stdin:2:13: the flattened name "A_SOME-KEY" is no name`},
		{"blank", append(variables, flat.Docker), "a", "a: {A B: 1}", `the flattened name "A_A B" is no name`},
		{"newline", append(variables, flat.Docker), "a", `a: {"b\nc": 1}`, `the flattened name "A_B\nC" is no name`},
		{"command", variables, "a", "a: {'$(x)': 1}", "is no name"},
		{"not of ASCII", variables, "a", "a: {ü: 1}", "is no name"},
		{"empty", append(variables, flat.Docker), ".", "'': 1", `the flattened name "" is no name`},
		{"digit first", variables, ".", "1st: 1", `the flattened name "1ST" is no name`},
		{"equals sign", append(variables, flat.Docker), "a", "a: {=: 1}", "is no name"},
		{"comment", append(variables, flat.Docker), ".", "'#a': 1", "is no name"},
		{"byte order mark", append(variables, flat.Docker), ".", `"\ufeffa": 1`, "is no name"},
		{"two places", safe, "a", "a:\n  b: {c: 1}\n  b_c: 2", `stdin:3:8: "A_B_C" is also the flattened name of line 2 (rename`},
		{"two cases", safe, "a", "a:\n  b: 1\n  B: 2", `stdin:2:6: "A_B" is also the flattened name of line 3`},
		{"length", safe, "a", "a:\n  b: [x]\n  b_len: 7", `"A_B_LEN" is also the flattened name of line 2`},
		{"two keys", safe, ".", "a: {b: 1}\na_b: 2", `stdin:2:6: "A_B" is also the flattened name of line 1`},
		{"loader", variables, "ld", "ld: {preload: x}", `"LD_PRELOAD" means something of its own`},
		{"search path", variables, ".", "path: x", `"PATH" means something of its own`},
		{"family of bash", variables, "bash", "bash: {env: x}", `"BASH_ENV" means something of its own`},
		{"computed", variables, ".", "random: a[$(x)]", `"RANDOM" means something of its own`},
		{"pager of a document", variables, ".", "dpkg: {pager: touch pwn1}", `stdin:1:15: the flattened name "DPKG_PAGER" means something of its own`},
		{"pager of a key by name", variables, "dpkg", "dpkg: {pager: touch pwn1}", `"DPKG_PAGER" means something of its own`},
		{"program of a key by name", variables, "rsync", "rsync: {connect_prog: x}", `"RSYNC_CONNECT_PROG" means something of its own`},
		{"family of git", variables, "git", "git: {trace2_event: x}", `"GIT_TRACE2_EVENT" means something of its own`},
		{"ending that nobody knows", variables, ".", "a: 1\nnew: {tool: {pager: x}}", `stdin:2:21: the flattened name "NEW_TOOL_PAGER" ends in _PAGER`},
		{"ending within one key", variables, "a,.", "new_opts: x", `"NEW_OPTS" ends in _OPTS`},
		{"ending below a key that vanishes", variables, ".", "'': {new_hook: x}", `"NEW_HOOK" ends in _HOOK`},
		{"ending beside ours", variables, ".", "ecsx: {command: x}", `"ECSX_COMMAND" ends in _COMMAND`},
		{"NUL", append(variables, flat.Docker), "a", `a: {b: "x\0y"}`, `the value of "A_B" has a NUL`},
		{"several lines", []string{flat.Docker}, "a", `a: {b: "x\ny"}`, `the value of "A_B" has several lines`},
		{"long line", []string{flat.Docker}, "a", "a: {b: " + long + "}", "longer than the 65535 bytes"},
		{"long variable", []string{flat.Export, flat.Systemd}, "a", "a: {b: " + long + "}", "longer than the 131071 bytes"},
		{"noncharacter", []string{flat.Systemd}, "a", `a: {b: "\ufffe"}`, "has a character that is none to systemd"},
		{"key that is no text", safe, "a", "a:\n  off: 1", "cannot flatten: stdin:2:3: the key is a truth value, not text"},
	}
	for _, tt := range tests {
		for _, format := range tt.formats {
			t.Run(tt.name+" in "+format, func(t *testing.T) {
				got, err := printed([]byte(tt.data), tt.key, format)
				if err == nil || !strings.Contains(err.Error(), tt.want) || remedy.Of(err) == "" {
					t.Errorf("got %v with the remedy %q, want %q", err, remedy.Of(err), tt.want)
				}
				if got != "" {
					t.Errorf("printed %q", got)
				}
			})
		}
	}
	for _, format := range shells { // the other formats may name what they like
		if got, err := printed([]byte("term: x\nhostname: y\n"), ".", format); err != nil {
			t.Errorf("%s refuses harmless names: %v, %q", format, err, got)
		}
	}
}

// TestEndingsOfChosenKeys: a name that begins with what the operator has chosen, or with a key of ours, may end as it likes.
func TestEndingsOfChosenKeys(t *testing.T) {
	const data = "appliance: {backup: {options: x}}\necs: {mail: {command: y}}\n"
	for _, key := range []string{".", "appliance,ecs"} {
		got, err := printed([]byte(data), key, flat.Shell)
		if want := "APPLIANCE_BACKUP_OPTIONS=x\nECS_MAIL_COMMAND=y\n"; err != nil || got != want {
			t.Errorf("%s: got %q, %v", key, got, err)
		}
	}
	if got, err := printed([]byte("new: {pager: x}"), "new", flat.Shell); err != nil || got != "NEW_PAGER=x\n" {
		t.Errorf("got %q, %v", got, err)
	}
	var out bytes.Buffer
	prefixed := flat.Options{Format: flat.Shell, Prefix: "export APP_", Combine: "_", Assign: "="}
	if _, err := flat.Print(&out, parse(t, "new: {pager: x}"), []string{"."}, prefixed); err != nil || out.String() != "export APP_NEW_PAGER=x\n" {
		t.Errorf("got %q, %v", &out, err)
	}
}

// TestSameAgain: what a document says once may be asked for twice.
func TestSameAgain(t *testing.T) {
	const data = "a: {b: &x 1, B: *x}"
	for format, want := range map[string]string{flat.Shell: "A_B=1\nA_B=1\nA_B=1\nA_B=1\n", flat.JSON: "{\n  \"A_B\": \"1\"\n}\n"} {
		if got, err := printed([]byte(data), "a,a", format); err != nil || got != want {
			t.Errorf("%s: got %q, %v", format, got, err)
		}
	}
}

func TestNotes(t *testing.T) {
	tests := []struct {
		name, format, data string
		want               []string
	}{
		{"nothing to tell", flat.Shell, "a: {b: x y}\nz: 1", nil},
		{"no such key", flat.Compat, "z: 1", []string{`env.yml: has no key "a" at its top`}},
		{"quoted", flat.Shell, "z: 1\na:\n  b: 2001-12-14 21:59:43",
			[]string{`env.yml:3:6: the value of "A_B" is quoted, because a shell would misread it bare; --compat leaves it bare`}},
		{"bare", flat.Compat, "z: 1\na:\n  b: 2001-12-14 21:59:43", nil},
		{"given twice", flat.Export, "z: 1\na:\n  b: 1\n  b: 2",
			[]string{"env.yml:4:3: the same key stands in line 3 and in line 4 (remove one of the two; only the last one would count)"}},
		{"given twice as ever", flat.Compat, "z: 1\na: {b: 1, b: 2}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notes, err := flat.Print(io.Discard, parse(t, tt.data), []string{"a", "z"}, options(tt.format))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, note := range notes {
				got = append(got, note.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestChosenByTheOperator: what stands around names and values does not come from the document.
func TestChosenByTheOperator(t *testing.T) {
	long := strings.Repeat("x", 1<<17)
	tests := []struct {
		name string
		flat.Options
		data, want string // "!" is refused
	}{
		{"export in a shell", flat.Options{Format: flat.Shell, Prefix: "export ", Postfix: ";", Combine: "__", Assign: "="},
			"a: {b: x y}", "export A__B='x y';\n"},
		{"a name's beginning", flat.Options{Format: flat.Shell, Prefix: "local X_", Combine: "_", Assign: "="}, "a: {b: 1}", "local X_A_B=1\n"},
		{"a bad name's beginning", flat.Options{Format: flat.Shell, Prefix: "export LD_", Combine: "_", Assign: "="}, "a: {b: 1}", "!"},
		{"a name all the same", flat.Options{Format: flat.Shell, Prefix: "export ", Combine: "_", Assign: "="}, "a: {b-c: 1}", "!"},
		{"too long to export", flat.Options{Format: flat.Shell, Prefix: "export ", Combine: "_", Assign: "="}, "a: {b: " + long + "}", "!"},
		{"too long, but not exported", flat.Options{Format: flat.Shell, Prefix: "local exported_", Combine: "_", Assign: "="},
			"a: {b: " + long + "}", "local exported_A_B=" + long + "\n"},
		{"another syntax", flat.Options{Format: flat.Shell, Combine: ".", Assign: ": "}, "a: {b-c: 2001-12-14 21:59:43}", "A.B-C: 2001-12-14 21:59:43\n"},
		{"nothing between", flat.Options{Format: flat.Compat}, "a: {b: 1}", "AB1\n"},
		{"combined in JSON", flat.Options{Format: flat.JSON, Combine: ".", Assign: "="}, "a: {b: 1}", "{\n  \"A.B\": \"1\"\n}\n"},
		{"combined in export", flat.Options{Format: flat.Export, Combine: ".", Assign: "="}, "a: {b: 1}", "!"},
		{"prefix in JSON", flat.Options{Format: flat.JSON, Prefix: "x", Combine: "_", Assign: "="}, "a: {b: 1}", "!"},
		{"postfix in docker", flat.Options{Format: flat.Docker, Postfix: "x", Combine: "_", Assign: "="}, "a: {b: 1}", "!"},
		{"assignment in systemd", flat.Options{Format: flat.Systemd, Combine: "_", Assign: ":"}, "a: {b: 1}", "!"},
		{"no such format", flat.Options{Format: "toml", Combine: "_", Assign: "="}, "a: {b: 1}", "!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := flat.Print(&out, parse(t, tt.data), []string{"a"}, tt.Options)
			got := out.String()
			if err != nil {
				got += "!"
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && remedy.Of(err) == "" {
				t.Errorf("no remedy: %v", err)
			}
		})
	}
}

func TestPrintTellsOfAFullDisk(t *testing.T) {
	reader, writer := io.Pipe()
	full := errors.New("full")
	reader.CloseWithError(full)
	if _, err := flat.Print(writer, parse(t, "a: {b: 1}"), []string{"a"}, options(flat.Shell)); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestReportsAreBounded: a document of a million bad names needs no million lines to be understood.
func TestReportsAreBounded(t *testing.T) {
	data := "a:\n" + strings.Repeat("  - {b-c: 1}\n", 5000)
	_, err := printed([]byte(data), "a", flat.Shell)
	var report *yaml11.Report
	if !errors.As(err, &report) || len(report.Problems) > yaml11.MaxProblems {
		t.Errorf("%d problems", len(report.Problems))
	}
}
