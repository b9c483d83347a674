package phases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/machine"
	"appliance/internal/remedy"
)

// listener writes down what it is told of the steps.
type listener struct{ lines []string }

func (l *listener) stepStarted(phase machine.State, step Step, n, of int) {
	l.lines = append(l.lines, fmt.Sprintf("%s: %s (%d/%d)", phase, step.Name, n, of))
}

func (l *listener) stepChanging(_ machine.State, _ Step, why string) {
	l.lines = append(l.lines, "work: "+why)
}

func (l *listener) mask(err error) error { return err }

func (l *listener) stepEnded(_ machine.State, _ Step, changed bool, err error) {
	l.lines = append(l.lines, fmt.Sprintf("ended, changed %v, error %v", changed, err))
}

func TestPerform(t *testing.T) {
	var l *listener
	check := func(why string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { l.lines = append(l.lines, "check"); return why, err }
	}
	apply := func(err error) func(context.Context) error {
		return func(context.Context) error { l.lines = append(l.lines, "apply"); return err }
	}
	broken := remedy.With(errors.New("cannot do it"), "mend it")
	for _, test := range []struct {
		name  string
		steps []Step
		want  []string
		at    string // the step that fails
	}{
		{"one after the other", []Step{{Name: "a", Check: check("x is missing", nil), Apply: apply(nil)}, {Name: "b", Check: check("", nil), Apply: apply(nil)}},
			[]string{"run: a (1/2)", "check", "work: x is missing", "apply", "ended, changed true, error <nil>",
				"run: b (2/2)", "check", "ended, changed false, error <nil>"}, ""},
		{"only a look", []Step{{Name: "a", Check: check("something", nil)}},
			[]string{"run: a (1/1)", "check", "work: something", "ended, changed false, error <nil>"}, ""},
		{"work without a look", []Step{{Name: "a", Apply: apply(nil)}},
			[]string{"run: a (1/1)", "apply", "ended, changed true, error <nil>"}, ""},
		{"a look that fails does nothing", []Step{{Name: "a", Check: check("x", broken), Apply: apply(nil)}, {Name: "b", Apply: apply(nil)}},
			[]string{"run: a (1/2)", "check", "ended, changed false, error cannot do it"}, "a"},
		{"nothing follows a failure", []Step{{Name: "a", Apply: apply(nil)}, {Name: "b", Apply: apply(broken)}, {Name: "c", Apply: apply(nil)}},
			[]string{"run: a (1/3)", "apply", "ended, changed true, error <nil>", "run: b (2/3)", "apply", "ended, changed true, error cannot do it"}, "b"},
		{"no steps", nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l = &listener{}
			err := perform(t.Context(), Run, test.steps, l)
			if diff := cmp.Diff(test.want, l.lines); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var step *machine.StepError
			switch {
			case test.at == "" && err != nil:
				t.Errorf("the error is %v", err)
			case test.at != "" && (!errors.As(err, &step) || step.Step != test.at || err.Error() != "cannot do it" || remedy.Of(err) != "mend it"):
				t.Errorf("the error is %v (%s), of %+v; want step %s", err, remedy.Of(err), step, test.at)
			}
		})
	}
}

func TestAStepHasALimit(t *testing.T) {
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return remedy.With(fmt.Errorf("cannot reach it: %w", ctx.Err()), "start it")
	}
	err := perform(t.Context(), Run, []Step{{Name: "images", Apply: hang, Limit: time.Millisecond}}, &listener{})
	if err == nil || err.Error() != "cannot finish images within 1ms: cannot reach it: context deadline exceeded" || remedy.Of(err) != "start it" {
		t.Errorf("the error is %v (%s)", err, remedy.Of(err))
	}

	ctx, stop := context.WithCancel(t.Context())
	stop()
	err = perform(ctx, Run, []Step{{Name: "images", Apply: hang}}, &listener{})
	if err == nil || strings.Contains(err.Error(), "within") {
		t.Errorf("a stop from outside is said to be the step's own limit: %v", err)
	}
	if got := (Step{}).limit(); got != time.Minute {
		t.Errorf("without a limit of its own a step has %s", got)
	}
}
