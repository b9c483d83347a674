package ui

import (
	"fmt"
	"strings"
	"time"

	"appliance/internal/api"
	"appliance/internal/compose"
)

// scene is what a supervisor has to say.
type scene struct {
	status      api.Status
	certificate api.Certificate
	volumes     []api.Volume
	plan        api.Plan
	events      []api.Event
	lines       []string
}

// dawn is when the scenes play, so that pictures of them are alike: 06:31.
func dawn() time.Time {
	now := time.Now()
	return time.Date(now.Year(), now.Month(), now.Day(), 6, 31, 4, 0, time.Local)
}

var walk = []struct {
	phase, name, why string
	took             time.Duration
}{
	{"prepare-env", "source", "", 12 * time.Millisecond},
	{"prepare-env", "schema", "", 9 * time.Millisecond},
	{"prepare-env", "activate", "appliance.domain differs", 31 * time.Millisecond},
	{"prepare-appliance", "hostname", "", 4 * time.Millisecond},
	{"prepare-appliance", "data", "", 2 * time.Millisecond},
	{"prepare-appliance", "layout", "2 links are missing", 88 * time.Millisecond},
	{"prepare-appliance", "certificate", "it does not cover www.box.example.org", 6400 * time.Millisecond},
	{"prepare-ecs", "project", "", 140 * time.Millisecond},
	{"prepare-ecs", "images", "image ecs/ecs:2026-11 is not here", 41 * time.Second},
	{"run", "up", "service ecs.web runs another image", 18 * time.Second},
	{"run", "healthy", "", 23 * time.Second},
}

// steps are the first n of the walk, the last of them in the given state, ending at end.
func steps(end time.Time, n int, last string) (all []api.Step) {
	var whole time.Duration
	for _, s := range walk[:n] {
		whole += s.took
	}
	at := end.Add(-whole)
	for _, s := range walk[:n] {
		step := api.Step{Phase: s.phase, Name: s.name, State: "unchanged", Detail: s.why, Started: at, Took: s.took}
		if s.why != "" {
			step.State = "done"
		}
		all, at = append(all, step), at.Add(s.took)
	}
	if last != "" {
		all[n-1].State = last
	}
	if last == "running" {
		all[n-1].Took = 0
	}
	return all
}

func services(now time.Time) []compose.Service {
	var all []compose.Service
	for i, name := range []string{"database", "ecs.asgi", "ecs.cron", "ecs.web", "ecs.worker", "memcached", "mocca", "pdfas", "redis"} {
		all = append(all, compose.Service{Name: name, Ready: true, Containers: []compose.ContainerInfo{{
			ID: fmt.Sprintf("%012x", i+1), Name: "ecs-" + name + "-1", State: "running", Health: "healthy",
			Image: "registry.example.org/ecs/" + strings.TrimPrefix(name, "ecs.") + ":2026-11", Started: now.Add(-time.Duration(i*i+1) * 53 * time.Minute),
		}}})
	}
	all = append(all, compose.Service{Name: "migrate", Ready: true, OneShot: true, Containers: []compose.ContainerInfo{{Name: "ecs-migrate-1", State: "exited", Image: "registry.example.org/ecs/ecs:2026-11"}}})
	return all
}

