package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/sweeping"
	"appliance/internal/testbed"
)

// tryable is the demo application, with a service that is made anew when ecs.tried changes; hasty gives up on it soon.
var (
	tryable = strings.NewReplacer(`{DEMO_FAIL: "${ECS_DEMO_WEB_FAIL:-}"}`, `{DEMO_FAIL: "${ECS_DEMO_WEB_FAIL:-}", TRIED: "${ECS_TRIED:-}"}`).Replace(testbed.Compose)
	hasty   = strings.NewReplacer("start_timeout: 60s", "start_timeout: 30s").Replace(tryable)
)

// trialHost is a host, and another environment to try on it.
func trialHost(t *testing.T, changed string) (h *testbed.Host, environment, tried string) {
	t.Helper()
	h = newHost(t)
	h.WriteCompose(tryable)
	environment = h.Read("app/env.yml")
	tried = environment + changed
	h.Write("tried.yml", tried)
	return h, environment, tried
}

func tryOn(h *testbed.Host, args ...string) (stdout, stderr string, status int) {
	return h.Run(append([]string{"env", "try", h.Root + "/tried.yml"}, args...)...)
}

func webVariable(t *testing.T, h *testbed.Host) string {
	t.Helper()
	for line := range strings.Lines(testbed.Docker(t, "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", containerName(h, "web"))) {
		if value, ok := strings.CutPrefix(line, "TRIED="); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestATrialThatIsNeverHealthyGoesBack(t *testing.T) {
	t.Parallel()
	h, environment, _ := trialHost(t, "    web_fail: unhealthy\n  tried: sick\n")
	h.WriteCompose(hasty)
	h.Start().AwaitWatching(time.Minute)
	out, stderr, status := tryOn(h, "--for", "10m")
	if status == 0 || !strings.Contains(stderr, "cannot keep this environment: the appliance went back: it failed: ") || !strings.Contains(out, "it differs from") {
		t.Errorf("env try ends with %d: %s%s", status, out, stderr)
	}
	h.AwaitHealthy(time.Minute)
	if h.Read("run/active-env.yml") != environment || webVariable(t, h) != "" {
		t.Error("the environment that failed is still in force")
	}
	if _, err := os.Stat(h.Root + "/run/appliance-failed"); err == nil {
		t.Error("the flag is raised over a trial")
	}
	visit(t, h, 1)
}

// What is being tried when its time is over in the middle of a start that does not come to an end is left then.
func TestATrialIsNotOutlastedByItsStart(t *testing.T) {
	t.Parallel()
	h, environment, _ := trialHost(t, "    web_fail: unhealthy\n")
	h.WriteCompose(strings.Replace(tryable, "start_timeout: 60s", "start_timeout: 10m", 1))
	h.Start().AwaitWatching(time.Minute)
	begun := time.Now()
	if _, stderr, status := tryOn(h, "--for", "3s"); status == 0 || !strings.Contains(stderr, "the appliance went back") {
		t.Errorf("env try ends with %d: %s", status, stderr)
	}
	if took := time.Since(begun); took > 90*time.Second {
		t.Errorf("it went back after %s", took)
	}
	h.AwaitHealthy(time.Minute)
	if h.Read("run/active-env.yml") != environment {
		t.Error("what was tried is still in force")
	}
}

// TestTrialKillSweep kills the supervisor at each effect of a trial and its confirmation. What is in force afterwards is
// always what is being tried, or what the host's file says, whole.
func TestTrialKillSweep(t *testing.T) {
	t.Parallel()
	log := trialEffects(t)
	begin := slices.IndexFunc(log, func(effect string) bool { return strings.HasSuffix(effect, "/trial.yml") }) // other sweeps have what comes before
	first, stride := sweeping.Points(3)
	var sound atomic.Int64
	t.Cleanup(func() {
		fmt.Printf("kill sweep \"trial and confirmation\": %d of %d points, each with SIGKILL and converged; every %d. from %d on\n", sound.Load(), len(log)-begin, stride, first)
	})
	for k := begin + first; k <= len(log); k += stride {
		t.Run(fmt.Sprintf("%03d", k), func(t *testing.T) {
			t.Parallel()
			killInTrial(t, k)
			if !t.Failed() {
				sound.Add(1)
			}
		})
	}
}

// trialEffects lists the effects of a supervisor that finds a converged host, tries and keeps another environment.
func trialEffects(t *testing.T) []string {
	h, _, tried := trialHost(t, "  tried: new\n")
	first := h.Start()
	first.AwaitWatching(time.Minute)
	first.Kill()
	h.Env = append(h.Env, effectLog+"="+h.Root+"/effects.0")
	h.Start().AwaitWatching(time.Minute)
	done(t, h, "env", "try", h.Root+"/tried.yml")
	done(t, h, "env", "confirm")
	if h.Read("app/env.yml") != tried || webVariable(t, h) != "new" {
		t.Fatal("what was confirmed is not in force")
	}
	return strings.Split(strings.TrimSpace(h.Read("effects.0")), "\n")
}

func killInTrial(t *testing.T, k int) {
	h, environment, tried := trialHost(t, "  tried: new\n")
	first := h.Start()
	first.AwaitWatching(time.Minute)
	first.Kill()
	base := h.Env
	h.Env = append(base[:len(base):len(base)], effectLog+"="+h.Root+"/effects.1", fmt.Sprintf("%s=%d", killAt, k))
	doomed := h.Start()
	h.Env = base
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ordered := make(chan struct{})
	go func() { // what becomes of the orders does not matter
		defer close(ordered)
		tryAndConfirm(ctx, h, tried)
	}()
	select {
	case <-doomed.Done():
	case <-ctx.Done():
		t.Fatalf("point %d was never reached", k)
	}
	cancel()
	<-ordered // none may reach the next supervisor
	where := lastLine(h.Read("effects.1"))
	status := h.Start().AwaitWatching(3 * time.Minute)
	active, file := h.Read("run/active-env.yml"), h.Read("app/env.yml")
	want := file
	if status.Trial != nil && status.Trial.Outcome == "" {
		want = tried
	}
	if active != want || file != environment && file != tried {
		t.Errorf("killed after %q: the trial is %+v, in force is\n%s\nand the file says\n%s", where, status.Trial, active, file)
	}
	if value := webVariable(t, h); (value == "new") != (active == tried) {
		t.Errorf("killed after %q: old and new are mixed: the container has %q", where, value)
	}
	if trying := status.Trial != nil && status.Trial.Outcome == ""; !trying && h.Read("var/lib/appliance/trial.yml") != "" {
		t.Errorf("killed after %q: what was tried is left on the disk", where)
	}
	if litter := litter(t, h.Root); len(litter) > 0 {
		t.Errorf("killed after %q: left behind %v", where, litter)
	}
	visit(t, h, 1)
}

// tryAndConfirm gives a supervisor its orders as soon as it takes them.
func tryAndConfirm(ctx context.Context, h *testbed.Host, tried string) {
	client := api.NewClient(h.System())
	orders := []func() error{
		func() error { _, err := client.Try(ctx, []byte(tried), time.Hour); return err },
		func() error { _, err := client.Post(ctx, "confirm"); return err },
	}
	for ctx.Err() == nil && len(orders) > 0 {
		if orders[0]() == nil {
			orders = orders[1:]
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // a poll with a deadline
		}
	}
}
