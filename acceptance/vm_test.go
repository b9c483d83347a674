package acceptance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
	"appliance/internal/testbed"
)

// patience is what a start may take in emulation, with other tests on the same processors.
const patience = 10 * time.Minute

// unhurried makes the application's health checks fit an emulated processor, which takes a second for one.
var unhurried = strings.NewReplacer("start_timeout: 2m", "start_timeout: 8m", "unhealthy_timeout: 30s", "unhealthy_timeout: 3m",
	"interval: 500ms", "interval: 5s", "timeout: 5s", "timeout: 30s", "start_period: 10s", "start_period: 3m", "--fresh, 10s", "--fresh, 2m")

// vmBox is a virtual machine with the package and the application on it: what a power cut takes from it is really gone.
type vmBox struct {
	*rig.VM
	t     *testing.T
	image string
}

func newVMBox(t *testing.T, spec rig.Spec) *vmBox {
	b := &vmBox{VM: rig.BootVM(t, spec), t: t}
	deb := os.Getenv("APPLIANCE_DEB")
	if deb == "" {
		t.Fatal("APPLIANCE_DEB names no package; `make vm-test` builds one")
	}
	b.image = testbed.Image(t)
	b.LoadImage(b.image)
	b.Copy(deb, "/root/appliance.deb")
	b.Run("dpkg", "-i", "/root/appliance.deb")
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {data: true, volatile: true}}\n"), 0o600)
	b.application(b.image, 0)
	return b
}

// application puts a compose file in place and syncs it, as the work of an operator long before the cut. Another edition
// is the same application in need of new containers.
func (b *vmBox) application(image string, edition int) {
	edited := strings.NewReplacer("IMAGE", image, "restart: unless-stopped", fmt.Sprintf("restart: unless-stopped\n    labels: {edition: \"%d\"}", edition))
	b.WriteFile("/app/ecs/compose.yaml", []byte(edited.Replace(unhurried.Replace(application))), 0o644)
	b.Run("sync")
}

func (b *vmBox) line() string {
	out, _, _ := b.Try(b.t.Context(), "systemctl", "show", "--property", "StatusText", "--value", "appliance")
	return strings.TrimSpace(out)
}

func (b *vmBox) awaitLine(prefix string) {
	b.t.Helper()
	last := ""
	b.Eventually(patience, "a status line that begins with "+prefix, func() bool {
		if now := b.line(); now != last {
			b.t.Log(now)
			last = now
		}
		return strings.HasPrefix(last, prefix)
	})
}

// awaitWhole waits for the appliance to come back, and holds everything it keeps on disk against what was there.
func (b *vmBox) awaitWhole(had int) int {
	b.t.Helper()
	b.awaitLine("run: healthy,")
	if code, body := b.HTTP("http://127.0.0.1:8080/healthz"); code != 200 {
		b.t.Fatalf("it calls itself healthy and answers %d: %s", code, body)
	}
	var status struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(b.Run("appliance", "status", "--json")), &status); err != nil || status.State != "run" {
		b.t.Fatalf("the state is %q (%v)", status.State, err)
	}
	if flag, _, code := b.Try(b.t.Context(), "cat", "/run/appliance-failed"); code == 0 {
		b.t.Fatalf("the failed flag is there:\n%s", flag)
	}
	if out := b.journal("--dmesg", "--grep", "EXT4-fs error"); out != "" {
		b.t.Fatalf("the file system is damaged:\n%s", out)
	}
	has := b.records()
	if has < had {
		b.t.Fatalf("%d records, there were %d", has, had)
	}
	return has
}

