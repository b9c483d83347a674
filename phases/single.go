package phases

import (
	"context"
	"fmt"

	"appliance/internal/api"
	"appliance/internal/machine"
)

// Single takes the steps of one phase, without the machine: nothing is recorded, and nothing follows.
func Single(ctx context.Context, cfg Config, name string) error {
	a := &Appliance{cfg: cfg, bus: api.NewBus(), started: cfg.System.Now()}
	a.visitors = newVisitors(a)
	a.certificates = a.newKeeper()
	a.walk = a.newWalk()
	a.walk.memory = storedMemory{machine.NewStore(cfg.System, StateDir, cfg.Log)}
	a.walk.kept = func() map[string]bool { return keptBy(readGood(a.walk.memory)) }
	steps, err := a.walk.steps(machine.State(name))
	if err != nil {
		return err
	}
	if err := perform(ctx, machine.State(name), steps, a); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func readGood(m memory) (g generation) {
	_, _ = m.recall(goodSubject, &g) // without one nothing is kept for it
	return g
}

func keptBy(g generation) map[string]bool {
	keep := map[string]bool{}
	for _, id := range g.Images {
		keep[id] = true
	}
	return keep
}
