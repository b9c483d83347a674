package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/storage/vault"
)

func newVaultSeal(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "seal [IN [OUT]]",
		Short: "Sign and encrypt a file as the application does",
		Long: `seal signs IN and encrypts it with the keys in place, as the application does with gpg --sign --encrypt. IN and OUT are paths of the
machine itself, with --root too; - is standard input or output, and what is taken where none is named. OUT appears only once it is whole, belongs to whom its
directory belongs to, and must not be there yet.`,
		Example: "  appliance vault seal document.pdf document.gpg\n  tar c dir | appliance vault seal - dir.tar.gpg",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.convert(cmd.Context(), args, force, sealing())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over OUT where it is there")
	return cmd
}

func newVaultOpen(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "open [IN [OUT]]",
		Short: "Decrypt a file and check its signature as the application does",
		Long: `open decrypts IN and checks that the application has signed it, as the application does with gpg --decrypt. IN and OUT are paths of the machine
itself, with --root too; - is standard input or output, and what is taken where none is named. OUT appears only once all of it was found unaltered and signed,
readable by you alone, and must not be there yet. On standard output data comes before that is known: believe it only when the exit status is 0.`,
		Example: "  appliance vault open /data/ecs-storage-vault/1a2b3c.gpg document.pdf\n  appliance vault open < backup.gpg > backup.tar || rm backup.tar",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.convert(cmd.Context(), args, force, opening())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over OUT where it is there")
	return cmd
}

// conversion is sealing or opening.
type conversion struct {
	verb  string
	binds bool // what comes out is for whom the directory belongs to; else for us alone
	do    func(ctx context.Context, ring *vault.Ring, dst io.Writer, src io.Reader) error
}

func sealing() conversion {
	return conversion{"seal", true, func(ctx context.Context, ring *vault.Ring, dst io.Writer, src io.Reader) error {
		return ring.Seal(ctx, dst, src)
	}}
}

func opening() conversion {
	return conversion{"open", false, func(ctx context.Context, ring *vault.Ring, dst io.Writer, src io.Reader) error {
		_, err := ring.Open(ctx, dst, src)
		return err
	}}
}

func (a *app) convert(ctx context.Context, args []string, force bool, c conversion) error {
	names := append(append([]string{}, args...), "-", "-")
	in, closeIn, err := a.input(names[0]) // which waits for whoever writes to a pipe
	if err != nil {
		return err
	}
	defer closeIn()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ring, err := a.vaultHome().Ring()
	if err != nil {
		return err
	}
	convert := func(dst io.Writer) error {
		return explainFile(c.verb, names[0], unlessStopped(ctx, func() error { return c.do(ctx, ring, dst, in) }))
	}
	if names[1] == "-" {
		if file, ok := a.out.(*os.File); ok && c.binds && term.IsTerminal(int(file.Fd())) {
			return remedy.With(errors.New("cannot seal to a terminal: what comes out is no text"), "name a file, or send it on with |")
		}
		return convert(a.out)
	}
	return a.writeWhole(names[1], force, c.binds, convert)
}

// unlessStopped does not wait for work that a stop cannot reach, such as reading from a terminal where nobody types.
func unlessStopped(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writeWhole has a file written that appears once it is whole.
func (a *app) writeWhole(outName string, force, binds bool, write func(io.Writer) error) error {
	if !force {
		if err := mayWriteNew(outName); err != nil {
			return err
		}
	}
	path, err := filepath.Abs(outName)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", outName, err)
	}
	out, err := a.machineFiles().Create(path, 0o600)
	if err != nil {
		return err
	}
	defer out.Abort()
	if err := write(out); err != nil {
		return err
	}
	if binds {
		giveAs(out, filepath.Dir(path))
	}
	if force {
		return out.CommitOver()
	}
	if err = out.Commit(); errors.Is(err, fs.ErrExist) {
		return alreadyThere(outName)
	}
	return err
}

// giveAs hands a file to whom the directory belongs to: the application has to read what lies in its vault. Only root can.
func giveAs(out *system.Stream, dir string) {
	if info, err := os.Stat(dir); err == nil && os.Geteuid() == 0 {
		owner := info.Sys().(*syscall.Stat_t)
		_ = out.Chown(int(owner.Uid), int(owner.Gid)) // a file system without owners has nobody to keep out
	}
}

func explainFile(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return remedy.With(fmt.Errorf("cannot %s %s: %w", verb, orStdin(name), err), remedy.Of(err))
}

func (a *app) input(name string) (io.Reader, func(), error) {
	if name == "-" {
		return a.in, func() {}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return file, func() { _ = file.Close() }, nil
}
