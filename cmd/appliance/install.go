package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"appliance/internal/system"
	"appliance/units"
)

func newInstall(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install or renew the systemd units",
		Long: `install shows how the units on the host, and the list of the users they need, differ from the ones this binary brings, puts
those in place, makes the users and enables appliance.service. appliance.socket is yours to enable: what for stands in it.
It starts nothing. When nothing differs it writes nothing, and only has systemd read the units again.`,
		Example: "  appliance install --dry-run\n  appliance install",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.install(cmd.Context(), dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the difference and change nothing")
	return cmd
}

func (a *app) install(ctx context.Context, dryRun bool) error {
	sys := a.system()
	binary, err := sys.Executable()
	if err != nil {
		return fmt.Errorf("cannot find our own binary: %w", err)
	}
	differs := false
	for _, file := range units.Files(binary) {
		have, err := sys.ReadFile(file.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot read the unit on the host: %w", err)
		}
		diff := units.Diff(file.Path, have, file.Content)
		if diff == "" {
			continue
		}
		differs = true
		fmt.Fprint(a.out, diff)
		if dryRun {
			continue
		}
		if err := sys.WriteFile(file.Path, file.Content, file.Mode); err != nil {
			return err
		}
	}
	if !differs {
		fmt.Fprintln(a.out, "Everything is in place.")
	}
	if dryRun || !sys.Real() {
		return nil
	}
	return enable(ctx, sys)
}

// enable makes systemd know the units. It does so also when no file differs: whoever wrote them may have got no further.
// Doing it twice is the same as once.
func enable(ctx context.Context, sys *system.System) error {
	for _, argv := range [][]string{{"systemd-sysusers"}, {"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", "appliance.service"}} {
		if _, err := sys.Command(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}
