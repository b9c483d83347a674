package phases

import (
	"context"
	"fmt"
	"sync"

	"appliance/internal/api"
	"appliance/internal/cert"
	"appliance/internal/machine"
)

// Plan tells what a start now would change. It changes nothing: steps are only checked, on a host that denies every
// effect and an engine that denies every changing request.
func Plan(ctx context.Context, cfg Config) (api.Plan, error) { return planFor(ctx, cfg, nil) }

// planFor plans for another document than that of the sources, if there is one.
func planFor(ctx context.Context, cfg Config, toTry []byte) (api.Plan, error) {
	engine, err := cfg.Engine.Reader()
	if err != nil {
		return api.Plan{}, err
	}
	defer engine.Close()
	w := readingWalk(cfg)
	w.engine, w.toTry = engine, toTry
	return plan(ctx, w)
}

// readingWalk is a walk that can change nothing.
func readingWalk(cfg Config) *walk {
	sys := cfg.System.Reader()
	return &walk{memory: storedMemory{machine.NewStore(sys, StateDir, cfg.Log)}, sys: sys, log: cfg.Log, useDefault: cfg.UseDefault, host: cfg.Machine,
		front: cfg.Front, certificates: cert.New(cert.Config{System: sys, Log: cfg.Log, Changed: func(cert.Certificate) {}, Warn: func(string) {}}), telling: new(sync.Mutex)}
}

// plan checks every step in the order of a start, and lists those that have work.
func plan(ctx context.Context, w *walk) (api.Plan, error) {
	p := api.Plan{Version: api.Version, Changes: []api.Change{}}
	for _, phase := range []machine.State{PrepareEnv, PrepareAppliance, PrepareECS, Run} {
		steps, err := w.steps(phase)
		if err != nil {
			return p, err
		}
		for _, step := range steps {
			changes, err := step.plan(ctx)
			if err != nil {
				return p, fmt.Errorf("cannot plan %s: %s: %w", phase, step.Name, w.mask(err))
			}
			for _, change := range changes {
				change.Phase, change.Step = string(phase), step.Name
				p.Changes = append(p.Changes, change)
			}
		}
		if phase == PrepareEnv {
			w.active = w.candidate // what follows is planned for what would be in force
			if w.active.Settings().Standby {
				return p, nil
			}
		}
	}
	return p, nil
}

func (s Step) plan(ctx context.Context) ([]api.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit())
	defer cancel()
	if s.Plan != nil {
		return s.Plan(ctx)
	}
	if s.Check == nil {
		return nil, nil
	}
	why, err := s.Check(ctx)
	if why == "" || err != nil {
		return nil, err
	}
	return []api.Change{{Action: "change", Why: why}}, nil
}
