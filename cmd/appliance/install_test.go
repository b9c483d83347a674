package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/system"
)

// Whoever wrote the units may have been cut off before systemd was told, so it is told each time.
func TestEnableTellsSystemdEachTime(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, tool := range []string{"systemd-sysusers", "systemctl"} {
		if err := os.WriteFile(dir+"/"+tool, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"exec systemd-sysusers", "exec systemctl daemon-reload", "exec systemctl enable --quiet appliance.service"}
	for range 2 {
		var got []string
		sys := system.New(system.Config{Observe: func(e system.Effect) error { got = append(got, e.String()); return nil }})
		if err := enable(t.Context(), sys); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The package's /etc/default/appliance offers only what `appliance run` understands.
func TestOptionsOfThePackage(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../packaging/appliance.default")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^#?APPLIANCE_ARGS="(.*)"$`).FindAllStringSubmatch(string(file), -1)
	if len(lines) == 0 {
		t.Errorf("no options in\n%s", file)
	}
	for _, line := range lines {
		run, _, err := newRoot(&app{}).Find([]string{"run"})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.ParseFlags(strings.Fields(line[1])); err != nil || run.Flags().NArg() > 0 {
			t.Errorf("%s: %v, arguments left: %q", line[0], err, run.Flags().Args())
		}
	}
}
