// Command demo is a small three-tier application to try an appliance with: a
// web page, a worker and a store that keeps its data on disk, in one static
// binary that needs no base image.
//
//	demo web                      the page, :8080
//	demo worker                   appends a job a second to the store
//	demo store                    keeps journal and counter in /data, :8081
//	demo probe URL                a health check for images without a shell
//	demo probe --fresh 10s FILE   the same, for programs that do not listen
//
// How a role is made to misbehave, for tests:
//
//	DEMO_FAIL=unhealthy    it works, but says of itself that it does not
//	DEMO_FAIL=exit         it ends with status 1
//	DEMO_FAIL=hang         it takes connections, never answers, and ignores SIGTERM
//	DEMO_START_DELAY=2s    it waits before it begins
//
// A role that runs is taken out of health with SIGSTOP and brought back with
// SIGCONT (docker kill -s STOP): its data and its container stay what they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("no role given: web, worker, store or probe")
	}
	if args[0] == "probe" {
		return probe(ctx, args[1:])
	}
	cfg, err := configFromEnv(stderr)
	if err != nil {
		return err
	}
	role, ok := map[string]func(context.Context, config) error{"web": runWeb, "worker": runWorker, "store": runStore}[args[0]]
	if !ok {
		return fmt.Errorf("no such role %q: web, worker, store or probe", args[0])
	}
	if !sleep(ctx, cfg.startDelay) {
		return nil
	}
	switch cfg.fail {
	case failExit:
		return errors.New("ends because DEMO_FAIL=exit says so")
	case failHang:
		return hang(cfg.addrOr(defaultAddr[args[0]]))
	}
	return role(ctx, cfg)
}

// config is what the roles take from the environment.
type config struct {
	addr       string        // DEMO_ADDR, where web and store listen
	store      string        // DEMO_STORE, base URL of the store
	dir        string        // DEMO_DIR, where the store keeps its files
	heartbeat  string        // DEMO_HEARTBEAT, the file the worker touches
	fail       failure       // DEMO_FAIL
	startDelay time.Duration // DEMO_START_DELAY
	log        io.Writer
}

type failure string

const (
	failNot       failure = ""
	failUnhealthy failure = "unhealthy"
	failExit      failure = "exit"
	failHang      failure = "hang"
)

var defaultAddr = map[string]string{"web": ":8080", "store": ":8081"}

func configFromEnv(log io.Writer) (config, error) {
	cfg := config{
		addr:      os.Getenv("DEMO_ADDR"),
		store:     envOr("DEMO_STORE", "http://store:8081"),
		dir:       envOr("DEMO_DIR", "/data"),
		heartbeat: envOr("DEMO_HEARTBEAT", "/tmp/heartbeat"),
		fail:      failure(os.Getenv("DEMO_FAIL")),
		log:       log,
	}
	switch cfg.fail {
	case failNot, failUnhealthy, failExit, failHang:
	default:
		return config{}, fmt.Errorf("DEMO_FAIL=%s: want unhealthy, exit or hang", cfg.fail)
	}
	delay, err := time.ParseDuration(envOr("DEMO_START_DELAY", "0"))
	if err != nil {
		return config{}, fmt.Errorf("DEMO_START_DELAY: %w", err)
	}
	cfg.startDelay = delay
	return cfg, nil
}

func (c config) addrOr(addr string) string {
	if c.addr != "" {
		return c.addr
	}
	return addr
}

func envOr(name, value string) string {
	// An empty variable counts as unset: compose passes on what the
	// environment does not set as the empty string.
	if v := os.Getenv(name); v != "" {
		return v
	}
	return value
}

// sleep reports whether d went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
