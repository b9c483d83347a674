package phases

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/machine"
)

// updating says whether -update was given. The flag is that of gotest.tools, which the Compose SDK brings along.
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

var states = []machine.State{Boot, PrepareEnv, PrepareAppliance, PrepareECS, Run, Cleanup, Update, Standby, Failed}

func next(from machine.State) (to []machine.State) {
	for _, t := range Table {
		if slices.Contains(t.From, from) {
			to = append(to, t.To)
		}
	}
	return to
}

func TestTable(t *testing.T) {
	taken := map[string]bool{}
	for _, line := range Table {
		for _, from := range line.From {
			way := fmt.Sprintf("%s from %s", line.On, from)
			if taken[way] {
				t.Errorf("%s leads to two states", way)
			}
			taken[way] = true
			for _, s := range []machine.State{from, line.To} {
				if !slices.Contains(states, s) {
					t.Errorf("%s is no state", s)
				}
			}
		}
	}
	for _, state := range states {
		if state != Failed && !taken[fmt.Sprintf("%s from %s", Fail, state)] {
			t.Errorf("%s cannot fail", state)
		}
		if !reachable(Boot, state) {
			t.Errorf("%s is never reached", state)
		}
		if !reachable(state, Run) {
			t.Errorf("from %s nothing leads to run", state)
		}
	}
	for state, want := range map[machine.State][]machine.State{Failed: {PrepareEnv}, Standby: {PrepareEnv, Failed}, Boot: {PrepareEnv, Failed}} {
		if diff := cmp.Diff(want, next(state)); diff != "" {
			t.Errorf("the ways out of %s (-want +got):\n%s", state, diff)
		}
	}
}

func reachable(from, to machine.State) bool {
	seen := map[machine.State]bool{}
	for todo := []machine.State{from}; len(todo) > 0; todo = todo[1:] {
		if todo[0] == to {
			return true
		}
		if !seen[todo[0]] {
			seen[todo[0]] = true
			todo = append(todo, next(todo[0])...)
		}
	}
	return false
}

func TestEveryStateHasAPhase(t *testing.T) {
	phases := (&Appliance{}).phases()
	for _, state := range states {
		phase, ok := phases[state]
		if without := state == Boot || state == Update; ok == without { // where processes begin, and what is still to come
			t.Errorf("%s has a phase: %v", state, ok)
		}
		if rests := state == Failed || state == Standby; phase.Rests != rests {
			t.Errorf("%s rests: %v", state, phase.Rests)
		}
	}
	for _, state := range states {
		_, err := (&walk{}).steps(state)
		if alone := slices.Contains([]machine.State{PrepareEnv, PrepareAppliance, PrepareECS, Run, Cleanup}, state); (err == nil) != alone {
			t.Errorf("steps of %s: %v", state, err)
		}
	}
}

func TestResume(t *testing.T) {
	for _, state := range append(states, "", "of another version") {
		want := Start
		if state == Failed {
			want = Fail
		}
		if got := resume(machine.Record{State: state}); got != want {
			t.Errorf("after %q it goes on with %s, want %s", state, got, want)
		}
	}
}

const (
	drawing    = "../docs/states.md"
	drawnFrom  = "<!-- generated from phases.Table: go test ./phases -run TestDrawingOfTheStates -update -->\n"
	drawnUntil = "<!-- end of what is generated -->\n"
)

func TestDrawingOfTheStates(t *testing.T) {
	data, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), drawnFrom)
	_, tail, also := strings.Cut(rest, drawnUntil)
	if !ok || !also {
		t.Fatalf("%s has lost its marks", drawing)
	}
	want := head + drawnFrom + "```mermaid\n" + machine.Mermaid(Table, Boot) + "```\n" + drawnUntil + tail
	if updating() {
		if err := os.WriteFile(drawing, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s is not what the table says; run with -update (-want +got):\n%s", drawing, diff)
	}
}
