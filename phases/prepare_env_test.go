package phases

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/env/source"
	"appliance/internal/machine"
	"appliance/internal/system"
)

const standing = environment + "  standby: true\n"

func (h *host) read(path string) string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

func (h *host) lacks(path string) {
	h.t.Helper()
	if _, err := os.Lstat(filepath.Join(h.root, path)); err == nil {
		h.t.Errorf("%s is there", path)
	}
}

func TestLayersAreLaidOverTheSource(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", environment+"  standby: false\n")
	h.write("app/env.d/20-site.yml", "appliance: {domain: site.example.org}\n")
	h.write("app/env.d/10-standby.yml", "appliance: {domain: nobody.example.org, standby: true}\n")
	h.write("app/env.d/30-empty.yml", "# nothing yet\n\n")
	h.write("app/env.d/.40-hidden.yml", "{")
	h.write("app/env.d/README", "{")
	p := h.start()
	status := p.rests()
	if status.State != "standby" {
		t.Errorf("status is %+v", status)
	}
	if active := h.read(ActiveEnvPath); !strings.Contains(active, "domain: site.example.org\n") || !strings.HasPrefix(active, "#cloud-config\n") {
		t.Errorf("the active environment is\n%s", active)
	}
	doc, err := ActiveEnv(p.cfg.System)
	if err != nil {
		t.Fatal(err)
	}
	if _, v, ok := doc.Find("appliance.domain"); !ok || v.File != "/app/env.d/20-site.yml" || v.Line != 1 {
		t.Errorf("the domain comes from %+v", v)
	}
	for _, path := range []string{ActiveEnvPath, madeOfPath} {
		if info, err := os.Stat(filepath.Join(h.root, path)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestBadLayersChangeNothing(t *testing.T) {
	for _, test := range []struct{ name, layer, cause string }{
		{"no YAML", "a: [1", "/app/env.d/10.yml:2:1: is not YAML"},
		{"an unknown key", "appliance:\n  domian: x\n", `/app/env.d/10.yml:2:3: appliance.domian: unknown key; did you mean "domain"?`},
		{"what is needed is taken away", "appliance: {domain: ~}\n", "appliance.domain: is missing"},
		{"a list", "- a\n", "/app/env.d/10.yml:1:1: must be a mapping"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			h.write("app/env.yml", standing)
			p := h.start()
			p.rests()
			h.write("app/env.d/10.yml", test.layer)
			if err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			status := p.rests()
			if status.State != "failed" || !strings.Contains(status.Failure.Cause, test.cause) {
				t.Errorf("status is %+v", status.Failure)
			}
			if h.read(ActiveEnvPath) != standing {
				t.Error("the active environment has changed")
			}
		})
	}
}

func TestOthersLoseAccessToTheEnvironment(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	h.write("app/env.d/10.yml", "ecs: {password: hunter22}\n")
	for path, mode := range map[string]os.FileMode{"app/env.yml": 0o644, "app/env.d/10.yml": 0o666} {
		if err := os.Chmod(filepath.Join(h.root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	h.start().rests()
	for _, path := range []string{"app/env.yml", "app/env.d/10.yml"} {
		if info, err := os.Stat(filepath.Join(h.root, path)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestAForeignEnvironmentIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	if err := os.Chown(filepath.Join(h.root, "app/env.yml"), 4321, -1); err != nil {
		t.Fatal(err)
	}
	status := h.start().rests()
	if status.State != "failed" || !strings.Contains(status.Failure.Cause, "4321") || !strings.Contains(status.Failure.ToDo, "chown root /app/env.yml") {
		t.Errorf("status is %+v", status.Failure)
	}
}

// on has a supervisor start on a machine with other sources than those of the real one.
func (h *host) on(m *source.Machine) *process {
	h.t.Helper()
	h.machine = m
	return h.start()
}

func TestANetworkSourceThatIsDownAfterABoot(t *testing.T) {
	broken := false
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case broken:
			w.WriteHeader(http.StatusInternalServerError)
		case req.Method == http.MethodPut:
			_, _ = w.Write([]byte("token"))
		default:
			_, _ = w.Write([]byte(standing))
		}
	}))
	cloud := &source.Machine{Services: map[string]string{"ec2": metadata.URL}}
	h := newTestHost(t)
	p := h.on(cloud)
	if status := p.rests(); status.State != "standby" || !strings.HasPrefix(status.Env.Origin, "ec2 "+metadata.URL) {
		t.Fatalf("status is %+v", status)
	}
	boot := func() *process {
		_ = p.end()
		h.remove("run")
		h.write("run/.keep", "")
		p = h.on(cloud)
		return p
	}
	broken = true
	if status := boot().rests(); status.State != "standby" || h.read(ActiveEnvPath) != standing {
		t.Errorf("with a broken service it rests in %s: %+v", status.State, status.Failure)
	}
	metadata.Close()
	if status := boot().rests(); status.State != "standby" || h.read(ActiveEnvPath) != standing {
		t.Errorf("with a silent service it rests in %s: %+v", status.State, status.Failure)
	}
	if info, err := os.Stat(filepath.Join(h.root, cachePath)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the cache: %v, %v", info, err)
	}

	// What is at hand on this host makes the cache a thing of the past, which must not come back.
	h.write("app/env.yml", standing)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.rests()
	h.lacks(cachePath)
	h.remove("app/env.yml")
	if status := boot().rests(); status.State != "failed" || status.Failure.NextTry == nil {
		t.Errorf("without its file and the network it rests in %s, to be tried again at %v", status.State, status.Failure.NextTry)
	}
}

func TestATornCacheIsNoReasonToFail(t *testing.T) {
	h := newTestHost(t)
	h.write(cachePath, `{"version": 1, "layers": [{`)
	h.write("app/env.yml", standing)
	if status := h.start().rests(); status.State != "standby" {
		t.Errorf("it rests in %s", status.State)
	}
}

const tried = "#cloud-config\nappliance:\n  domain: tried.example.org\n  standby: true\n"

// trial starts an appliance that rests in standby, and tries another environment on it.
func trialOn(t *testing.T, document string, during time.Duration) (*host, *process) {
	t.Helper()
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	p := h.start()
	p.rests()
	trial, err := p.Try(t.Context(), []byte(document), during)
	if err != nil {
		t.Fatal(err)
	}
	if len(trial.Changes) == 0 || time.Until(trial.Until) > during {
		t.Errorf("the trial is %+v", trial)
	}
	return h, p
}

func (p *process) expectTrial(outcome string) {
	p.t.Helper()
	if trial := p.Status().Trial; trial == nil || trial.Outcome != outcome {
		p.t.Errorf("the trial is %+v, want its outcome to be %q", trial, outcome)
	}
}

func TestATrialIsConfirmed(t *testing.T) {
	h, p := trialOn(t, tried, time.Hour)
	p.rests()
	if h.read(ActiveEnvPath) != tried || h.read("app/env.yml") != standing {
		t.Error("it is not what was tried that is in force")
	}
	p.expectTrial("")
	if _, err := p.Try(t.Context(), []byte(tried), time.Hour); err == nil || !strings.Contains(err.Error(), "another environment is being tried") {
		t.Errorf("a second trial: %v", err)
	}
	if err := p.Confirm(); err != nil {
		t.Fatal(err)
	}
	p.rests()
	p.expectTrial("confirmed")
	if h.read(ActiveEnvPath) != tried || h.read("app/env.yml") != tried || h.read("app/env.yml.before") != standing {
		t.Error("what was tried is not the environment of this host")
	}
	h.lacks(trialPath)
	if err := p.Revert(); err == nil {
		t.Error("there is something to revert")
	}
}

func TestATrialGoesBack(t *testing.T) {
	for _, test := range []struct {
		name, document string
		during         time.Duration
		end            func(h *host, p *process) *process
		outcome        string
	}{
		{"reverted", tried, time.Hour, func(_ *host, p *process) *process {
			p.rests()
			if err := p.Revert(); err != nil {
				p.t.Fatal(err)
			}
			return p
		}, "reverted by the operator"},
		{"its time is over", tried, 50 * time.Millisecond, func(_ *host, p *process) *process { return p }, "nobody confirmed it in time"},
		{"a boot", tried, time.Hour, func(h *host, p *process) *process {
			p.rests()
			_ = p.end()
			h.remove("run")
			h.write("run/.keep", "")
			return h.start()
		}, "the host was booted, or its time passed while nobody watched"},
		{"its time passes without a supervisor", tried, 500 * time.Millisecond, func(h *host, p *process) *process {
			p.rests()
			_ = p.end()
			for deadline := time.Now().Add(time.Minute); ; {
				if left, err := recallTrial(p); err != nil || left.left(p.cfg.System) == 0 || time.Now().After(deadline) {
					return h.start()
				}
			}
		}, "the host was booted, or its time passed while nobody watched"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, p := trialOn(t, test.document, test.during)
			p = test.end(h, p)
			for p.rests(); h.read(ActiveEnvPath) != standing; p.rests() {
			}
			if status := p.Status(); status.State != "standby" {
				t.Errorf("it rests in %s: %+v", status.State, status.Failure)
			}
			p.expectTrial(test.outcome)
			h.lacks(trialPath)
			if h.read("app/env.yml") != standing {
				t.Error("the environment of this host has changed")
			}
		})
	}
}

func TestATrialThatFailsGoesBack(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	p := h.start()
	p.rests()
	full := madeOfPath // so that another environment cannot be activated
	h.full.Store(&full)
	if _, err := p.Try(t.Context(), []byte(tried), time.Hour); err != nil {
		t.Fatal(err)
	}
	status := p.rests()
	if status.State != "standby" || status.Trial == nil || !strings.HasPrefix(status.Trial.Outcome, "it failed: cannot activate the environment: ") {
		t.Errorf("it rests in %s, the trial is %+v", status.State, status.Trial)
	}
	h.lacks(FailedFlag)
	if want := []string{"prepare-env", "standby", "prepare-env", "failed", "prepare-env", "standby"}; !slices.Equal(p.went(), want) {
		t.Errorf("it went %q", p.went())
	}
}

func TestATrialSurvivesItsSupervisor(t *testing.T) {
	h, p := trialOn(t, tried, time.Hour)
	p.rests()
	_ = p.end()
	p = h.start()
	p.rests()
	p.expectTrial("")
	if h.read(ActiveEnvPath) != tried {
		t.Error("it is not what was tried that is in force")
	}
	if err := p.Confirm(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeTried(t *testing.T) {
	for _, test := range []struct {
		name, document string
		during         time.Duration
		want           string
	}{
		{"no YAML", "a: [", time.Hour, "is not YAML"},
		{"an unknown key", tried + "  domian: x\n", time.Hour, "unknown key"},
		{"no time", tried, 0, "cannot try for 0s"},
		{"a life", tried, 1000 * time.Hour, "cannot try for 1000h0m0s: expected up to 24h0m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			h.write("app/env.yml", standing)
			p := h.start()
			p.rests()
			if _, err := p.Try(t.Context(), []byte(test.document), test.during); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			if p.Status().Trial != nil {
				t.Error("it is being tried")
			}
			h.lacks(trialPath)
		})
	}
}

// A power cut, or a kill, between the failure of what was tried and the walk back must not leave the appliance failed.
func TestATrialThatFailedGoesBackAfterACut(t *testing.T) {
	for _, test := range []struct {
		name  string
		trial trial
		boots bool
	}{
		{"killed before it was noted", trial{}, false},
		{"a power cut before it was noted", trial{}, true},
		{"killed after it was noted", trial{Outcome: "it failed: so", Back: true}, false},
		{"a power cut after it was noted", trial{Outcome: "it failed: so", Back: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, p := trialOn(t, tried, time.Hour)
			p.rests()
			_ = p.end()
			store := machine.NewStore(p.cfg.System, StateDir, p.cfg.Log)
			rec, err := store.Load()
			if err != nil {
				t.Fatal(err)
			}
			var on trial
			if _, err := rec.Get(trialSubject, &on); err != nil {
				t.Fatal(err)
			}
			on.Outcome, on.Back = test.trial.Outcome, test.trial.Back
			now := time.Now()
			rec.State, rec.Failure = Failed, &machine.Failure{State: PrepareECS, Cause: "so", First: now, Last: now, Tries: 1}
			if err := errors.Join(rec.Put(trialSubject, on), store.Save(&rec)); err != nil {
				t.Fatal(err)
			}
			if test.boots {
				h.remove("run")
				h.write("run/.keep", "")
			}
			p = h.start()
			if status := p.rests(); status.State != "standby" || h.read(ActiveEnvPath) != standing || status.Trial.Outcome == "" {
				t.Errorf("it rests in %s, the trial is %+v", status.State, status.Trial)
			}
			h.lacks(FailedFlag)
			h.lacks(trialPath)
		})
	}
}

func TestOnlyWhatIsInForceCanBeConfirmed(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	p := h.start()
	p.rests()
	full := madeOfPath // so that another environment cannot be activated
	h.full.Store(&full)
	if _, err := p.Try(t.Context(), []byte(tried), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(); err == nil {
		t.Error("what was never in force is confirmed")
	}
	p.rests()
	if h.read("app/env.yml") != standing {
		t.Error("the environment of this host has changed")
	}
}

func TestAConfirmationThatWasCutOffIsTakenAgain(t *testing.T) {
	h, p := trialOn(t, tried, time.Hour)
	p.rests()
	on, err := recallTrial(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.keepTrial(on); err != nil {
		t.Fatal(err)
	}
	_ = p.end()
	p = h.start()
	p.rests()
	if err := p.Confirm(); err != nil {
		t.Fatal(err)
	}
	p.rests()
	if h.read("app/env.yml") != tried || h.read("app/env.yml.before") != standing {
		t.Errorf("the file is %q and before it was %q", h.read("app/env.yml"), h.read("app/env.yml.before"))
	}
}

func TestARepairIsConfirmed(t *testing.T) {
	h := newTestHost(t)
	const broken = "\x1f\x8b cut off"
	h.write("app/env.yml", broken)
	p := h.start()
	p.rests()
	if _, err := p.Try(t.Context(), []byte(tried), time.Hour); err != nil {
		t.Fatal(err)
	}
	p.rests()
	if err := p.Confirm(); err != nil {
		t.Fatal(err)
	}
	if h.read("app/env.yml") != tried || h.read("app/env.yml.before") != broken {
		t.Error("what was there is not kept as it was")
	}
}

func TestWhatWasChangedOnTheDiskIsNotConfirmed(t *testing.T) {
	h, p := trialOn(t, tried, time.Hour)
	p.rests()
	h.write(trialPath, "garbage: [")
	if err := p.Confirm(); err == nil || h.read("app/env.yml") != standing {
		t.Errorf("confirm says %v", err)
	}
}

func TestASeedOnAReadOnlyMediumIsTaken(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", standing)
	if err := os.Chmod(filepath.Join(h.root, "app/env.yml"), 0o444); err != nil {
		t.Fatal(err)
	}
	h.deny = func(e system.Effect) error {
		if e.Op == "chmod" && e.Object == EnvPath {
			return syscall.EROFS
		}
		return nil
	}
	if status := h.start().rests(); status.State != "standby" {
		t.Errorf("it rests in %s: %+v", status.State, status.Failure)
	}
}

// What a failed appliance needs may be another environment.
func TestATrialMendsAFailure(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", "appliance: {}\n")
	p := h.start()
	if status := p.rests(); status.State != "failed" {
		t.Fatalf("it rests in %s", status.State)
	}
	if _, err := p.Try(t.Context(), []byte(tried), time.Hour); err != nil {
		t.Fatal(err)
	}
	if status := p.rests(); status.State != "standby" || status.Trial == nil {
		t.Errorf("status is %+v", status)
	}
	if err := p.Revert(); err != nil {
		t.Fatal(err)
	}
	if status := p.rests(); status.State != "failed" {
		t.Errorf("it rests in %s", status.State)
	}
}
