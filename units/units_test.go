package units_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/units"
)

var update = flag.Bool("update", false, "write the golden files")

func TestFiles(t *testing.T) {
	tests := []struct {
		name   string
		binary string
		want   []string
	}{
		{"package", units.PackagedBinary, []string{"/usr/lib/sysusers.d/appliance.conf", "/usr/lib/systemd/system/appliance.service", "/usr/lib/systemd/system/appliance.socket"}},
		{"local", "/usr/local/bin/appliance", []string{"/etc/sysusers.d/appliance.conf", "/etc/systemd/system/appliance.service", "/etc/systemd/system/appliance.socket"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, f := range units.Files(test.binary) {
				got = append(got, f.Path)
				if f.Mode != 0o644 || len(f.Content) == 0 {
					t.Errorf("%s has mode %v and %d bytes", f.Path, f.Mode, len(f.Content))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPackagedUnitIsTheFile holds because the Debian package takes the units
// from this directory without rendering it.
func TestPackagedUnitIsTheFile(t *testing.T) {
	for _, name := range []string{"appliance.service", "appliance.socket"} {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(file(units.PackagedBinary, name))); diff != "" {
			t.Error(diff)
		}
	}
}

func unit(binary string) []byte { return file(binary, "appliance.service") }

func file(binary, name string) []byte {
	for _, f := range units.Files(binary) {
		if filepath.Base(f.Path) == name {
			return f.Content
		}
	}
	return nil
}

// TestRender shows in each golden file what differs from the packaged unit.
func TestRender(t *testing.T) {
	tests := []struct{ name, binary string }{
		{"local", "/usr/local/bin/appliance"},
		{"blank-and-percent", `/opt/my 100% "own"/appliance`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			golden(t, test.name+".diff", units.Diff("appliance.service", unit(units.PackagedBinary), unit(test.binary)))
		})
	}
}

func TestDiff(t *testing.T) {
	const path = "/etc/systemd/system/appliance.service"
	want := []byte("[Service]\nExecStart=/usr/bin/appliance run\nRestart=always\n")
	tests := []struct {
		name string
		have []byte
	}{
		{"missing", nil},
		{"empty", []byte{}},
		{"changed", []byte("[Service]\nExecStart=/usr/bin/appliance run --root /mnt\nRestart=always\n")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			golden(t, "diff-"+test.name+".diff", units.Diff(path, test.have, want))
		})
	}
	if got := units.Diff(path, bytes.Clone(want), want); got != "" {
		t.Errorf("equal files differ:\n%s", got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", path, diff)
	}
}

// exposure is the highest that systemd-analyze may find, in tenths of its
// scale. Without the hardening it finds 9.6.
const exposure = "75"

func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the unit is not verified")
	}
	tests := []struct {
		name        string
		args, units []string
	}{
		{"verify", []string{"verify", "--man=no"}, []string{"appliance.service", "appliance.socket"}},
		{"security", []string{"security", "--offline=true", "--no-pager", "--threshold=" + exposure}, []string{"appliance.service"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// A path with a blank and a program that exists: verify looks at
			// both. The unit's own name has to be that of the real one.
			dir := filepath.Join(t.TempDir(), "100% own")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			binary := filepath.Join(dir, "appliance")
			if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			args, units := test.args, t.TempDir()
			for _, name := range test.units {
				args = append(args, filepath.Join(units, name))
				if err := os.WriteFile(filepath.Join(units, name), file(binary, name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
			if err != nil {
				t.Errorf("systemd-analyze %s: %v\n%s", test.name, err, out)
			}
			if test.name == "verify" && len(out) > 0 {
				t.Errorf("systemd-analyze verify has remarks:\n%s", out)
			}
		})
	}
}
