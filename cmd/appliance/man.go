package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages into a directory",
		Example: "  appliance man /usr/share/man/man1",
		Args:    cobra.ExactArgs(1),
		Hidden:  true, // for packaging
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("cannot write man pages: %w", err)
			}
			cmd.Root().DisableAutoGenTag = true // the same input gives the same pages
			header := &doc.GenManHeader{Title: "APPLIANCE", Section: "1", Source: "appliance", Manual: "appliance"}
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return fmt.Errorf("cannot write man pages: %w", err)
			}
			return nil
		},
	}
}
