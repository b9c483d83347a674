package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

// serve answers on addr until ctx ends. Requests under way then get half a
// second: an application that takes longer to stop would hide slow stops of
// the appliance itself.
func serve(ctx context.Context, cfg config, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(cfg.log, "demo: listens on", l.Addr())
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// hang is what a dead-locked program looks like from outside: the kernel
// completes connections, nobody answers them, and only SIGKILL ends it.
func hang(addr string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	if addr != "" {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	for {
		time.Sleep(time.Hour) // an empty select would be reported as a deadlock
	}
}
