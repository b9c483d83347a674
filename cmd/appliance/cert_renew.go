package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"appliance/internal/api"
	"appliance/internal/remedy"
)

func newCertRenew(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "renew",
		Short: "Ask for a new certificate now",
		Long: `renew asks the authority for a new certificate, whenever the next one would be due, and waits for the outcome. Whatever goes
wrong, the site keeps the certificate it has. Authorities count such requests, and refuse those who ask too often.`,
		Example: "  appliance cert renew",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop := a.showEvents(cmd.Context())
			c, err := a.client().RenewCertificate(cmd.Context())
			stop()
			if err != nil {
				return explainAway(err)
			}
			return printCertificate(a.out, c, a.system().Now())
		},
	}
}

// explainAway says what to do about a supervisor that does not answer, or does not any more.
func explainAway(err error) error {
	if errors.Is(err, api.ErrNoSupervisor) {
		return remedy.With(fmt.Errorf("cannot change the certificate: %w", err), "start it with `systemctl start appliance`, then look at `appliance cert status`")
	}
	return err
}

// showEvents tells on standard error, if that is a terminal, what happens from now on until the function it returns is called.
func (a *app) showEvents(ctx context.Context) (stop func()) {
	file, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	past, _ := a.client().PastEvents(ctx) // who does not answer now is told of by the request
	last := uint64(0)
	if n := len(past); n > 0 {
		last = past[n-1].ID
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		_ = a.client().Events(ctx, last, func(e api.Event) bool { // without them the outcome is shown all the same
			fmt.Fprintln(a.err, e.Text)
			return true
		})
	})
	return func() {
		cancel()
		ended.Wait()
	}
}
