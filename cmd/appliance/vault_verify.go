package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/internal/remedy"
	"appliance/storage/vault"
)

func newVaultVerify(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Open every document and check its signature",
		Long: `verify opens every file below DIR (a path of the machine itself, with --root too; default ` + vault.StorePath + ` of the host) with the keys in place, checks the
signature, and lists those that are not as they were sealed: truncated, tampered, unsigned, signed by somebody else, sealed to an unknown key. Nothing is
written. The exit status is 1 when any is bad.`,
		Example: "  appliance vault verify\n  appliance vault verify --json /mnt/restored | jq -r '.bad[] | \"\\(.reason) \\(.file)\"'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := a.system().Path(vault.StorePath)
			if len(args) > 0 {
				dir = args[0]
			}
			return a.verifyVault(cmd.Context(), dir, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (a *app) verifyVault(ctx context.Context, dir string, asJSON bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	show, done := a.verifyProgress()
	began := time.Now()
	report, err := a.vaultHome().Verify(ctx, dir, show)
	done()
	if err != nil {
		return fmt.Errorf("cannot verify %s: %w", dir, err)
	}
	if asJSON {
		err = a.printJSON(report)
	} else {
		err = printReport(a.out, report, time.Since(began))
	}
	if n := int64(len(report.Bad)) + report.More; n > 0 && err == nil {
		if asJSON {
			return exitStatus(1)
		}
		return remedy.With(fmt.Errorf("cannot vouch for %d of %d documents", n, report.Files), "restore them from a backup; for an unknown key put the old key into ecs."+vault.RetiredKeys)
	}
	return err
}

func printReport(w io.Writer, r vault.Report, took time.Duration) error {
	for _, b := range r.Bad {
		fmt.Fprintf(w, "%s: %s: %s\n", printable(b.File), b.Reason, printable(b.Detail))
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more\n", r.More)
	}
	good := r.Files - int64(len(r.Bad)) - r.More
	_, err := fmt.Fprintf(w, "%d of %d documents are good (%s in %s)\n", good, r.Files, size(r.Bytes), took.Round(time.Millisecond))
	return err
}

// printable keeps the name of a file from being obeyed by a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}

func size(n int64) string {
	value, unit := float64(n), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

const progressLine = 10 * time.Second // between lines where there is no terminal

// verifyProgress shows how far it is: a bar on a terminal, a line now and then in a log. done ends the bar.
func (a *app) verifyProgress() (show func(vault.Progress), done func()) {
	if file, ok := a.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return func(p vault.Progress) {
			fmt.Fprintf(file, "\r[%s] %d of %d documents, %s of %s\x1b[K", bar(p), p.Files, p.TotalFiles, size(p.Bytes), size(p.TotalBytes))
		}, func() { fmt.Fprint(file, "\r\x1b[K") }
	}
	last, log := time.Now(), a.logger()
	return func(p vault.Progress) {
		if now := time.Now(); now.Sub(last) >= progressLine {
			last = now
			log.Info("verifying the storage vault", "documents", p.Files, "of", p.TotalFiles, "bytes", p.Bytes, "of_bytes", p.TotalBytes)
		}
	}, func() {}
}

// bar is as full as bytes and files are done: many small ones take longer than few large ones.
func bar(p vault.Progress) string {
	part := 1.0
	if p.TotalFiles > 0 {
		part = (float64(p.Files)/float64(p.TotalFiles) + float64(p.Bytes)/float64(max(p.TotalBytes, 1))) / 2
	}
	filled := int(min(part, 1) * barWidth)
	return strings.Repeat("█", filled) + strings.Repeat("·", barWidth-filled)
}
