package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Units stops and starts units of the machine.
type Units struct{}

// dependents are properties that name units which are stopped when a unit is (systemd.unit(5): Requires=, BindsTo=, PartOf=).
var dependents = []string{"RequiredBy", "BoundBy", "ConsistsOf"}

// Active answers those of the units that are active, and all active ones that would be stopped with them. One that is not
// installed is none. It refuses units that cannot be stopped without our own.
func (Units) Active(ctx context.Context, units []string) ([]string, error) {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot reach systemd: %w", err)
	}
	defer conn.Close()
	own, _ := conn.GetUnitNameByPID(ctx, uint32(os.Getpid())) // a process outside of all units is stopped with none
	var active []string
	seen := map[string]bool{}
	for queue := slices.Clone(units); len(queue) > 0; queue = queue[1:] {
		unit := queue[0]
		if seen[unit] {
			continue
		}
		seen[unit] = true
		properties, err := conn.GetUnitPropertiesContext(ctx, unit)
		if err != nil {
			return nil, fmt.Errorf("cannot ask systemd about %s: %w", unit, err)
		}
		if !isUp(properties) {
			continue
		}
		if unit == own {
			return nil, fmt.Errorf("cannot stop %s: %s, which asks for it, would be stopped too", strings.Join(units, ", "), own)
		}
		active = append(active, unit)
		for _, name := range dependents {
			more, _ := properties[name].([]string)
			queue = append(queue, more...)
		}
	}
	return active, nil
}

// isUp says whether a unit is active or on its way there or from there.
func isUp(properties map[string]any) bool {
	state, _ := properties["ActiveState"].(string)
	return !slices.Contains([]string{"inactive", "failed", ""}, state)
}

// Stop stops units and returns when all of them are down, also those that their own stop has left in failure.
func (Units) Stop(ctx context.Context, units []string) error {
	return each(ctx, units, job{"stop", (*dbus.Conn).StopUnitContext, func(_ string, properties map[string]any) bool { return !isUp(properties) }})
}

// Start starts units and returns when all of them are up. One that is not installed any more is none.
func (Units) Start(ctx context.Context, units []string) error {
	return each(ctx, units, job{"start", (*dbus.Conn).StartUnitContext, func(result string, properties map[string]any) bool {
		return result == "done" || properties["ActiveState"] == "active" || properties["LoadState"] == "not-found"
	}})
}

// job is what can be asked of systemd for a unit.
type job struct {
	verb   string
	begin  func(conn *dbus.Conn, ctx context.Context, unit, mode string, ended chan<- string) (int, error)
	served func(result string, properties map[string]any) bool // a job that another one has replaced may still have led there
}

// each asks for a job for every unit before it waits for any, so that systemd puts them in order.
func each(ctx context.Context, units []string, j job) error {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("cannot reach systemd: %w", err)
	}
	defer conn.Close()
	ends, refused := make([]chan string, len(units)), make([]error, len(units))
	for i, unit := range units {
		ends[i] = make(chan string, 1)
		if _, refused[i] = j.begin(conn, ctx, unit, "replace", ends[i]); refused[i] != nil {
			ends[i] <- "" // there is nothing to wait for
		}
	}
	var failed []error
	for i, unit := range units {
		var result string
		select {
		case result = <-ends[i]:
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for the %s of %s: %w", j.verb, unit, context.Cause(ctx))
		}
		properties, err := conn.GetUnitPropertiesContext(ctx, unit)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("cannot ask systemd about %s: %w", unit, err))
		case j.served(result, properties):
		case refused[i] != nil:
			failed = append(failed, fmt.Errorf("cannot %s %s: %w", j.verb, unit, refused[i]))
		default:
			failed = append(failed, fmt.Errorf("cannot %s %s: the job has ended as %q, and the unit is %v", j.verb, unit, result, properties["ActiveState"]))
		}
	}
	return errors.Join(failed...)
}
