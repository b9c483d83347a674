package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/env"
	"appliance/env/pack"
	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/storage/disk"
)

// packaging is what `env package` was asked for.
type packaging struct {
	dir, metaData string
	keys          []string
	mail          pack.Mail
	passwordFile  string
}

func newEnvPackage(a *app) *cobra.Command {
	var p packaging
	cmd := &cobra.Command{
		Use:   "package FILE",
		Short: "Put an environment on paper, on a seed disk and into an encrypted archive",
		Long: `package writes, beside FILE or into --dir (paths of the machine itself, with --root too), readable by their owner only:
  env.yml.pdf       a listing and pages of QR codes, to print and lock away
  env-cidata.iso    a disk that a new host boots with: user-data, meta-data and the PDF
  DOMAIN.env.DATE.tar.gz.gpg   both and the environment, encrypted to every OpenPGP key given by --key
                    (without one: those in gpgkeys.txt beside FILE, if it is there), with
                    backups of the LUKS headers of this host, if FILE has encrypted volumes
` + "`appliance env recover`" + ` gets the environment back from any of them. --mail-to sends the archive, never anything in clear.`,
		Example: "  appliance env package /app/env.yml --dir /root --key admins.asc\n" +
			"  appliance env package env.yml --key admins.asc --mail-to ada@example.org --mail-from box@example.org --mail-server localhost",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.packageEnv(cmd.Context(), args[0], p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&p.dir, "dir", "", "where to write (default beside FILE)")
	flags.StringVar(&p.metaData, "meta-data", "", "for the disk, in the place of an instance-id of our own making")
	flags.StringArrayVar(&p.keys, "key", nil, "file with OpenPGP public keys that may open the archive; may be repeated")
	flags.StringArrayVar(&p.mail.To, "mail-to", nil, "address to send the archive to; may be repeated")
	flags.StringVar(&p.mail.From, "mail-from", "", "sender of that mail")
	flags.StringVar(&p.mail.Server, "mail-server", "localhost", "SMTP server, as HOST or HOST:PORT; TLS is required unless it is this host")
	flags.StringVar(&p.mail.User, "mail-user", "", "user at the SMTP server")
	flags.StringVar(&p.passwordFile, "mail-password-file", "", "file with the password of that user")
	cmd.MarkFlagsRequiredTogether("mail-to", "mail-from")
	cmd.MarkFlagsRequiredTogether("mail-user", "mail-password-file")
	return cmd
}

func (a *app) packageEnv(ctx context.Context, name string, p packaging) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // so that a file half written is taken away again
	defer stop()
	order, err := a.packOrder(name, p)
	if err != nil {
		return err
	}
	if len(p.mail.To) > 0 && len(order.Keys) == 0 {
		return remedy.With(errors.New("cannot send the environment: there is no key to encrypt it to"), "name the keys of those who may open it with --key")
	}
	outputs, err := pack.Package(order)
	if err != nil {
		return err
	}
	dir := p.dir
	if dir == "" {
		dir = filepath.Dir(name)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("cannot find %s: %w", dir, err)
	}
	host := system.New(system.Config{Observe: a.observe})
	for _, out := range outputs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := filepath.Join(dir, out.Name)
		if err := host.WriteFile(path, out.Data, 0o600); err != nil {
			return err
		}
		note := "encrypted"
		if out.Clear {
			note = "in clear: lock it away"
		}
		fmt.Fprintf(a.out, "%s (%d bytes, %s)\n", path, len(out.Data), note)
	}
	if len(p.mail.To) == 0 {
		return nil
	}
	return a.mailArchive(ctx, order.Domain, outputs[len(outputs)-1], p)
}

// packOrder reads what is to be packed, and refuses an environment that would not do.
func (a *app) packOrder(name string, p packaging) (order pack.Order, err error) {
	if order.Document, err = a.readInput(name); err != nil {
		return order, err
	}
	doc, err := env.Parse(name, order.Document)
	if err == nil {
		err = doc.Validate()
	}
	if err != nil {
		return order, err
	}
	order.Domain, order.Made = doc.Settings().Domain, time.Now()
	if order.MetaData, err = a.readOptional(p.metaData); err != nil {
		return order, err
	}
	if len(doc.Volumes().Crypts) > 0 {
		if order.Beside, err = a.luksHeaders(); err != nil {
			return order, err
		}
	}
	if len(p.keys) == 0 {
		beside := filepath.Join(filepath.Dir(name), "gpgkeys.txt")
		if _, err := os.Stat(beside); err == nil {
			p.keys = []string{beside}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return order, fmt.Errorf("cannot read the keys: %w", err)
		}
	}
	order.Keys, err = readInputs(p.keys)
	return order, err
}

// maxHeaders is how much of backups of LUKS headers goes into an archive, in bytes: who reads it has a bound too. One has 16 MiB.
const maxHeaders = 48 << 20

// luksHeaders are the backups of the headers of this host's encrypted volumes: nothing opens them without the passphrase, which
// is in the environment.
func (a *app) luksHeaders() (inputs []pack.Input, err error) {
	headers, err := disk.Headers(a.system())
	size := 0
	for _, h := range headers {
		if size += len(h.Data); size > maxHeaders {
			fmt.Fprintf(a.err, "%s/%s does not go into the archive, which would be too large: keep it yourself\n", disk.Dir, h.Name)
			continue
		}
		inputs = append(inputs, pack.Input{Name: h.Name, Data: h.Data})
	}
	return inputs, err
}

func readInputs(names []string) ([]pack.Input, error) {
	inputs := make([]pack.Input, len(names))
	for i, name := range names {
		data, err := readWhole(name)
		if err != nil {
			return nil, err
		}
		inputs[i] = pack.Input{Name: name, Data: data}
	}
	return inputs, nil
}

func (a *app) mailArchive(ctx context.Context, domain string, archive pack.Output, p packaging) error {
	if p.passwordFile != "" {
		password, err := readWhole(p.passwordFile)
		if err != nil {
			return err
		}
		p.mail.Password = string(bytes.TrimRight(password, "\r\n"))
	}
	p.mail.Subject = "Environment of " + domain
	p.mail.Body = "The attachment is the environment of " + domain + ", encrypted to your OpenPGP key.\n" +
		"Keep it: `appliance env recover` makes a new host of it.\n"
	p.mail.Attachment = archive
	fmt.Fprintf(a.err, "sending %s by %s\n", archive.Name, p.mail.Server)
	if err := pack.Send(ctx, p.mail); err != nil {
		return err
	}
	for _, to := range p.mail.To {
		fmt.Fprintf(a.out, "sent to %s\n", to)
	}
	return nil
}
