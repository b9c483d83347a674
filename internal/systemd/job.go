package systemd

import (
	"context"
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Restarting says whether the service manager is about to start our unit again right after this stop: then what the unit
// keeps running should be left alone. A process outside of a unit is never restarted.
func Restarting(ctx context.Context) (bool, error) {
	if !Managed() {
		return false, nil
	}
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot ask systemd for its jobs: %w", err)
	}
	defer conn.Close()
	unit, err := conn.GetUnitNameByPID(ctx, uint32(os.Getpid()))
	if err != nil {
		return false, fmt.Errorf("cannot ask systemd for our unit: %w", err)
	}
	jobs, err := conn.ListJobsContext(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot ask systemd for its jobs: %w", err)
	}
	for _, job := range jobs {
		if job.Unit == unit {
			return job.JobType == "restart" || job.JobType == "try-restart", nil
		}
	}
	return false, nil
}

// StopOwnUnit asks the service manager to stop the unit this process belongs to; the order to end comes back as SIGTERM.
func StopOwnUnit(ctx context.Context) error {
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("cannot ask systemd to stop: %w", err)
	}
	defer conn.Close()
	unit, err := conn.GetUnitNameByPID(ctx, uint32(os.Getpid()))
	if err != nil {
		return fmt.Errorf("cannot ask systemd for our unit: %w", err)
	}
	if _, err := conn.StopUnitContext(ctx, unit, "replace", nil); err != nil {
		return fmt.Errorf("cannot ask systemd to stop %s: %w", unit, err)
	}
	return nil
}
