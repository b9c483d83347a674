// Package acceptance tries the Debian package on whole machines, the way an operator uses it: real systemd, a real
// engine, reboots and power cuts. Nothing in here knows the program's inside.
package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
	"appliance/internal/testbed"
)

const application = `x-appliance:
  routes: [{service: web, port: 8080, health: /healthz}]
  start_timeout: 2m
  unhealthy_timeout: 30s
  stop_timeout: 10s
x-health: &health {interval: 500ms, timeout: 5s, retries: 5, start_period: 10s}
services:
  web:
    image: IMAGE
    command: [web]
    restart: unless-stopped
    ports: ["127.0.0.1:8080:8080"]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8080/healthz"]}
    depends_on: {store: {condition: service_healthy}}
  worker:
    image: IMAGE
    command: [worker]
    restart: unless-stopped
    healthcheck: {<<: *health, test: [CMD, /demo, probe, --fresh, 10s, /tmp/heartbeat]}
    depends_on: {store: {condition: service_healthy}}
  store:
    image: IMAGE
    command: [store]
    restart: unless-stopped
    volumes: [/data/demo:/data]
    healthcheck: {<<: *health, test: [CMD, /demo, probe, "http://127.0.0.1:8081/healthz"]}
`

// box is a machine with the package and the application on it.
type box struct {
	*rig.Machine
	t     *testing.T
	image string
}

func newBox(t *testing.T, spec rig.Spec) *box {
	deb := os.Getenv("APPLIANCE_DEB")
	if deb == "" {
		t.Skip("APPLIANCE_DEB names no package; `make test-machine` builds one")
	}
	b := &box{rig.Boot(t, spec), t, testbed.Image(t)}
	b.LoadImage(b.image)
	b.Copy(deb, "/root/appliance.deb")
	b.Run("dpkg", "-i", "/root/appliance.deb")
	b.env("")
	b.application(b.image)
	return b
}

func (b *box) env(extra string) {
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {data: true, volatile: true}}\n  ssl: {letsencrypt: {enabled: false}}\n"+extra), 0o600)
}

func (b *box) application(image string) {
	b.WriteFile("/app/ecs/compose.yaml", []byte(strings.ReplaceAll(application, "IMAGE", image)), 0o644)
}

func (b *box) awaitLine(limit time.Duration, prefix string) {
	b.t.Helper()
	last := ""
	b.Eventually(limit, "a status line that begins with "+prefix, func() bool {
		out, _, _ := b.Try(b.t.Context(), "systemctl", "show", "--property", "StatusText", "--value", "appliance")
		last = strings.TrimSpace(out)
		return strings.HasPrefix(last, prefix)
	})
	b.t.Log(last)
}

func (b *box) awaitHealthy() {
	b.t.Helper()
	b.awaitLine(2*time.Minute, "run: healthy,") // "run: healthy (3/3)" is the name of a step
	if code, body := b.HTTP("http://127.0.0.1:8080/healthz"); code != 200 {
		b.t.Fatalf("it calls itself healthy and answers %d: %s", code, body)
	}
	if code, body := b.visit("/healthz"); code != 200 {
		b.t.Fatalf("it calls itself healthy, and a visitor gets %d: %s", code, body)
	}
}

// visit asks for a page as visitors do: by TLS, at the front.
func (b *box) visit(path string) (status int, body string) {
	b.t.Helper()
	return b.HTTP("https://127.0.0.1"+path, "--insecure")
}

// containers tells each container's ID and start time: equal answers mean that nothing was touched.
func (b *box) containers() string {
	ids := strings.Fields(b.Run("docker", "ps", "-aq"))
	return b.Run(append([]string{"docker", "inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}"}, ids...)...)
}

// ids tells the containers without when they were started.
func (b *box) ids() string {
	return b.Run("docker", "ps", "-aq", "--no-trunc", "--format", "{{.Names}} {{.ID}}")
}

func (b *box) pid() string {
	return strings.TrimSpace(b.Run("systemctl", "show", "--property", "MainPID", "--value", "appliance"))
}

