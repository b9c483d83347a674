package phases

import (
	"regexp"
	"testing"
	"time"

	"appliance/env"
	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/front/page"
	"appliance/internal/machine"
	"appliance/internal/system"
)

func TestFrontMode(t *testing.T) {
	routed := &compose.Project{Extension: compose.Extension{Routes: []compose.Route{{Service: "web", Port: 80}}}}
	for _, c := range []struct {
		name    string
		site    env.Site
		project *compose.Project
		want    string
	}{
		{"routes", env.Site{Front: env.FrontBuiltin}, routed, env.FrontBuiltin},
		{"a project that cannot be read", env.Site{Front: env.FrontBuiltin}, nil, env.FrontBuiltin},
		{"no routes", env.Site{Front: env.FrontBuiltin}, &compose.Project{}, env.FrontOff},
		{"no routes, but asked for", env.Site{Front: env.FrontBuiltin, FrontSet: true}, &compose.Project{}, env.FrontBuiltin},
		{"external", env.Site{Front: env.FrontExternal, FrontSet: true}, routed, env.FrontExternal},
		{"external without routes", env.Site{Front: env.FrontExternal, FrontSet: true}, &compose.Project{}, env.FrontExternal},
	} {
		if got := frontMode(c.site, c.project); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
}

func TestADirectoryTakesNoWellKnownPorts(t *testing.T) {
	directory := system.New(system.Config{Root: t.TempDir()})
	s := site{mode: env.FrontBuiltin, set: env.Settings{Site: env.Site{Plain: []string{":80"}, TLS: []string{":443"}}}}
	if s.listen(directory); len(s.plain)+len(s.tls) > 0 {
		t.Errorf("it listens on %v %v", s.plain, s.tls)
	}
	s.set.Site.ListenSet = true
	if s.listen(directory); len(s.plain) != 1 || len(s.tls) != 1 {
		t.Errorf("addresses of its own are not taken: %v %v", s.plain, s.tls)
	}
}

func TestWhoIsAskedForCertificates(t *testing.T) {
	machine, directory := system.New(system.Config{}), system.New(system.Config{Root: t.TempDir()})
	for _, c := range []struct {
		name   string
		sys    *system.System
		domain string
		acme   env.ACME
		asked  bool
	}{
		{"a host", machine, "ecs.example.org", env.ACME{Enabled: true}, true},
		{"turned off", machine, "ecs.example.org", env.ACME{}, false},
		{"a directory", directory, "ecs.example.org", env.ACME{Enabled: true}, false},
		{"a directory with an authority of its own", directory, "ecs.example.org", env.ACME{Enabled: true, Chosen: true}, true},
		{"localhost", machine, "localhost", env.ACME{Enabled: true}, false},
		{"a name of the house", machine, "ecs.clinic.lan", env.ACME{Enabled: true}, false},
		{"a name of the house, and its authority", machine, "ecs.clinic.lan", env.ACME{Enabled: true, Chosen: true}, true},
		{"an address", machine, "192.0.2.1", env.ACME{Enabled: true}, false},
	} {
		w := &walk{sys: c.sys}
		got := w.wish(env.Settings{Domain: c.domain, Site: env.Site{Names: []string{c.domain}, ACME: c.acme}})
		if (got.ACME != nil) != c.asked {
			t.Errorf("%s: %v", c.name, got.ACME)
		}
	}
}

func TestTLSPort(t *testing.T) {
	for want, addresses := range map[uint16][]string{
		443: {":443"}, 8443: {"127.0.0.1:8443", ":443"}, 9443: {"[2001:db8::1]:9443"}, 0: {},
	} {
		if got := tlsPort(addresses); got != want {
			t.Errorf("%v: %d, not %d", addresses, got, want)
		}
	}
}

func TestSituation(t *testing.T) {
	begun, entered := time.Unix(1000, 0), time.Unix(2000, 0)
	walking := []api.Step{{Phase: "prepare-env", Name: "source", State: "done", Started: begun, Detail: "secret detail"}}
	migrating := []compose.Service{{Name: "migrate", OneShot: true, Containers: make([]compose.ContainerInfo, 1)}}
	hopeless := []compose.Service{{Name: "migrate", OneShot: true, Hopeless: true, Containers: make([]compose.ContainerInfo, 1)}}
	next := time.Unix(3000, 0)
	for _, c := range []struct {
		name     string
		visitors *visitors
		status   api.Status
		want     page.Situation
		since    time.Time
	}{
		{"first start", &visitors{}, api.Status{State: "prepare-ecs", Steps: walking}, page.Starting, begun},
		{"before the first step", &visitors{}, api.Status{State: "boot"}, page.Starting, entered},
		{"a walk of what served", &visitors{serving: true}, api.Status{State: "run", Steps: walking}, page.Updating, begun},
		{"a one-shot at work", &visitors{}, api.Status{State: "run", Steps: walking, Services: migrating}, page.Migrating, begun},
		{"update", &visitors{}, api.Status{State: "update"}, page.Updating, entered},
		{"out of health", &visitors{serving: true}, api.Status{State: "run", Resting: true, TroubleSince: &begun}, page.Unhealthy, begun},
		{"a container has gone that nobody has judged yet", &visitors{serving: true}, api.Status{State: "run", Resting: true}, page.Unhealthy, time.Time{}},
		{"a try to mend what served", &visitors{serving: true}, api.Status{State: "run", Steps: walking, Failure: &api.Failure{}}, page.Starting, begun},
		{"a one-shot that has failed", &visitors{}, api.Status{State: "run", Steps: walking, Services: hopeless}, page.Starting, begun},
		{"standby", &visitors{}, api.Status{State: "standby", Resting: true}, page.Standby, entered},
		{"failed", &visitors{}, api.Status{State: "failed", Resting: true, Failure: &api.Failure{Cause: "secret cause", NextTry: &next}}, page.Failed, entered},
		{"stopping", &visitors{leaving: true, leftAt: next, serving: true}, api.Status{State: "run", Resting: true}, page.Stopping, next},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.status.Since = entered
			c.visitors.site.Vendor, c.visitors.a = "Example Ltd.", &Appliance{cfg: Config{System: system.New(system.Config{Root: t.TempDir()})}}
			n := c.visitors.notice(c.status)
			if n.Situation != c.want || !n.Since.Equal(c.since) || n.Vendor != "Example Ltd." || len(n.Steps) != len(c.status.Steps) {
				t.Errorf("%+v", n)
			}
			if c.want == page.Failed && n.NextTry != c.status.Failure.NextTry {
				t.Errorf("the next try is %v", n.NextTry)
			}
		})
	}
}

// A visitor reads words and not the names of steps.
func TestEveryStepHasWords(t *testing.T) {
	a := &Appliance{cfg: Config{System: system.New(system.Config{Root: t.TempDir()})}}
	named := 0
	for _, state := range []machine.State{PrepareEnv, PrepareAppliance, PrepareECS, Run} {
		steps, err := (&walk{sys: a.cfg.System}).steps(state)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			named++
			text := string(page.File(page.Notice{Situation: page.Starting, Since: time.Now(), Language: "en",
				Steps: []page.Step{{Phase: string(state), Name: step.Name, State: "done", Started: time.Now()}}}))
			for _, name := range []string{step.Name, string(state)} {
				if regexp.MustCompile(`>\s*` + regexp.QuoteMeta(name) + `\s*<`).MatchString(text) {
					t.Errorf("visitors read %q", name)
				}
			}
		}
	}
	if named != a.stepsOfAStart() || named < 15 {
		t.Errorf("%d steps are named, %d counted", named, a.stepsOfAStart())
	}
}
