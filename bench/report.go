package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is all that a run found out.
type Report struct {
	Version int       `json:"version"` // of this format
	Began   time.Time `json:"began"`
	Took    string    `json:"took"`
	Facts   Facts     `json:"facts"`
	Rows    []*Row    `json:"rows"`
	Notes   []string  `json:"notes,omitempty"`
}

// Row is one series of samples.
type Row struct {
	What string `json:"what"` // was measured
	Who  string `json:"who"`  // the contender
	Unit string `json:"unit"` // "ms", or "MB" of 1,000,000 bytes
	Summary
	Samples     []float64    `json:"samples"`
	Requirement *Requirement `json:"requirement,omitempty"`
}

// Requirement is what a row must keep to.
type Requirement struct {
	Text   string  `json:"text"`
	Limit  float64 `json:"limit"`  // in the row's unit
	Factor float64 `json:"factor"` // the measured value by the limit: up to 1 it is kept
	Pass   bool    `json:"pass"`
}

// find returns a row, or nil when that was not measured.
func (r *Report) find(what, who string) *Row {
	for _, row := range r.Rows {
		if row.What == what && row.Who == who {
			return row
		}
	}
	return nil
}

// require holds a measured value of the row against a limit.
func (row *Row) require(value, limit float64, text string) {
	row.Requirement = &Requirement{Text: text, Limit: limit, Factor: value / limit, Pass: value <= limit}
}

// requireBeside holds the row's median against a peer's. Without the peer there is no verdict.
func (row *Row) requireBeside(peer *Row, factor float64) {
	if peer == nil {
		return
	}
	text := "≤ " + peer.Who
	if factor != 1 {
		text = fmt.Sprintf("≤ %g × %s", factor, peer.Who)
	}
	row.require(row.Median, factor*peer.Median, text)
}

// requireMedian holds the row's median against a fixed number.
func (row *Row) requireMedian(limit float64) {
	row.require(row.Median, limit, fmt.Sprintf("≤ %g %s", limit, row.Unit))
}

// requireEach holds the worst sample of the row against a fixed number.
func (row *Row) requireEach(limit float64) {
	row.require(row.Max, limit, fmt.Sprintf("each ≤ %g %s", limit, row.Unit))
}

func (q *Requirement) String() string {
	verdict := "MISS"
	if q.Pass {
		verdict = "PASS"
	}
	return fmt.Sprintf("%s %.2f", verdict, q.Factor)
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// WriteMarkdown writes the facts, the table and the notes. A verdict's number is the measured value by the limit.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s\n\n", r.Facts, r.Took)
	table := tabwriter.NewWriter(&b, 0, 8, 1, ' ', 0)
	fmt.Fprintln(table, "| what\t| who\t| n\t| min\t| median\t| p95\t| unit\t| required\t| verdict\t|")
	fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, row := range r.Rows {
		text, verdict := "", ""
		if q := row.Requirement; q != nil {
			text, verdict = q.Text, q.String()
		}
		fmt.Fprintf(table, "| %s\t| %s\t| %d\t| %.1f\t| %.1f\t| %.1f\t| %s\t| %s\t| %s\t|\n",
			row.What, row.Who, row.N, row.Min, row.Median, row.P95, row.Unit, text, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(&b)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes everything, each sample included.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
