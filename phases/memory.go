package phases

import (
	"errors"
	"fmt"

	"appliance/internal/machine"
)

// memory is what the policy remembers across restarts of the process and of the host: one document a subject, in the
// machine's record.
type memory interface {
	remember(subject string, v any) error
	recall(subject string, v any) (bool, error)
}

func (a *Appliance) remember(subject string, v any) error {
	var encode error
	err := a.machine.Update(func(rec *machine.Record) { encode = rec.Put(subject, v) })
	if err = errors.Join(encode, err); err != nil {
		return fmt.Errorf("cannot remember %s: %w", subject, err)
	}
	return nil
}

func (a *Appliance) recall(subject string, v any) (bool, error) {
	return a.machine.Record().Get(subject, v)
}

// storedMemory is the record without a machine that runs: for a phase by itself, and for a plan.
type storedMemory struct{ store *machine.Store }

func (m storedMemory) remember(subject string, v any) error {
	rec, err := m.store.Load()
	if err == nil {
		err = rec.Put(subject, v)
	}
	if err == nil {
		err = m.store.Save(&rec)
	}
	if err != nil {
		return fmt.Errorf("cannot remember %s: %w", subject, err)
	}
	return nil
}

func (m storedMemory) recall(subject string, v any) (bool, error) {
	rec, err := m.store.Load()
	if err != nil {
		return false, fmt.Errorf("cannot recall %s: %w", subject, err)
	}
	return rec.Get(subject, v)
}
