package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/env"
	"appliance/env/pack"
	"appliance/internal/remedy"
)

// maxInput is the largest file that is read to recover an environment from: a scan of many pages, in bytes.
const maxInput = 512 << 20

func newEnvRecover(a *app) *cobra.Command {
	var out, passphraseFile string
	var keys []string
	cmd := &cobra.Command{
		Use:   "recover INPUT...",
		Short: "Get an environment back from an archive, a seed disk, a PDF or scanned pages",
		Long: `recover reads what ` + "`appliance env package`" + ` has made, in any mixture and order: the encrypted archive, the disk image, the PDF,
pictures or a scanned PDF of its pages, and the text that zbarimg reads from the codes (- is standard input). What pages
are missing is said. An archive needs the secret key of one of those it was encrypted to; one that is
locked asks for its passphrase on the terminal.`,
		Example: "  appliance env recover scan-*.png\n  appliance env recover box.example.org.env.2026-11-23_06.30.tar.gz.gpg --key secret.asc\n" +
			"  zbarimg --raw page-*.png | appliance env recover - --out new-env.yml",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if out != "-" {
				if err := mayWriteNew(out); err != nil {
					return err
				}
			}
			inputs, err := a.readRecoverable(args)
			if err != nil {
				return err
			}
			secret, err := readInputs(keys)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "looking for the environment in %d files\n", len(inputs))
			found, err := pack.Recover(inputs, pack.Keys{Secret: secret, Passphrase: a.passphrase(passphraseFile)})
			if err != nil {
				return err
			}
			return a.writeRecovered(out, found)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "env.yml", "file to write, which must not be there; - is standard output")
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file with OpenPGP secret keys; may be repeated")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "file with the passphrase of a locked key")
	return cmd
}

func (a *app) writeRecovered(out string, found pack.Found) error {
	for _, skipped := range found.Skipped {
		fmt.Fprintln(a.err, "warning: not used:", skipped)
	}
	if doc, err := env.Parse("the recovered environment", found.Document); err != nil {
		fmt.Fprintln(a.err, "warning:", err)
	} else if err := doc.Validate(); err != nil {
		fmt.Fprintln(a.err, "warning:", err)
	}
	if out == "-" {
		_, err := a.out.Write(found.Document)
		return err
	}
	if err := a.writeNew(out, found.Document); err != nil {
		return err
	}
	for _, origin := range found.Origins {
		fmt.Fprintf(a.out, "recovered from %s\n", origin)
	}
	_, err := fmt.Fprintf(a.out, "%s is written\n", out)
	return err
}

func (a *app) readRecoverable(names []string) ([]pack.Input, error) {
	var inputs []pack.Input
	for _, name := range names {
		if name != "-" {
			read, err := readInputs([]string{name})
			if err != nil {
				return nil, err
			}
			inputs = append(inputs, read...)
			continue
		}
		data, err := readBounded(a.in, "standard input")
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, pack.Input{Name: "standard input", Data: data})
	}
	return inputs, nil
}

// readWhole reads a file of any kind that an environment may be packed in.
func readWhole(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	defer file.Close()
	return readBounded(file, name)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("it is larger than %d MiB", maxInput>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return data, nil
}

// passphrase asks for that of a locked key: in a file, else on the terminal.
func (a *app) passphrase(file string) func(key string) ([]byte, error) {
	return func(key string) ([]byte, error) {
		if file != "" {
			text, err := readWhole(file)
			return bytes.TrimRight(text, "\r\n"), err
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, remedy.With(errors.New("cannot ask for the passphrase: there is no terminal"), "write it to a file and name that with --passphrase-file")
		}
		defer tty.Close()
		fmt.Fprintf(tty, "Passphrase of %s: ", key)
		text, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		return text, err
	}
}
