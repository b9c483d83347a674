package yaml11_test

import (
	"bytes"
	"strings"
	"testing"

	"appliance/env/flat"
	"appliance/env/yaml11"
)

// flattened prints what is below one key at the top of a document.
func flattened(data []byte, key string) (string, error) {
	doc, err := yaml11.Parse("env.yml", data)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = flat.Print(&out, doc, []string{key}, flat.Options{Format: flat.Compat, Combine: "_", Assign: "="})
	return out.String(), err
}

// TestScalars holds scalars against what Python 3 with PyYAML 6 prints for them; "!" means that it refuses them.
func TestScalars(t *testing.T) {
	tests := []struct{ written, want string }{
		{"yes", "true"}, {"Off", "false"}, {"tRUE", "tRUE"}, {"y", "y"}, {"~", ""}, {"nULL", "nULL"},
		{"0600", "384"}, {"08", "08"}, {"0o17", "0o17"}, {"0_7", "7"}, {"0_", "0"}, {"-0", "0"}, {"+12", "12"}, {"1_000", "1000"},
		{"0x1F", "31"}, {"-0x_1", "-1"}, {"0xG", "0xG"}, {"0b101", "5"}, {"0b_", "!"}, {"0b12", "0b12"},
		{"12:30", "750"}, {"12:30:00", "45000"}, {"-12:30", "-750"}, {"0:30", "0:30"}, {"1:75", "1:75"}, {"06:30", "06:30"},
		{"123456789012345678901234567890", "123456789012345678901234567890"}, {"0x" + strings.Repeat("f", 24), "79228162514264337593543950335"},
		{strings.Repeat("9", 4301), "!"}, {"1" + strings.Repeat(":00", 20000), "!"},
		{"1.50", "1.5"}, {"1.", "1.0"}, {"._1", "._1"}, {"-.5", "-.5"}, {".5", "0.5"}, {"-1.0e-7", "-1e-07"}, {"1e3", "1e3"}, {"1.5e3", "1.5e3"},
		{"1.0e+15", "1000000000000000.0"}, {"1.0e+16", "1e+16"}, {"0.0001", "0.0001"}, {"0.00001", "1e-05"}, {"1.0e+400", "inf"}, {"-.INF", "-inf"},
		{".NaN", "nan"}, {"1:30.5", "90.5"}, {"190:20:30.15", "685230.15"}, {"1_0:1_.0", "1_0:1_.0"},
		{"2020-01-02", "2020-01-02"}, {"2020-1-2", "2020-1-2"}, {"2020-1-2 3:04:05", "2020-01-02 03:04:05"},
		{"2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.100000-05:00"}, {"2001-12-14 21:59:43 Z", "2001-12-14 21:59:43+00:00"},
		{"2001-12-14 21:59:43.1234567 +5", "2001-12-14 21:59:43.123456+05:00"}, {"2001-02-30", "!"}, {"0000-01-01", "!"}, {"2001-12-14 24:00:00", "!"},
		{"2001-12-14 21:59:43+24:00", "!"}, {"=", "!"}, {"<<", "!"}, {"! 12", "12"}, {`! "12"`, "12"},
		{"!!int 0o17", "15"}, {"!!int abc", "!"}, {"!!float 3", "3.0"}, {"!!float 0x1p3", "!"}, {"!!str 012", "012"}, {"!!null x", ""},
		{`!!bool "ON"`, "true"}, {"!!bool maybe", "!"}, {"!!timestamp 2001-1-1", "2001-01-01"}, {"!!timestamp x", "!"},
		{"!!binary aGVsbG8=", "b'hello'"}, {"!!binary aGVsbG8", "!"}, {`!!binary "/w0KCSdc"`, `b"\xff\r\n\t'\\"`},
		{"!!set {a}", "{'a'}"}, {"!!set {}", "set()"}, {"!!set {1}", "{1}"}, {`!!set {"it's"}`, `{"it's"}`}, {"!!set {null, yes}", "{None, True}"},
		{`" pad "`, "pad"}, {`"\x1c x \u3000"`, "x"}, {`"it's"`, `'it'"'"'s'`}, {"a@b%c+d=e:f,g.h/i-j_k", "a@b%c+d=e:f,g.h/i-j_k"}, {"$(x)", "'$(x)'"}, {"ü", "'ü'"},
	}
	for _, tt := range tests {
		name := tt.written[:min(len(tt.written), 40)]
		t.Run(name, func(t *testing.T) {
			got, err := flattened([]byte("a: {k: 0}\nb:\n  k: "+tt.written+"\n"), "b")
			if err != nil {
				got = "!"
			} else {
				got = strings.TrimSuffix(strings.TrimPrefix(got, "B_K="), "\n")
			}
			if got != tt.want {
				t.Errorf("%s: got %q (%v), want %q", name, got, err, tt.want)
			}
		})
	}
}
