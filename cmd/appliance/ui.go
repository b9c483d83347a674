package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/internal/remedy"
	"appliance/internal/ui"
)

func newUI(a *app) *cobra.Command {
	var listen string
	var idle time.Duration
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the operator's view in a browser on this host",
		Long: `ui prints an address to open in a browser: how the appliance is doing, its services, certificate, storage, history and log, live,
and what can be done about it. The address holds a token that lets one browser in, one time: keep it to yourself.
The view is a client of the supervisor like every other command, and may do what you may: members of group ` + api.Group + ` can look,
root can act. It is served on the loopback address only. To look from another machine, take the port there through a tunnel.
It ends with Ctrl-C, or when no page has been open and nothing has been asked for during --idle.`,
		Example: "  appliance ui\n  ssh -t -L 8090:127.0.0.1:8090 box.example.org sudo appliance ui --listen 127.0.0.1:8090",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return a.serveUI(ctx, listen, idle)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "loopback address and port to serve at; port 0 is any that is free")
	cmd.Flags().DurationVar(&idle, "idle", time.Hour, "end after so long without a request; 0 is never")
	return cmd
}

func (a *app) serveUI(ctx context.Context, listen string, idle time.Duration) error {
	address, err := loopback(listen)
	if err != nil {
		return err
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return remedy.With(fmt.Errorf("cannot listen on %s: %w", listen, err), "choose another port, or 0 for any that is free")
	}
	defer l.Close()
	view, err := ui.New(ui.Config{Supervisor: onlooker{a.client(), a}, Host: hostName(), MayAct: a.mayAct, Idle: idle})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out, view.Address(l)); err != nil {
		return err
	}
	fmt.Fprintln(a.err, "Open this in one browser; the address works once. Ctrl-C ends the view.")
	return view.Serve(ctx, l)
}

// mayAct says whether the supervisor does what we ask for: it does so for root and for its own user, whose the socket is.
func (a *app) mayAct() bool {
	if os.Geteuid() == 0 {
		return true
	}
	info, err := os.Stat(a.system().Path(api.SocketPath))
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}

// loopback reads an address that only this host can reach.
func loopback(listen string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return netip.AddrPort{}, remedy.With(fmt.Errorf("cannot listen on %q: %w", listen, err), "give address and port, like 127.0.0.1:8090")
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err == nil && !address.Addr().Unmap().IsLoopback() {
		err = errors.New("others could reach it")
	}
	if err != nil {
		return address, remedy.With(fmt.Errorf("cannot listen on %q: %w", listen, err), "choose a port of 127.0.0.1, and a tunnel to get there from elsewhere")
	}
	return address, nil
}

func hostName() string {
	name, _ := os.Hostname() // only a heading
	return cmp.Or(name, "this host")
}

// onlooker is the client of the API, which without a supervisor tells what is on record and in the files.
type onlooker struct {
	*api.Client
	app *app
}

func (o onlooker) Status(ctx context.Context) (api.Status, error) { return o.app.status(ctx) }

func (o onlooker) Certificate(ctx context.Context) (api.Certificate, error) {
	return o.app.certificate(ctx)
}
