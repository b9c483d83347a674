package bench

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	r := &Report{Version: 1, Took: "it took 3s"}
	r.Facts = Facts{CPU: "a processor", Cores: 2, Kernel: "6.1", Engine: "20.10", Go: "go1.26", Load: "0.1"}
	add := func(of series, samples ...float64) *Row {
		row := &Row{What: of.what, Who: of.who, Unit: of.unit, Summary: summarize(samples), Samples: samples}
		r.Rows = append(r.Rows, row)
		return row
	}
	add(series{"no-op", "compose", "ms"}, 100, 100, 130)
	add(series{"no-op", "appliance", "ms"}, 50).requireBeside(r.find("no-op", "compose"), 1)
	add(series{"cold", "appliance", "ms"}, 230).requireBeside(r.find("no-op", "compose"), 1.15)
	add(series{"memory", "appliance", "MB"}, 8, 20).requireEach(16)
	add(series{"answer", "appliance", "ms"}, 4, 6, 20).requireMedian(12)
	add(series{"no peer", "appliance", "ms"}, 1).requireBeside(r.find("no-op", "nobody"), 1)
	r.note("%s is not installed", "nobody")

	const want = `a processor, 2 cores, Linux 6.1, engine 20.10, go1.26, load 0.1; it took 3s

| what    | who       | n  | min   | median | p95   | unit | required         | verdict   |
|---      |---        |--- |---    |---     |---    |---   |---               |---        |
| no-op   | compose   | 3  | 100.0 | 100.0  | 130.0 | ms   |                  |           |
| no-op   | appliance | 1  | 50.0  | 50.0   | 50.0  | ms   | ≤ compose        | PASS 0.50 |
| cold    | appliance | 1  | 230.0 | 230.0  | 230.0 | ms   | ≤ 1.15 × compose | MISS 2.00 |
| memory  | appliance | 2  | 8.0   | 14.0   | 20.0  | MB   | each ≤ 16 MB     | MISS 1.25 |
| answer  | appliance | 3  | 4.0   | 6.0    | 20.0  | ms   | ≤ 12 ms          | PASS 0.50 |
| no peer | appliance | 1  | 1.0   | 1.0    | 1.0   | ms   |                  |           |

- nobody is not installed
`
	var text, document bytes.Buffer
	if err := r.WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
	if err := r.WriteJSON(&document); err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(document.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &read); diff != "" {
		t.Errorf("read back from JSON it differs: %s", diff)
	}
}
