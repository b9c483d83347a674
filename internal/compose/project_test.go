package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, text string) *Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	project, err := Load(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestRoles(t *testing.T) {
	t.Parallel()
	p := load(t, `name: demo
x-appliance: {routes: [{service: web, port: 80}], oneshots: [seed]}
services:
  web: {image: demo, depends_on: {store: {condition: service_healthy}, migrate: {condition: service_completed_successfully, required: false}, cache: {condition: service_started}}}
  store: {image: demo}
  cache: {image: demo}
  seed: {image: demo}
  migrate: {image: demo}
  smtp: {image: demo, ports: ["25:25"]}
`)
	want := map[string]role{"web": {stays: true}, "store": {stays: true}, "smtp": {stays: true}, "seed": {oneShot: true}, "migrate": {oneShot: true}}
	if diff := cmp.Diff(want, p.roles, cmp.AllowUnexported(role{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, service := range p.project.Services {
		if got, want := service.CustomLabels[oneShotLabel] != "", name == "seed"; got != want {
			t.Errorf("%s is labelled as a one-shot: %t", name, got)
		}
	}
}

func TestOneShotsMustExist(t *testing.T) {
	t.Parallel()
	_, err := parseExtension(map[string]any{"oneshots": []any{"seed", "sead"}}, func(name string) bool { return name == "seed" })
	if want := `x-appliance.oneshots.1: there is no service "sead"`; err == nil || err.Error() != want {
		t.Errorf("the error is %v, not %s", err, want)
	}
}

func TestUnready(t *testing.T) {
	t.Parallel()
	p := load(t, `name: demo
services:
  web: {image: demo, depends_on: {store: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}}
  store: {image: demo}
  migrate: {image: demo}
  worker: {image: demo}
`)
	in := func(name, state string, ready bool) Service {
		return Service{Name: name, Ready: ready, Containers: []ContainerInfo{{State: state}}}
	}
	for _, c := range []struct {
		name     string
		services []Service
		want     map[string][]string // service → what it waits for
	}{
		{"web is down", []Service{in("migrate", "exited", true), in("store", "running", true), in("web", "exited", false), in("worker", "exited", true)},
			map[string][]string{"web": {}}},
		{"the migration changed", []Service{in("migrate", "created", false), in("store", "running", true), in("web", "created", false), in("worker", "running", true)},
			map[string][]string{"web": {"migrate"}, "migrate": {}}},
		{"all was stopped", []Service{in("migrate", "exited", true), in("store", "exited", false), in("web", "exited", false), in("worker", "exited", true)},
			map[string][]string{"web": {"store"}, "store": {}, "worker": {}}},
		{"all is right", []Service{in("migrate", "exited", true), in("store", "running", true), in("web", "running", true), in("worker", "running", true)},
			map[string][]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string][]string{}
			for name, service := range p.unready(c.services).Services {
				got[name] = service.GetDependencies()
			}
			if diff := cmp.Diff(c.want, got, cmp.Transformer("set", func(names []string) map[string]bool {
				set := map[string]bool{}
				for _, name := range names {
					set[name] = true
				}
				return set
			})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(p.project.Services) != 4 || len(p.project.Services["web"].DependsOn) != 2 {
				t.Error("the project itself was changed")
			}
		})
	}
}

func TestDependenciesOfLabel(t *testing.T) {
	t.Parallel()
	want := types.DependsOnConfig{
		"store":   {Condition: types.ServiceConditionHealthy, Required: true},
		"migrate": {Condition: types.ServiceConditionCompletedSuccessfully, Required: true},
		"old":     {Condition: types.ServiceConditionStarted, Required: true},
	}
	if diff := cmp.Diff(want, dependencies("store:service_healthy:false,migrate:service_completed_successfully:true,old")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if found := dependencies(""); len(found) != 0 {
		t.Errorf("no label names %v", found)
	}
}

func TestStopLimit(t *testing.T) {
	t.Parallel()
	five := 5 * time.Second
	for _, c := range []struct {
		name, text string
		limit      time.Duration
		timeout    *time.Duration
	}{
		{"nothing said", `services: {web: {image: demo}}`, 10 * time.Second, nil},
		{"a patient service", `services: {web: {image: demo}, db: {image: demo, stop_grace_period: 2m}}`, 2 * time.Minute, nil},
		{"a quick service", `services: {web: {image: demo, stop_grace_period: 1s}}`, time.Second, nil},
		{"the vendor's word", "x-appliance: {stop_timeout: 5s}\nservices: {web: {image: demo, stop_grace_period: 1s}}", five, &five},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, "name: demo\n"+c.text)
			if got := p.StopLimit(); got != c.limit {
				t.Errorf("one container may take %s, not %s", got, c.limit)
			}
			for name, options := range map[string]api.CreateOptions{"up": upOptions(p), "heal": healOptions(p)} {
				if diff := cmp.Diff(c.timeout, options.Timeout); diff != "" {
					t.Errorf("%s: timeout (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestRegistryIsAskedOnce(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"always": "missing", "daily": "missing", "every_12h": "missing", "refresh": "missing",
		"missing": "missing", "if_not_present": "missing", "never": "never", "build": "build",
	} {
		p := load(t, "name: demo\nservices: {web: {image: demo, pull_policy: "+policy+"}}")
		if got := p.project.Services["web"].PullPolicy; got != want {
			t.Errorf("%s becomes %s, not %s", policy, got, want)
		}
	}
}

func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	var tail tailWriter
	for i := range 50 {
		if _, err := tail.Write([]byte("step " + strings.Repeat("x", i%3) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tail.Write([]byte("the cause\n")); err != nil {
		t.Fatal(err)
	}
	err := explainUp(os.ErrPermission)
	if !strings.Contains(err.Error(), os.ErrPermission.Error()) {
		t.Errorf("a short error becomes %v", err)
	}
	text := explainUp(errorText("hook failed:\n" + tail.String())).Error()
	if strings.Count(text, "\n") != tailLines || !strings.Contains(text, "hook failed:") || !strings.HasSuffix(text, "the cause") {
		t.Errorf("the error is:\n%s", text)
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }
