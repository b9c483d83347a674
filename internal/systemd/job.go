package systemd

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Stopping says whether the service manager is stopping our unit, and not about to start it again: only then should what
// the unit keeps running be stopped too. A unit that nobody ordered to stop is started again by its own policy. A process
// outside of a unit has nobody to start it again.
func Stopping(ctx context.Context) (bool, error) {
	if !Managed() {
		return true, nil
	}
	job, err := ownJob(ctx)
	return job == "stop" || err != nil, err // "restart" and "try-restart" come back
}

// Ending says whether the service manager is stopping our unit, whether it is about to start it again or not. Who takes a
// process over asks, as a signal to end may have come before it was there to obey.
func Ending(ctx context.Context) (bool, error) {
	if !Managed() {
		return false, nil
	}
	job, err := ownJob(ctx)
	return slices.Contains([]string{"stop", "restart", "try-restart"}, job), err
}

// ownJob is the type of the job that systemd has for our unit, "" if there is none.
func ownJob(ctx context.Context) (string, error) {
	conn, unit, err := ownUnit(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	jobs, err := conn.ListJobsContext(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot ask systemd for its jobs: %w", err)
	}
	for _, job := range jobs {
		if job.Unit == unit {
			return job.JobType, nil
		}
	}
	return "", nil
}

// stopOwnUnit asks the service manager to stop the unit this process belongs to.
func stopOwnUnit(ctx context.Context) error {
	conn, unit, err := ownUnit(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.StopUnitContext(ctx, unit, "replace", nil); err != nil {
		return fmt.Errorf("cannot ask systemd to stop %s: %w", unit, err)
	}
	return nil
}

// ownUnit connects to systemd itself, which answers even when the message bus is down already, and finds our unit there.
func ownUnit(ctx context.Context) (*dbus.Conn, string, error) {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("cannot reach systemd: %w", err)
	}
	unit, err := conn.GetUnitNameByPID(ctx, uint32(os.Getpid()))
	if err != nil {
		conn.Close()
		return nil, "", fmt.Errorf("cannot ask systemd for our unit: %w", err)
	}
	return conn, unit, nil
}
