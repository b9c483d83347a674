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
		Long: `install shows how the units on the host differ from the ones this binary brings, and puts those in place and enables
them. It starts nothing. When nothing differs it does nothing.`,
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
	return a.enable(ctx, sys, differs)
}

// enable makes systemd know the units. Enabling what is enabled changes nothing.
func (a *app) enable(ctx context.Context, sys *system.System, changed bool) error {
	if changed {
		for _, argv := range [][]string{{"systemd-sysusers"}, {"systemctl", "daemon-reload"}} {
			if _, err := sys.Command(ctx, argv...); err != nil {
				return err
			}
		}
	}
	_, err := sys.Command(ctx, "systemctl", "enable", "--quiet", "appliance.service")
	return err
}
