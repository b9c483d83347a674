package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummarize(t *testing.T) {
	twenty := make([]float64, 20)
	for i := range twenty {
		twenty[i] = float64(20 - i)
	}
	tests := []struct {
		name    string
		samples []float64
		want    Summary
	}{
		{"one", []float64{7}, Summary{1, 7, 7, 7, 7}},
		{"even", []float64{4, 1, 3, 2}, Summary{4, 1, 2.5, 4, 4}},
		{"odd", []float64{9, 1, 5}, Summary{3, 1, 5, 9, 9}},
		{"one outlier in twenty is beyond p95", twenty, Summary{20, 1, 10.5, 19, 20}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, summarize(test.samples)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInterleave(t *testing.T) {
	var order string
	contender := func(who string) turn {
		return func(record recorder) {
			order += who
			record(series{"turns", who, "ms"}, float64(len(order)))
		}
	}
	rows := interleave(plan{warm: 1, rounds: 2}, func() bool { return true }, contender("a"), contender("b"))
	if order != "abbaab" {
		t.Errorf("the order is %s, not abbaab", order)
	}
	want := []*Row{
		{What: "turns", Who: "a", Unit: "ms", Summary: Summary{2, 4, 4.5, 5, 5}, Samples: []float64{4, 5}},
		{What: "turns", Who: "b", Unit: "ms", Summary: Summary{2, 3, 4.5, 6, 6}, Samples: []float64{3, 6}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestInterleaveEndsWhenAsked(t *testing.T) {
	n := 0
	rows := interleave(plan{rounds: 1000}, func() bool { return n < 3 }, func(recorder) { n++ })
	if n != 3 || rows != nil {
		t.Errorf("%d turns were taken, not 3; rows %v", n, rows)
	}
}
