package acme

import (
	"context"
	"fmt"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// dnsByProgram has a program of the operator write the record: "program present FQDN VALUE", later with cleanup.
type dnsByProgram struct {
	system  *system.System
	program string
	within  time.Duration
}

func (d dnsByProgram) write(ctx context.Context, r record) error  { return d.run(ctx, "present", r) }
func (d dnsByProgram) remove(ctx context.Context, r record) error { return d.run(ctx, "cleanup", r) }

// run waits for the program, but not after the end of ctx for children that it may leave.
func (d dnsByProgram) run(ctx context.Context, action string, r record) error {
	limited, cancel := context.WithTimeoutCause(ctx, d.within, remedy.Passing(fmt.Errorf("it is not done in %v", d.within)))
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := d.system.Command(limited, d.program, action, r.fqdn, r.value)
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-limited.Done():
		err = fmt.Errorf("cannot run %s: %w", d.program, context.Cause(limited))
	}
	return remedy.With(err, "see that the program of appliance.ssl.acme.dns.exec writes the record")
}
