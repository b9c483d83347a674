package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/internal/remedy"
)

func newCert(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cert",
		Short:   "Look after the certificate that the site shows",
		Long:    "cert tells how the site's certificate is doing, asks for a new one, and puts one of your own into place.",
		Example: "  appliance cert status\n  appliance cert renew\n  appliance cert import --key key.pem --cert chain.pem",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertStatus(a), newCertRenew(a), newCertImport(a))
	return cmd
}

func newCertStatus(a *app) *cobra.Command {
	var asJSON bool
	var days int
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which certificate the site shows, and for how long",
		Long: `status asks the supervisor, or looks at the files when none is running.
The exit status is 0 when the certificate is valid, 3 when there is none or it is not valid now, and 1 when nothing can be told:
no supervisor runs, and there is no file. With --check it is 0 or 1: 1 in all of these cases, and when it ends too soon.`,
		Example: "  appliance cert status\n  appliance cert status --json | jq -r .not_after\n  appliance cert status --check 10   # for a monitor: 1 with fewer than ten days left",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.certificate(cmd.Context())
			if err != nil {
				return err
			}
			now := a.system().Now()
			if asJSON {
				err = a.printJSON(c)
			} else {
				err = printCertificate(a.out, c, now)
			}
			if cmd.Flags().Changed("check") {
				return errors.Join(err, checkDays(c, days, now))
			}
			return errors.Join(err, certificateVerdict(c, now))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.Flags().IntVar(&days, "check", 0, "exit with 1 when fewer than so many `days` are left")
	return cmd
}

// certificate asks the supervisor, else the files.
func (a *app) certificate(ctx context.Context) (api.Certificate, error) {
	c, err := a.client().Certificate(ctx)
	if errors.Is(err, api.ErrNoSupervisor) {
		return a.certificateOnDisk()
	}
	return c, err
}

// daysLeft counts whole days; it is negative when the certificate is over.
func daysLeft(c api.Certificate, now time.Time) int {
	return int(math.Floor(c.NotAfter.Sub(now).Hours() / 24))
}

func certificateVerdict(c api.Certificate, now time.Time) error {
	if c.NotAfter.IsZero() || !now.Before(c.NotAfter) || now.Before(c.NotBefore) {
		return troubled
	}
	return nil
}

func checkDays(c api.Certificate, days int, now time.Time) error {
	todo := "see `appliance cert status`, then run `appliance cert renew` or `appliance cert import`"
	switch {
	case c.NotAfter.IsZero():
		return remedy.With(errors.New("cannot rely on the certificate: there is none"), todo)
	case now.Before(c.NotBefore):
		return remedy.With(fmt.Errorf("cannot rely on the certificate: it begins only on %s", c.NotBefore.Local().Format(time.DateTime)), "check the clock of the host")
	case !now.Before(c.NotAfter):
		return remedy.With(fmt.Errorf("cannot rely on the certificate: it expired on %s", c.NotAfter.Local().Format(time.DateTime)), todo)
	case daysLeft(c, now) < days:
		return remedy.With(fmt.Errorf("cannot rely on the certificate for %d days: %d are left", days, daysLeft(c, now)), todo)
	}
	return nil
}

func printCertificate(w io.Writer, c api.Certificate, now time.Time) error {
	if c.NotAfter.IsZero() {
		_, err := fmt.Fprintln(w, "There is no certificate yet.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	at := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	row("source", "%s", cmp.Or(c.Source, "unknown"))
	row("names", "%s", strings.Join(c.Names, ", "))
	row("issuer", "%s", c.Issuer)
	if c.Authority != "" {
		row("authority", "%s", c.Authority)
	}
	row("valid from", "%s", at(c.NotBefore))
	row("valid until", "%s (%s)", at(c.NotAfter), left(c, now))
	row("fingerprint", "sha256 %s", c.SHA256)
	if c.RenewAt != nil {
		row("next renewal", "%s", at(*c.RenewAt))
	}
	if c.LastError != "" {
		row("last error", "%s (tried %d times)", c.LastError, c.Tries)
	}
	if c.NextTry != nil {
		row("next try", "%s", at(*c.NextTry))
	}
	for _, warning := range c.Warnings {
		row("warning", "%s", warning)
	}
	return table.Flush()
}

func left(c api.Certificate, now time.Time) string {
	switch days := daysLeft(c, now); {
	case now.Before(c.NotBefore):
		return "not yet valid"
	case !now.Before(c.NotAfter):
		return "expired"
	case days == 1:
		return "1 day left"
	default:
		return fmt.Sprintf("%d days left", days)
	}
}
