package acceptance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

func TestEnvironmentOnTrial(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Trixie())
	variable := strings.NewReplacer("start_timeout: 2m", "start_timeout: ${ECS_PATIENCE:-2m}", "image: IMAGE\n    command: [web]", `image: "${ECS_OTHER:-IMAGE}"
    command: [web]
    environment: {GREETING: "${ECS_GREETING:-the old one}", DEMO_FAIL: "${ECS_FAIL:-}"}`)
	b.WriteFile("/app/ecs/compose.yaml", []byte(strings.ReplaceAll(variable.Replace(application), "IMAGE", b.image)), 0o644)
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"a power cut goes back", triedUntilPowerCut},
		{"it goes back when nobody confirms in time", triedTooLong},
		{"an image that is not there is refused before anything is touched", triedWithoutImage},
		{"an application that never gets healthy goes back", triedInVain},
		{"kill -9 of the supervisor does not end it, and what is confirmed stays", triedAndKept},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

// tryEnv tries an environment with such variables of the application, and tells what came of it.
func (b *box) tryEnv(during, ecs string) (out string, code int) {
	b.t.Helper()
	b.WriteFile("/root/new.yml", []byte(tryable(ecs)), 0o600)
	begun := time.Now()
	out, stderr, code := b.Try(b.t.Context(), "appliance", "env", "try", "/root/new.yml", "--for", during)
	b.t.Logf("env try ended with %d after %s:\n%s%s", code, time.Since(begun).Round(time.Millisecond), out, stderr)
	return out + stderr, code
}

func tryable(ecs string) string {
	return "#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {data: true, volatile: true}}\necs: " + ecs + "\n"
}

// onTrial tries an environment that is good.
func (b *box) onTrial(during string) {
	b.t.Helper()
	if out, code := b.tryEnv(during, "{greeting: the new one}"); code != 0 || !strings.Contains(out, "env confirm") {
		b.t.Fatal("a good environment cannot be tried")
	}
	b.greets("the new one")
}

// greets expects a healthy application that was started with such a greeting.
func (b *box) greets(want string) {
	b.t.Helper()
	b.awaitHealthy()
	if got := b.greeting(); got != want {
		b.t.Fatalf("the application has the greeting %q, want %q", got, want)
	}
}

func (b *box) greeting() string {
	out, _, _ := b.Try(b.t.Context(), "docker", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", "ecs-web-1")
	for line := range strings.Lines(out) {
		if value, found := strings.CutPrefix(line, "GREETING="); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// wentBack expects the environment of before to be in force, and the operator to be told why.
func (b *box) wentBack(why string) {
	b.t.Helper()
	b.greets("the old one")
	b.told(why)
	if env := string(b.ReadFile("/app/env.yml")); strings.Contains(env, "\necs:") {
		b.t.Errorf("what was tried is in place:\n%s", env)
	}
}

func (b *box) told(why string) {
	b.t.Helper()
	var status struct{ Trial struct{ Outcome string } }
	if err := json.Unmarshal([]byte(b.Run("appliance", "status", "--json")), &status); err != nil {
		b.t.Fatal(err)
	}
	if got := status.Trial.Outcome; !strings.Contains(got, why) {
		b.t.Errorf("the trial is said to have ended so: %q, want in it %q", got, why)
	}
}

func triedUntilPowerCut(b *box) {
	b.onTrial("10m")
	if status := b.Run("appliance", "status"); !strings.Contains(status, "on trial") {
		b.t.Errorf("the status does not tell of the trial:\n%s", status)
	}
	b.PowerCut()
	b.PowerOn()
	b.wentBack("the host was booted")
}

func triedTooLong(b *box) {
	b.onTrial("20s")
	b.Eventually(time.Minute, "the old environment", func() bool { return b.greeting() == "the old one" })
	b.wentBack("nobody confirmed it in time")
}

func triedWithoutImage(b *box) {
	before := b.containers()
	if out, code := b.tryEnv("10m", "{other: '127.0.0.1:1/nowhere/missing:1'}"); code == 0 || !strings.Contains(out, "cannot plan") {
		b.t.Error("it is not refused")
	}
	b.greets("the old one")
	b.untouched(before)
}

func triedInVain(b *box) {
	if out, code := b.tryEnv("10m", "{fail: unhealthy, patience: 15s}"); code == 0 || !strings.Contains(out, "went back") {
		b.t.Error("it does not say that it went back")
	}
	b.wentBack("it failed: ")
}

func triedAndKept(b *box) {
	old := string(b.ReadFile("/app/env.yml"))
	b.onTrial("10m")
	pid := b.pid()
	b.Run("kill", "-KILL", pid)
	b.Eventually(30*time.Second, "another supervisor", func() bool { now := b.pid(); return now != "0" && now != pid })
	b.greets("the new one")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "env", "confirm")))
	if now := string(b.ReadFile("/app/env.yml")); now != tryable("{greeting: the new one}") {
		b.t.Errorf("what was confirmed is not in place:\n%s", now)
	}
	if kept := string(b.ReadFile("/app/env.yml.before")); kept != old {
		b.t.Errorf("the environment of before is not kept:\n%s", kept)
	}
	b.told("confirmed")
	b.Reboot()
	b.greets("the new one")
}
