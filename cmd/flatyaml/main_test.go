package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestStaysSmall: the program is there because it starts sooner than the appliance does. It must not grow the same roots.
func TestStaysSmall(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("only %d dependencies are listed", len(deps))
	}
	allowed := map[string]bool{"appliance/cmd/flatyaml": true, "appliance/env/flat": true, "appliance/env/yaml11": true, "appliance/internal/remedy": true}
	for _, dep := range deps {
		first, _, _ := strings.Cut(dep, "/")
		switch {
		case allowed[dep], strings.HasPrefix(dep, "go.yaml.in/yaml/"):
		case first == "net", first == "appliance", strings.Contains(first, "."), dep == "os/exec":
			t.Errorf("it depends on %s", dep)
		}
	}
}
