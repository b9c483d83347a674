package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/phases"
	"appliance/storage"
	"appliance/storage/disk"
)

func newStorage(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "storage",
		Short:   "Look after file systems, and what lies where",
		Long:    "storage tells which file systems the appliance's data lies on, how full they are, and what of the layout is where.",
		Example: "  appliance storage status\n  appliance storage plan\n  appliance storage apply",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStorageStatus(a), newStoragePlan(a), newStorageApply(a))
	return cmd
}

func newStorageStatus(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which file systems there are, how full they are, and what lies where",
		Long: `status asks the supervisor, or looks at the host when none is running.
A volume is "ample", or at the level that its free space leads to: "warn", "hold" (no new work is taken on) or "protect" (whoever
writes is stopped); appliance.storage.space has the limits.
The exit status is 0 when all is well, 3 when a volume cannot be used, is at the level "hold" or "protect", or a place of the layout
is not as it should be, or an encrypted volume is not open, and 1 when nothing can be told.`,
		Example: "  appliance storage status\n  appliance storage status --json | jq '.volumes[] | {path, free}'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.storage(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(s)
			} else {
				err = printStorage(a.out, s)
			}
			return errors.Join(err, storageVerdict(s))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// storage asks the supervisor, else the host.
func (a *app) storage(ctx context.Context) (api.Storage, error) {
	s, err := a.client().Storage(ctx)
	if errors.Is(err, api.ErrNoSupervisor) {
		return phases.Storage(ctx, a.config())
	}
	return s, err
}

func storageVerdict(s api.Storage) error {
	for _, v := range s.Volumes {
		if v.ToDo != "" || v.Level == storage.Hold.String() || v.Level == storage.Protect.String() {
			return troubled
		}
	}
	for _, lock := range s.Locks {
		if lock.State != disk.LockOpen {
			return troubled
		}
	}
	for _, p := range s.Places {
		if p.State != "ready" && p.State != "unused" {
			return troubled
		}
	}
	return nil
}

func printStorage(w io.Writer, s api.Storage) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tSOURCE\tTYPE\tSIZE\tFREE\tLEVEL\tLABEL")
	for _, v := range s.Volumes {
		free := ""
		if v.Size > 0 {
			free = fmt.Sprintf("%s (%.0f %%)", storage.Bytes(v.Free), 100*float64(v.Free)/float64(v.Size))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.Path, v.Source, v.Type, storage.Bytes(v.Size), free, v.Level, labelText(v))
	}
	fmt.Fprintln(table, "\nPLACE\tLINK\tMODE\tOWNER\tSTATE\tFOR")
	for _, p := range s.Places {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Path, p.Link, p.Mode, p.Owner, p.State, p.For)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, lock := range s.Locks {
		fmt.Fprintf(w, "\n%s is encrypted and %s (/dev/mapper/%s)\n", lock.Device, lock.State, lock.Name)
	}
	for _, v := range s.Volumes {
		if v.Problem != "" {
			fmt.Fprintf(w, "\n%s\n", v.Problem)
		}
		if v.ToDo != "" {
			fmt.Fprintf(w, "To do: %s.\n", v.ToDo)
		}
	}
	for _, path := range s.Aside {
		fmt.Fprintf(w, "\nMoved aside, since it was in the way: %s\n", path)
	}
	return nil
}

// labelText says how a volume is found, and what the environment asks for.
func labelText(v api.Volume) string {
	switch {
	case v.Label == "":
		return ""
	case v.Required:
		return v.Label + " (required)"
	}
	return v.Label + " (not asked for)"
}