// healthy is a good morning.
func healthy(now time.Time) scene {
	since := now.Add(-9*24*time.Hour - 3*time.Hour)
	renew := now.Add(29 * 24 * time.Hour)
	return scene{
		status: api.Status{Version: api.Version, State: "run", Since: since, Summary: "run: healthy, 10 services https://box.example.org/", Healthy: true, Resting: true,
			Steps: steps(since, len(walk), ""), Services: services(now), URLs: []string{"https://box.example.org/"},
			Env:        &api.EnvInfo{Origin: "/app/env.yml", SHA256: strings.Repeat("3f9ac2", 11)},
			Front:      &api.Front{Mode: "builtin", Listening: []string{"http://0.0.0.0:80", "https://0.0.0.0:443"}, PID: 812},
			Supervisor: &api.Supervisor{PID: 731, Version: "1.4.2", Started: since.Add(-time.Minute)}},
		certificate: api.Certificate{Version: api.Version, Source: "acme", Names: []string{"box.example.org", "www.box.example.org"}, Issuer: "Let's Encrypt E7",
			Serial: "05c1f2a9d3e84b7706aa90d2c4e1b3f85d21", SHA256: strings.Repeat("9c41e07d", 8),
			NotBefore: now.Add(-31 * 24 * time.Hour), NotAfter: now.Add(59 * 24 * time.Hour), RenewAt: &renew, Authority: "https://acme.example.org/directory"},
		volumes: []api.Volume{{Path: "/", Size: 42e9, Free: 29e9, Files: 2e6}, {Path: "/data", Size: 960e9, Free: 311e9, Files: 5e7}, {Path: "/volatile", Size: 220e9, Free: 31e9, Files: 1e7}},
		plan:    api.Plan{Changes: []api.Change{{Phase: "run", Step: "up", Action: "recreate service ecs.web", Why: "its image changed"}}},
		events: []api.Event{
			{Kind: "state", State: "run", Text: "entering run", Time: since},
			{Kind: "step", Phase: "run", Text: "run: up: done in 18s", Time: since.Add(18 * time.Second)},
			{Kind: "state", State: "cleanup", Text: "entering cleanup", Time: since.Add(41 * time.Second)},
			{Kind: "progress", Text: "Image ecs/ecs:2026-10 Removed", Time: since.Add(42 * time.Second)},
			{Kind: "service", Service: "pdfas", Text: "pdfas: it has just been restarted (1 times)", Time: now.Add(-5 * time.Hour)},
			{Kind: "service", Service: "pdfas", Text: "pdfas: ready", Time: now.Add(-5*time.Hour + 31*time.Second)},
		},
		lines: []string{"<6>entering run on=done attempt=1", "<6>Container ecs-ecs.web-1 Started", `<6>run: healthy services=10`,
			`<4>certificate was renewed late err="cannot ask the authority: timeout"`, "<6>front: worker replaced pid=812"},
	}
}

func starting(now time.Time) scene {
	s := healthy(now)
	s.status.State, s.status.Step, s.status.Healthy, s.status.Resting = "run", "up", false, false
	s.status.Summary, s.status.Since = "run: up", now.Add(-9*time.Second)
	s.status.Steps = steps(now.Add(9*time.Second), 10, "running")
	for i := range s.status.Services[3:] {
		service := &s.status.Services[3+i]
		service.Ready, service.Why = false, "its health check has not passed yet"
		service.Containers[0].State, service.Containers[0].Health, service.Containers[0].Started = "running", "starting", now.Add(-7*time.Second)
	}
	s.status.Services[9] = compose.Service{Name: "migrate", OneShot: true, Why: "it has no container"}
	return s
}

func failure(now time.Time) scene {
	s := healthy(now)
	next := now.Add(8 * time.Minute)
	s.status.State, s.status.Healthy, s.status.Since = "failed", false, now.Add(-11*time.Minute)
	s.status.Steps = steps(now.Add(-11*time.Minute), 9, "failed")
	s.status.Failure = &api.Failure{Phase: "prepare-ecs", Step: "images", Cause: "cannot pull registry.example.org/ecs/ecs:2026-11: no route to host",
		First: now.Add(-31 * time.Minute), Last: now.Add(-11 * time.Minute), Tries: 4, ToDo: "check the network and the registry's name", NextTry: &next}
	s.status.Summary = "failed in prepare-ecs (images): cannot pull registry.example.org/ecs/ecs:2026-11: no route to host"
	s.certificate.LastError, s.certificate.Tries = "cannot ask the authority: dial tcp: no route to host", 3
	s.certificate.NotAfter, s.certificate.NotBefore = now.Add(7*24*time.Hour+time.Hour), now.Add(-83*24*time.Hour)
	s.certificate.RenewAt, s.certificate.NextTry = nil, &next
	s.certificate.Warnings = []string{"The certificate ends in 7 days and has not been renewed."}
	s.volumes[2].Free = 9e9
	return s
}

func unhealthy(now time.Time) scene {
	s := healthy(now)
	since := now.Add(-40 * time.Minute)
	s.status.Healthy, s.status.TroubleSince = false, &since
	s.status.Summary = "run: out of health: ecs.web: its health check fails"
	web := &s.status.Services[3]
	web.Ready, web.Why = false, "its health check fails"
	web.Containers[0].Health, web.Containers[0].Restarts, web.Containers[0].Started = "unhealthy", 4, now.Add(-3*time.Minute)
	return s
}

func standby(now time.Time) scene {
	s := healthy(now)
	s.status.State, s.status.Healthy, s.status.Services, s.status.URLs = "standby", false, nil, nil
	s.status.Summary = "standby: appliance.standby is true in the environment"
	s.status.Steps = steps(now.Add(-time.Hour), 3, "")
	return s
}

func onTrial(now time.Time) scene {
	s := healthy(now)
	s.status.Trial = &api.Trial{Version: api.Version, Until: now.Add(7 * time.Minute)}
	return s
}

func statechange(text string) api.Event { return api.Event{Kind: "state", Text: text} }
