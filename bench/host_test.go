package bench

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/testbed"
)

// application is what every contender runs: the three services of the demo, health-checked each INTERVAL.
const application = `x-appliance:
  routes: [{service: web, port: 8080, health: /healthz}]
  start_timeout: 60s
  unhealthy_timeout: 30s
  stop_timeout: 5s
x-health: &health {interval: INTERVAL, timeout: 5s, retries: 20, start_period: 10s}
x-demo: &demo {image: IMAGE, restart: unless-stopped}
services:
  web:
    <<: *demo
    command: [web]
    ports: ["127.0.0.1:${ECS_DEMO_PORT}:8080"]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8080/healthz"]}
    depends_on: {store: {condition: service_healthy}}
  worker:
    <<: *demo
    command: [worker]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, --fresh, 10s, /tmp/heartbeat]}
    depends_on: {store: {condition: service_healthy}}
  store:
    <<: *demo
    command: [store]
    volumes: ["${ECS_DEMO_DATA}:/data"]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8081/healthz"]}
`

const services = 3

// patience is how long anything may take before it cannot be measured.
const patience = time.Minute

// host is a root directory, a project and the programs that bring it up.
type host struct {
	*testbed.Host
	project string
}

// newHost returns a host with the application in place, nothing started.
func newHost(tb testing.TB, binary string, interval time.Duration) *host {
	tb.Helper()
	h := &host{Host: testbed.New(tb, binary)}
	h.project = strings.ToLower(h.Project)
	text := strings.NewReplacer("INTERVAL", interval.String(), "IMAGE", testbed.Image(tb)).Replace(application)
	h.WriteCompose(text)
	h.Write("/app/ecs/v1.yaml", text) // docker-compose 1.29 refuses a project's name in the file
	return h
}

// clear takes the project and all that a start left on the disk away, save for what an operator puts there.
func (h *host) clear() {
	h.TB.Helper()
	filter := "label=com.docker.compose.project=" + h.project
	if ids := strings.Fields(testbed.Docker(h.TB, "ps", "-aq", "--filter", filter)); len(ids) > 0 {
		testbed.Docker(h.TB, append([]string{"rm", "-fv"}, ids...)...)
	}
	if ids := strings.Fields(testbed.Docker(h.TB, "network", "ls", "-q", "--filter", filter)); len(ids) > 0 {
		testbed.Docker(h.TB, append([]string{"network", "rm"}, ids...)...)
	}
	for _, dir := range []string{"run", "var", "data", "volatile"} {
		if err := os.RemoveAll(filepath.Join(h.Root, dir)); err != nil {
			h.TB.Fatal(err)
		}
	}
}

// v5 is a command of the Compose CLI for the project.
func (h *host) v5(binary string, args ...string) *exec.Cmd {
	return h.compose(binary, "compose.yaml", args...)
}

// v1 is a command of docker-compose 1.29 for the project.
func (h *host) v1(binary string, args ...string) *exec.Cmd {
	return h.compose(binary, "v1.yaml", args...)
}

func (h *host) compose(binary, file string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.TB.Context(), binary, append([]string{"-p", h.project, "-f", file}, args...)...)
	cmd.Dir = filepath.Join(h.Root, "app/ecs")
	cmd.Env = append(os.Environ(), "ECS_DEMO_PORT="+strconv.Itoa(h.Port), "ECS_DEMO_DATA="+h.Root+"/data/demo")
	return cmd
}

// awaitHealthy waits until the engine calls every container of the project healthy.
func (h *host) awaitHealthy() {
	h.TB.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // a poll with a deadline
		healthy := testbed.Docker(h.TB, "ps", "-q", "--filter", "label=com.docker.compose.project="+h.project, "--filter", "health=healthy")
		if len(strings.Fields(healthy)) == services {
			return
		}
	}
	h.TB.Fatalf("project %s is not healthy after %s", h.project, patience)
}

// timed runs a program to its end and answers how many milliseconds that took.
func timed(tb testing.TB, cmd *exec.Cmd) float64 {
	tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		tb.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return milliseconds(took)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// start is one start of the supervisor, in milliseconds.
type start struct {
	api     float64 // from exec until GET /v1/status is answered
	healthy float64 // from exec until that answer says run and healthy
	walk    float64 // from entering prepare-env until the application is found healthy in run, by the events
}

// walk starts the supervisor and follows it until it rests in run.
func (h *host) walk() (start, *testbed.Supervisor) {
	h.TB.Helper()
	ctx, cancel := context.WithTimeout(h.TB.Context(), patience)
	defer cancel()
	client := api.NewClient(h.System())
	began := time.Now()
	supervisor := h.Start()
	var s start
	await(ctx, supervisor, func() bool { _, err := client.Status(ctx); return err == nil })
	s.api = milliseconds(time.Since(began))

	var entered time.Time // prepare-env
	runs, looks := 0, 0
	err := client.Events(ctx, 0, func(e api.Event) bool {
		switch {
		case e.State == "prepare-env":
			entered = e.Time
		case e.State == "failed":
			cancel()
		case e.Kind == "step" && e.Phase == "run" && e.Step == "healthy":
			if looks++; looks == 2 { // the first event of a step is its start, the second its end
				s.walk = milliseconds(e.Time.Sub(entered))
				await(ctx, supervisor, func() bool { status, err := client.Status(ctx); return err == nil && status.Healthy })
				s.healthy = milliseconds(time.Since(began))
			}
		case e.State == "run":
			runs++
		}
		return runs < 2 // it rests when it comes back from cleanup
	})
	if err != nil || runs < 2 || s.healthy == 0 {
		h.TB.Fatalf("the supervisor does not come to rest in run: %v; its log:\n%s", err, supervisor.Log())
	}
	return s, supervisor
}

// await polls as tightly as it can without taking a core away from what it waits for.
func await(ctx context.Context, supervisor *testbed.Supervisor, met func() bool) {
	for !met() {
		select {
		case <-ctx.Done():
			return
		case <-supervisor.Done():
			return
		case <-time.After(200 * time.Microsecond):
		}
	}
}
