package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/env/create"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

func newEnvCreate(a *app) *cobra.Command {
	var extra, template string
	cmd := &cobra.Command{
		Use:   "create DOMAIN FILE",
		Short: "Make a new environment with fresh secrets",
		Long: `create writes a complete environment for DOMAIN to FILE (a path of the machine itself, with --root too), which must not be there yet: with a new DKIM key, application
secrets and OpenPGP keys, and the DNS records to publish as comments. Nobody but its owner can read it. Keep it safe:
` + "`appliance env package`" + ` makes paper, a disk and an encrypted archive of it.`,
		Example: "  appliance env create box.example.org /app/env.yml\n  appliance env create box.example.org env.yml --extra keys.yml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o := create.Options{Domain: args[0], ExtraName: extra, TemplateName: template, Now: time.Now()}
			if o.Extra, err = a.readOptional(extra); err != nil {
				return err
			}
			if o.Template, err = a.readOptional(template); err != nil {
				return err
			}
			if err := mayWriteNew(args[1]); err != nil { // before the work of making keys; writing looks again
				return err
			}
			made, err := create.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := a.writeNew(args[1], made.Data); err != nil {
				return err
			}
			return a.tellCreated(args[1], made)
		},
	}
	cmd.Flags().StringVar(&extra, "extra", "", "YAML to lay over it, such as keys and sources of yours")
	cmd.Flags().StringVar(&template, "template", "", "make it of this Go template instead of ours")
	return cmd
}

func (a *app) tellCreated(name string, made *create.Environment) error {
	doc, err := env.Parse(name, made.Data)
	if err != nil {
		return err
	}
	for _, warning := range doc.Warnings() {
		fmt.Fprintln(a.err, "warning:", warning)
	}
	_, err = fmt.Fprintf(a.out, "%s is written. Publish in the DNS:\n%s", name, made.DNS)
	return err
}

// readOptional reads a file that may not have been named.
func (a *app) readOptional(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	return a.readInput(name)
}

// mayWriteNew says what stands in the way of a new file of that name.
func mayWriteNew(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return alreadyThere(name)
	}
	if info, err := os.Stat(filepath.Dir(name)); err != nil || !info.IsDir() {
		return remedy.With(fmt.Errorf("cannot write %q: there is no directory %s", name, filepath.Dir(name)), "make it first, or name another file")
	}
	return nil
}

func alreadyThere(name string) error {
	return remedy.With(fmt.Errorf("cannot write %s: %w", name, fs.ErrExist), "name another file, or move that one away")
}

// writeNew writes a file that only its owner can read, where none is yet.
func (a *app) writeNew(name string, data []byte) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	err = system.New(system.Config{Observe: a.observe}).WriteNewFile(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return alreadyThere(name)
	}
	return err
}
