package phases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"appliance/internal/api"
	"appliance/internal/machine"
	"appliance/internal/remedy"
)

// Step is one idempotent thing to do. Doing it twice is the same as once.
type Step struct {
	Name string
	// Check looks whether there is work and says why; "" is none. It changes nothing on the host. Nil: look by Apply.
	Check func(ctx context.Context) (why string, err error)
	// Apply does the work. Nil: the step only looks.
	Apply func(ctx context.Context) error
	// Plan tells in detail what Apply would do, where Check cannot; it changes nothing.
	Plan  func(ctx context.Context) ([]api.Change, error)
	Limit time.Duration // for the whole step; 0 is one minute
}

const defaultLimit = time.Minute

func (s Step) limit() time.Duration {
	if s.Limit > 0 {
		return s.Limit
	}
	return defaultLimit
}

// observer is told about each step.
type observer interface {
	stepStarted(phase machine.State, step Step, n, of int)
	stepChanging(phase machine.State, step Step, why string)
	stepEnded(phase machine.State, step Step, changed bool, err error)
	mask(err error) error // hides what must not be shown
}

// perform takes the steps one after the other until one fails.
func perform(ctx context.Context, phase machine.State, steps []Step, watch observer) error {
	for i, step := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		watch.stepStarted(phase, step, i+1, len(steps))
		changed, err := step.take(ctx, func(why string) { watch.stepChanging(phase, step, why) })
		err = watch.mask(err)
		watch.stepEnded(phase, step, changed, err)
		if err != nil {
			return &machine.StepError{Step: step.Name, Err: err}
		}
	}
	return nil
}

func (s Step) take(ctx context.Context, changing func(why string)) (changed bool, err error) {
	limited, cancel := context.WithTimeoutCause(ctx, s.limit(), errStepLimit)
	defer cancel()
	var why string
	if s.Check != nil {
		if why, err = s.Check(limited); err != nil || why == "" {
			return false, s.explain(limited, err)
		}
		changing(why)
	}
	if s.Apply == nil {
		return false, nil
	}
	return true, s.explain(limited, s.Apply(limited))
}

var errStepLimit = errors.New("its time is up")

// explain says when it was the step's own limit that ended it.
func (s Step) explain(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errStepLimit { //nolint:errorlint // the cause is that very value
		return remedy.With(fmt.Errorf("cannot finish %s within %s: %w", s.Name, s.limit(), err), remedy.Of(err))
	}
	return err
}
