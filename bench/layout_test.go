package bench

import (
	"strings"
	"testing"
	"time"

	"appliance/internal/system"
	"appliance/storage"
)

// TestBenchLayout measures what a start spends on a layout that stands already.
func TestBenchLayout(t *testing.T) {
	s := suite{tb: t, ctx: t.Context(), report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(t.Context())}}
	layout := storage.Layout{System: system.New(system.Config{Root: t.TempDir()})}
	if err := layout.Make(); err != nil {
		t.Fatal(err)
	}
	noOp := s.ours("layout that stands already", "look at each place")
	s.measure(plan{5, 200}, func(record recorder) {
		began := time.Now()
		missing, err := layout.Missing()
		record(noOp, milliseconds(time.Since(began)))
		if len(missing) > 0 || err != nil {
			t.Fatal(missing, err)
		}
	})
	s.row(noOp).requireMedian(2)
	var text strings.Builder
	if err := s.report.WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &text)
	if q := s.row(noOp).Requirement; q.Factor > generous["ms"] {
		t.Errorf("%s", q)
	}
}
