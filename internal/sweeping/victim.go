package sweeping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"appliance/internal/system"
)

// victim makes a test binary do what its Main says, and be killed. It holds an order in JSON.
const victim = "APPLIANCE_TEST_VICTIM"

type order struct {
	At       int // effect, from 1; 0 is none
	Settings map[string]string
}

// Victim is a process that changes a host, and is killed at an effect.
type Victim struct {
	order
	effects chan int // they may come from several goroutines
}

// Setting is what Count or Kill were given by that name.
func (v *Victim) Setting(name string) string { return v.Settings[name] }

// Observe is for the system.Config of the host. It does not return from the effect that the process is to be killed at.
func (v *Victim) Observe(system.Effect) error {
	n := <-v.effects + 1
	if n == v.At {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it is on its way
	}
	v.effects <- n
	return nil
}

// Main is the TestMain of a package: it runs the tests or, in the process of a victim, do. It answers the exit status.
func Main(m *testing.M, do func(v *Victim) error) int {
	text := os.Getenv(victim)
	if text == "" {
		return m.Run()
	}
	v := &Victim{effects: make(chan int, 1)}
	v.effects <- 0
	err := json.Unmarshal([]byte(text), &v.order)
	if err == nil {
		err = do(v)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print(<-v.effects)
	return 0
}

// Count has a victim do what Main says to its end, and answers how many effects that has.
func Count(ctx context.Context, settings map[string]string) (effects int, err error) {
	out, err := run(ctx, order{0, settings})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// Kill has a victim do what Main says until its n-th effect, and fails if it has not been killed there.
func Kill(ctx context.Context, n int, settings map[string]string) error {
	out, err := run(ctx, order{n, settings})
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("it came to its end after %s effects, before the %d. of them", out, n)
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return nil
	}
	return err
}

func run(ctx context.Context, o order) (stdout string, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	return string(out), err
}
