package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"appliance/internal/api"
)

func TestTheStatusShowsWarnings(t *testing.T) {
	since := time.Date(2026, 5, 6, 7, 8, 9, 0, time.Local)
	var out bytes.Buffer
	if err := printStatus(&out, api.Status{Summary: "run: healthy", State: "run", Warnings: []api.Warning{
		{Code: "space-warn", Since: since, Text: "/data has 1.2 GB (8.0 %) free: it is filling up", Remedy: "free space on it"},
		{Code: "certificate-expires", Since: since, Text: "The acme certificate expires soon"}}}); err != nil {
		t.Fatal(err)
	}
	const want = `run: healthy
  warning      /data has 1.2 GB (8.0 %) free: it is filling up (since 2026-05-06 07:08:09)
  to do        free space on it
  warning      The acme certificate expires soon (since 2026-05-06 07:08:09)
`
	if got := out.String(); got != want {
		t.Errorf("it prints\n%s", got)
	}
	if err := verdict(api.Status{State: "run", Healthy: true, Supervisor: &api.Supervisor{}, Warnings: []api.Warning{{Code: "space-warn"}}}); err != nil || strings.Contains(out.String(), "space-warn") {
		t.Errorf("a warning is no trouble yet: %v", err)
	}
}