// records asks the store for its own verdict on its data, and how many records it has.
func (b *vmBox) records() int {
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

// complaints are what the supervisor and the engine had to say about what they found. Those of the engine's resolver, whose
// messages begin with a bracket, are left out: there is no network to ask.
func (b *vmBox) complaints() string {
	return b.journal("--unit", "appliance", "--unit", "docker", "--grep", `level=error msg="[^[]|WARN|ERROR|damaged|cannot|already allocated`)
}

func (b *vmBox) journal(options ...string) string {
	argv := append([]string{"journalctl", "--boot", "--no-pager", "--quiet", "--output", "cat"}, options...)
	out, _, _ := b.Try(b.t.Context(), argv...) // to find nothing is code 1
	return out
}

func TestVM(t *testing.T) {
	b := newVMBox(t, rig.Trixie())
	begun := time.Now()
	b.Run("systemctl", "start", "appliance")
	b.awaitWhole(0)
	t.Logf("the first start took %s", time.Since(begun).Round(time.Second))
	for _, step := range []struct {
		name string
		run  func(*vmBox)
	}{
		{"back by itself after power cuts at random moments of a start", cutInStarts},
		{"a power cut while failed changes nothing", cutWhileFailed},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&vmBox{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

// powerCuts is how often the power is cut at random moments of one thing.
func powerCuts(t testing.TB, usual int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("APPLIANCE_VM_CUTS"), strconv.Itoa(usual)))
	if err != nil {
		t.Fatalf("cannot read APPLIANCE_VM_CUTS: %v", err)
	}
	return n
}

func cutInStarts(b *vmBox) {
	n, seed := powerCuts(b.t, 5), rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	had := b.records()
	b.PowerCut() // while it runs
	had, start := b.comeBack(had)
	quickest, slowest := start, start
	for cut := 1; cut <= n; cut++ {
		b.application(b.image, cut/2) // every second start has containers to replace
		b.PowerCut()
		b.PowerOn()
		after := time.Duration(random.Int64N(int64(quickest)))
		wait(b.t.Context(), after) // the moment of the cut is the input of this test
		line := b.line()
		b.PowerCut()
		had, start = b.comeBack(had)
		quickest, slowest = min(quickest, start), max(slowest, start)
		b.t.Logf("cut %d of %d, %s after the first answer (%q): healthy %s after it, %d records\n%s", cut, n, after.Round(time.Millisecond), line,
			start.Round(time.Second), had, b.complaints())
	}
	fmt.Printf("power cuts in a virtual machine: back by itself %d of %d times, the slowest %s after its first answer (seed %d)\n", n, n, slowest.Round(time.Second), seed)
}

// comeBack returns the records and how long a start takes from the first answer of the virtual machine.
func (b *vmBox) comeBack(had int) (has int, took time.Duration) {
	b.t.Helper()
	on := time.Now()
	b.PowerOn()
	answered := time.Now()
	has = b.awaitWhole(had)
	took = time.Since(answered)
	b.t.Logf("healthy %s after power on", time.Since(on).Round(time.Second))
	if state := b.AwaitBooted(); state != "running" {
		b.t.Fatalf("the machine is %s:\n%s", state, b.Run("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
	}
	return has, took
}

func cutWhileFailed(b *vmBox) {
	had := b.records()
	b.application("127.0.0.1:1/nowhere/missing:1", 0)
	b.Run("systemctl", "reload", "appliance")
	b.awaitLine("failed in prepare-ecs (images)")
	before := b.flag()
	b.PowerCut()
	b.PowerOn()
	b.awaitLine("failed in prepare-ecs (images)")
	after := b.flag()
	tries := after.Tries
	after.Tries = before.Tries
	if after != before || tries < before.Tries { // more, if it was tried by itself meanwhile
		b.t.Errorf("the flag says %+v (tries %d), it said %+v", after, tries, before)
	}
	b.Eventually(patience, "an answer of the old stack", func() bool { code, _ := b.HTTP("http://127.0.0.1:8080/"); return code == 200 })
	b.application(b.image, 0)
	b.Run("appliance", "clear")
	b.awaitWhole(had)
}

// flag is what a failed appliance says of its failure. It is raised in memory, and again from the record after a boot.
type flag struct {
	Phase, Step, Cause string
	Tries              int
}

func (b *vmBox) flag() flag {
	b.t.Helper()
	var f flag
	if err := json.Unmarshal(b.ReadFile("/run/appliance-failed"), &f); err != nil || f.Cause == "" {
		b.t.Fatalf("the flag cannot be read: %v", err)
	}
	return f
}