// records asks the store for its own verdict on its data, and how many records it has.
func (b *box) records() int {
	b.t.Helper()
	address := strings.TrimSpace(b.Run("docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "ecs-store-1"))
	code, body := b.HTTP("http://" + address + ":8081/check")
	var verdict struct {
		Records int  `json:"records"`
		OK      bool `json:"ok"`
	}
	if err := json.Unmarshal([]byte(body), &verdict); err != nil || code != 200 || !verdict.OK {
		b.t.Fatalf("the store's data is not whole: %d %s", code, body)
	}
	return verdict.Records
}

func TestMachine(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Trixie())
	begun := time.Now()
	b.Run("systemctl", "start", "appliance")
	t.Logf("systemctl start: active and healthy after %s", time.Since(begun).Round(time.Millisecond))
	b.awaitHealthy()
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"kill -9 of the supervisor touches no container", killed},
		{"restart touches no container", restarted},
		{"replaced in place touches no container", replaced},
		{"an upgrade of the package touches no container", upgraded},
		{"stop stops the stack, start brings the same containers", stopped},
		{"who may ask", asked},
		{"visitors wait, and are never refused", neverRefused},
		{"the front has no rights", withoutRights},
		{"sockets of systemd, from the first second of a boot", bySocketUnit},
		{"gpg 2.4 and we open what the other seals", vaulted},
		{"back by itself after a reboot", rebooted},
		{"a broken image fails with the reason and leaves the old stack serving", broken},
		{"a boot with a broken environment fails with the reason and brings the old stack back", brokenEnv},
		{"standby is no error", stoodBy},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

func killed(b *box) {
	before, pid := b.containers(), b.pid()
	b.Run("kill", "-KILL", pid)
	b.Eventually(30*time.Second, "another supervisor", func() bool { now := b.pid(); return now != "0" && now != pid })
	b.awaitHealthy()
	b.untouched(before)
}

func (b *box) untouched(before string) {
	b.t.Helper()
	if after := b.containers(); after != before {
		b.t.Fatalf("containers were touched:\n%s\nbefore:\n%s", after, before)
	}
}

func restarted(b *box) {
	before, pid := b.containers(), b.pid()
	b.Run("systemctl", "restart", "appliance")
	b.awaitHealthy()
	b.untouched(before)
	if b.pid() == pid {
		b.t.Fatal("the supervisor was not restarted at all")
	}
}

func replaced(b *box) {
	before, pid := b.containers(), b.pid()
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload", "--exec")))
	b.awaitHealthy()
	b.untouched(before)
	if now := b.pid(); now != pid {
		b.t.Fatalf("PID %s became %s", pid, now)
	}
}

func upgraded(b *box) {
	before, pid := b.containers(), b.pid()
	b.Run("dpkg", "-i", "/root/appliance.deb")
	if now := b.pid(); now != pid {
		b.t.Errorf("the upgrade replaced process %s by %s: long connections have ended", pid, now)
	}
	if program := strings.TrimSpace(b.Run("readlink", "/proc/"+b.pid()+"/exe")); program != "/usr/bin/appliance" {
		b.t.Errorf("the supervisor still runs %s", program)
	}
	b.awaitHealthy()
	b.untouched(before)
}

func stopped(b *box) {
	before := b.ids()
	begun := time.Now()
	b.Run("systemctl", "stop", "appliance")
	b.t.Logf("systemctl stop took %s", time.Since(begun).Round(time.Millisecond))
	if running := b.Run("docker", "ps", "-q"); running != "" {
		b.t.Fatalf("still running: %s", running)
	}
	if state := strings.TrimSpace(b.Run("systemctl", "show", "--property", "Result", "--value", "appliance")); state != "success" {
		b.t.Fatalf("the stop ended with %s", state)
	}
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	if after := b.ids(); after != before {
		b.t.Fatalf("other containers:\n%s\nbefore:\n%s", after, before)
	}
}

func asked(b *box) {
	b.Run("useradd", "--groups", "appliance", "reader")
	b.Run("useradd", "stranger")
	as := func(user string, args ...string) (string, int) {
		out, stderr, code := b.Try(b.t.Context(), append([]string{"setpriv", "--reuid", user, "--regid", user, "--init-groups", "appliance"}, args...)...)
		return out + stderr, code
	}
	if out, code := as("reader", "status"); code != 0 {
		b.t.Errorf("a member of the group may not read: %d %s", code, out)
	}
	if out, code := as("reader", "reload"); code == 0 || !strings.Contains(out, "may only read") {
		b.t.Errorf("a member of the group may reload: %d %s", code, out)
	}
	if out, code := as("stranger", "status"); code == 0 {
		b.t.Errorf("a stranger may read: %s", out)
	}
}

func rebooted(b *box) {
	before, had := b.ids(), b.records()
	begun := time.Now()
	b.Reboot()
	b.awaitHealthy()
	b.t.Logf("healthy again %s after the order to reboot", time.Since(begun).Round(time.Millisecond))
	if after := b.ids(); after != before {
		b.t.Fatalf("other containers:\n%s\nbefore:\n%s", after, before)
	}
	if has := b.records(); has < had {
		b.t.Fatalf("%d records, there were %d", has, had)
	}
}

func broken(b *box) {
	before := b.ids()
	b.application("127.0.0.1:1/nowhere/missing:1")
	b.Run("systemctl", "reload", "appliance")
	b.awaitLine(2*time.Minute, "failed in prepare-ecs (images)")
	b.serving(before)
	b.t.Logf("the flag:\n%s", b.ReadFile("/run/appliance-failed"))

	b.Reboot()
	b.awaitLine(2*time.Minute, "failed in prepare-ecs (images)")
	b.Run("test", "-f", "/run/appliance-failed") // the boot has wiped /run: it was raised again from the record
	b.serving(before)

	if out, _, code := b.Try(b.t.Context(), "appliance", "clear"); code == 0 {
		b.t.Fatalf("clear without mending says that all is well: %s", out)
	}
	var flag struct {
		Tries int `json:"tries"`
	}
	if err := json.Unmarshal(b.ReadFile("/run/appliance-failed"), &flag); err != nil || flag.Tries < 2 { // more, if it was tried by itself meanwhile
		b.t.Fatalf("the flag counts %d tries, not 2 or more (%v)", flag.Tries, err)
	}
	b.application(b.image)
	b.t.Log(strings.TrimSpace(b.Run("appliance", "clear")))
	b.awaitHealthy()
	b.serving(before)
}

func brokenEnv(b *box) {
	before, had := b.ids(), b.records()
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: [box\n"), 0o600)
	b.Reboot() // which wipes the environment that was in force
	b.awaitLine(2*time.Minute, "failed in prepare-env")
	b.t.Logf("the flag:\n%s", b.ReadFile("/run/appliance-failed"))
	b.serving(before)
	b.Eventually(time.Minute, "an answer for visitors", func() bool { code, _ := b.visit("/"); return code == 200 })
	b.env("")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "clear")))
	b.awaitHealthy()
	b.serving(before)
	if has := b.records(); has < had {
		b.t.Errorf("%d records, there were %d", has, had)
	}
}

