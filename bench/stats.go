package bench

import (
	"math"
	"slices"
)

// Summary is what a series of samples comes to, in the unit of the samples.
type Summary struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

// summarize sums up samples, of which there must be one at least.
func summarize(samples []float64) Summary {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	return Summary{N: n, Min: sorted[0], Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, P95: rank(sorted, 0.95), Max: sorted[n-1]}
}

// rank is the smallest sample that at least the share q of all samples does not exceed.
func rank(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// plan says how often contenders take their turn.
type plan struct {
	warm   int // rounds before, which do not count
	rounds int
}

// series names what is measured of whom, in "ms" or in "MB" of 1,000,000 bytes.
type series struct{ what, who, unit string }

// recorder takes one value of a series.
type recorder func(of series, value float64)

// turn is what a contender does once.
type turn func(record recorder)

// interleave lets the contenders take turns until done or until goOn says no, and answers a row for each series. Every
// round begins with another contender, so that none always runs in the wake of the same.
func interleave(p plan, goOn func() bool, turns ...turn) []*Row {
	var rows []*Row
	known := map[series]*Row{}
	for round := range p.warm + p.rounds {
		record := func(of series, value float64) {
			if known[of] == nil { // in the order of the turns, as the first round has it
				known[of] = &Row{What: of.what, Who: of.who, Unit: of.unit}
				rows = append(rows, known[of])
			}
			if round >= p.warm {
				known[of].Samples = append(known[of].Samples, value)
			}
		}
		for i := range turns {
			if !goOn() {
				return nil
			}
			turns[(round+i)%len(turns)](record)
		}
	}
	for _, row := range rows {
		row.Summary = summarize(row.Samples)
	}
	return rows
}
