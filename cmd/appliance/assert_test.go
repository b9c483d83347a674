package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/testbed"
)

// sameContainers fails the test unless the project's containers are those, and were not restarted.
func sameContainers(t *testing.T, h *testbed.Host, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, h.Containers()); diff != "" {
		t.Fatalf("containers were touched (-before +now):\n%s", diff)
	}
}

// engineEffects picks the requests that change the engine from a log of effects.
func engineEffects(log string) (requests []string) {
	for line := range strings.Lines(log) {
		if request, ok := strings.CutPrefix(strings.TrimSpace(line), "engine "); ok {
			requests = append(requests, request)
		}
	}
	return requests
}