// serving expects the very containers of before to answer.
func (b *box) serving(before string) {
	b.t.Helper()
	b.Eventually(time.Minute, "an answer of the old stack", func() bool { code, _ := b.HTTP("http://127.0.0.1:8080/"); return code == 200 })
	if after := b.ids(); after != before {
		b.t.Fatalf("other containers:\n%s\nbefore:\n%s", after, before)
	}
}

func stoodBy(b *box) {
	b.env("  standby: true\n")
	b.Run("systemctl", "reload", "appliance")
	b.awaitLine(time.Minute, "standby")
	if running := b.Run("docker", "ps", "-q"); running != "" {
		b.t.Fatalf("in standby there still run: %s", running)
	}
	b.Run("systemctl", "is-active", "appliance")
	b.Reboot()
	b.awaitLine(time.Minute, "standby")
	b.env("")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	b.awaitHealthy()
}

// cuts is how often the power fails during a start.
const cuts = 20

func TestPowerCuts(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Trixie())
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	had := b.records()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var worst time.Duration
	for n := 1; n <= cuts; n++ {
		b.PowerCut()
		b.PowerOn()
		after := time.Duration(random.Int64N(int64(6 * time.Second)))
		wait(t.Context(), after) // the moment of the cut is the input of this test
		line, _, _ := b.Try(t.Context(), "systemctl", "show", "--property", "StatusText", "--value", "appliance")
		b.PowerCut()
		begun := time.Now()
		b.PowerOn()
		b.awaitHealthy()
		worst = max(worst, time.Since(begun))
		has := b.records()
		t.Logf("cut %d of %d, %s after the boot (%q): healthy after %s, %d records", n, cuts, after.Round(time.Millisecond),
			strings.TrimSpace(line), time.Since(begun).Round(time.Millisecond), has)
		if has < had {
			t.Fatalf("%d records, there were %d (seed %d)", has, had, seed)
		}
		had = has
	}
	journal := b.Run("journalctl", "--no-pager", "--unit", "appliance", "--output", "cat")
	fmt.Printf("power cuts: back by itself %d of %d times, the slowest in %s, %d times over a restart of the engine (seed %d)\n",
		cuts, cuts, worst.Round(time.Millisecond), strings.Count(journal, "the engine holds it for a container"), seed)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func TestBookworm(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Bookworm())
	// systemd 252 without cgroup v2, as the machine has it, is not told when the last child of a killed process has gone, and
	// waits this long for it.
	b.WriteFile("/etc/systemd/system/appliance.service.d/hurry.conf", []byte("[Service]\nTimeoutStopSec=5s\n"), 0o644)
	b.Run("systemctl", "daemon-reload")
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	killed(b)
	restarted(b)
	rebooted(b)
}
