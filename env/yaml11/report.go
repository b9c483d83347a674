package yaml11

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"appliance/internal/remedy"
)

// MaxProblems bounds a report: a list of a million wrong items needs no million lines to be understood.
const MaxProblems = 1000

// Problem is one thing wrong with a document. Line and Column count from 1, columns in characters; 0 means that the
// place is not known. Message and Remedy never hold a value of the document that could be a secret.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// String answers "file:line:column: path: message (remedy)", without the parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	if p.Remedy != "" {
		b.WriteString(" (" + p.Remedy + ")")
	}
	return b.String()
}

// Report is every problem found in one document, sorted by line. It is an error.
type Report struct {
	Problems []Problem `json:"problems"`
}

// Error lists the problems, one a line, the first on the first line.
func (r *Report) Error() string {
	if len(r.Problems) == 0 {
		return "cannot use the environment"
	}
	var b strings.Builder
	b.WriteString("cannot use " + r.Problems[0].File + ": ")
	for i, p := range r.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Unwrap lets remedy.Of find the way out of the first problem.
func (r *Report) Unwrap() error {
	if len(r.Problems) == 0 || r.Problems[0].Remedy == "" {
		return nil
	}
	return remedy.With(fmt.Errorf("%s", r.Problems[0].Message), r.Problems[0].Remedy)
}

// NewReport sorts problems into a *Report, or answers nil when there are none.
func NewReport(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	SortProblems(problems)
	if more := len(problems) - MaxProblems; more > 0 {
		last := problems[MaxProblems]
		last.Path, last.Message, last.Remedy = "", fmt.Sprintf("and %d more problems", more), ""
		problems = append(problems[:MaxProblems:MaxProblems], last)
	}
	return &Report{Problems: problems}
}

func SortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}
