package machine

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid draws the table as a state diagram, its lines in the table's order.
func Mermaid(table []Transition, initial State) string {
	var b strings.Builder
	alias := func(s State) string { return strings.ReplaceAll(string(s), "-", "_") } // a hyphen ends a name there
	b.WriteString("stateDiagram-v2\n")
	for _, s := range states(table) {
		fmt.Fprintf(&b, "    state %q as %s\n", s, alias(s))
	}
	fmt.Fprintf(&b, "    [*] --> %s\n", alias(initial))
	for _, t := range table {
		for _, from := range t.From {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", alias(from), alias(t.To), t.On)
		}
	}
	return b.String()
}

func states(table []Transition) []State {
	var all []State
	for _, t := range table {
		for _, s := range append(slices.Clone(t.From), t.To) {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}
