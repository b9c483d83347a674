package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/internal/remedy"
	"appliance/phases"
)

func newVaultRotate(a *app) *cobra.Command {
	var yes bool
	var output string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new pair of keys, and keep the old one for old documents",
		Long: `rotate makes a new pair of keys, writes them into /app/env.yml of this host in the place of the old ones, and puts those into
ecs.vault_retired: documents that were sealed with them stay readable. No other line of the file changes. The new pair is in use from the next reload on.
Where the environment does not come from a file of this host, --output FILE (a path of the machine itself, with --root too) gets what to put where, readable by you alone.
Afterwards package the environment again: paper, disks and archives of before lack the new keys.`,
		Example: "  appliance vault rotate && appliance reload\n  appliance vault rotate --output new-keys.yml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" {
				return a.rotateTo(cmd.Context(), output)
			}
			return a.rotate(cmd.Context(), yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&output, "output", "", "change nothing on this host, and write what to put into the environment to this new `file`")
	return cmd
}

const packageAgain = "Package the environment again (`appliance env package`): what was packaged before lacks the new keys.\n"

func (a *app) rotate(ctx context.Context, yes bool) error {
	rotation, err := phases.NewRotation(ctx, a.config())
	if err != nil {
		return err
	}
	if rotation.File == "" {
		return remedy.With(fmt.Errorf("cannot write new keys into the environment of this host: %s", rotation.Why),
			"name a file with --output, and put what it then says into the environment")
	}
	if !yes {
		if err := a.confirm("Make new keys for the storage vault, and write them into " + rotation.File + "?"); err != nil {
			return err
		}
	}
	if err := rotation.Write(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s has a new pair of keys, and the old one in ecs.vault_retired.\nRun `appliance reload` to have the application use it.\n"+packageAgain, rotation.File)
	return err
}

func (a *app) rotateTo(ctx context.Context, output string) error {
	if err := mayWriteNew(output); err != nil {
		return err
	}
	rotation, err := phases.NewRotation(ctx, a.config())
	if err != nil {
		return err
	}
	text, err := rotation.Text()
	if err != nil {
		return err
	}
	if err := a.writeNew(output, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s says what to put into the environment. Delete it afterwards.\n"+packageAgain, output)
	return err
}

// confirm asks on a terminal, and takes nothing for a no.
func (a *app) confirm(question string) error {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return remedy.With(errors.New("cannot go on without somebody to ask"), "run it on a terminal, or with --yes")
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(file).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || answer != "y" && answer != "yes" {
		return remedy.With(errors.New("nothing was changed"), "answer y to go on")
	}
	return nil
}
