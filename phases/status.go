package phases

import (
	"fmt"
	"os"
	"strings"
	"time"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/machine"
)

// extension is how much longer than its limit a step may take before the service manager counts us as hung.
const extension = 15 * time.Second

func (a *Appliance) stepStarted(phase machine.State, step Step, n, of int) {
	defer a.visitors.poke()
	a.cfg.Manager.Extend(step.limit() + extension)
	a.cfg.Manager.Status(fmt.Sprintf("%s: %s (%d/%d)", phase, step.Name, n, of))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps = append(a.steps, api.Step{Phase: string(phase), Name: step.Name, State: "running", Started: a.cfg.System.Now()})
	a.bus.Publish(api.Event{Kind: "step", Text: fmt.Sprintf("%s: %s", phase, step.Name), Phase: string(phase), Step: step.Name})
}

func (a *Appliance) stepChanging(phase machine.State, step Step, why string) {
	a.cfg.Log.Info(fmt.Sprintf("%s: %s", phase, step.Name), "why", why)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps[len(a.steps)-1].Detail = why
}

func (a *Appliance) stepEnded(phase machine.State, step Step, changed bool, err error) {
	defer a.visitors.poke()
	a.mu.Lock()
	defer a.mu.Unlock()
	last := &a.steps[len(a.steps)-1]
	last.Took = a.cfg.System.Now().Sub(last.Started)
	switch {
	case err != nil:
		last.State, last.Detail = "failed", err.Error()
	case changed:
		last.State = "done"
	default:
		last.State = "unchanged"
	}
	a.bus.Publish(api.Event{Kind: "step", Phase: string(phase), Step: step.Name,
		Text: fmt.Sprintf("%s: %s: %s in %s", phase, step.Name, last.State, last.Took.Round(time.Millisecond))})
}

// progressed makes the engine's work known everywhere, as the present status too.
func (a *Appliance) progressed(p compose.Progress) { a.cfg.Manager.Status(a.tell(p)) }

func (a *Appliance) mask(err error) error { return a.walk.mask(err) }

// tell makes the engine's work known, and leaves the status as it is.
func (a *Appliance) tell(p compose.Progress) string {
	text := strings.TrimSpace(p.Object + " " + p.Text)
	if p.Failed != "" {
		text = p.Object + ": " + p.Failed
	}
	text = a.walk.maskText(text)
	a.cfg.Log.Info(text)
	a.bus.Publish(api.Event{Kind: "progress", Text: text})
	return text
}

func (a *Appliance) sawServices(services []compose.Service) {
	if services == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.services = services
	a.visitors.poke()
}

// entered is called after each change of state.
func (a *Appliance) entered(rec machine.Record) {
	a.cfg.Log.Info("entering "+string(rec.State), "on", rec.On, "attempt", rec.Attempts[rec.State])
	a.unrest(rec)
	a.visitors.poke()
	a.bus.Publish(api.Event{Kind: "state", State: string(rec.State), Text: "entering " + string(rec.State)})
}

// unrest says that there is work again: a walk, or a flag to raise.
func (a *Appliance) unrest(rec machine.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	on := rec.On
	a.since = rec.Since
	walking := on == Reload || on == Start || on == Clear
	if a.ready && walking {
		a.cfg.Manager.Reloading()
	}
	a.ready = a.ready && !walking && on != Fail
}

// rest says that there is nothing more to wait for: the appliance runs, has failed, or stands by.
func (a *Appliance) rest(line string) {
	a.cfg.Manager.Status(line)
	defer a.visitors.poke()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ready {
		a.cfg.Manager.Ready()
		a.ready = true
	}
}

func (a *Appliance) knowEnv() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.masker.Store(masker(a.walk.active))
	a.envInfo = &api.EnvInfo{Origin: a.walk.candidate.Origin, SHA256: digest(a.walk.candidate.Data)}
}

// Status tells how the appliance is doing.
func (a *Appliance) Status() api.Status {
	s := StatusOf(a.machine.Record())
	s.Front, s.URLs = a.visitors.describe(), a.visitors.urls()
	s.Warnings = a.warnings()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Supervisor = &api.Supervisor{PID: os.Getpid(), Version: a.cfg.Version, Started: a.started}
	s.Steps = append([]api.Step(nil), a.steps...)
	s.Services = a.services
	s.URLs = append(s.URLs, a.urls...)
	s.Env, s.Resting = a.envInfo, a.ready && s.Since.Equal(a.since) // a state is on record before we are told of it
	s.Healthy = a.healthy && s.State == string(Run) || a.healthy && s.State == string(Cleanup)
	if sick := a.sick; !sick.IsZero() && s.State == string(Run) {
		s.TroubleSince = &sick
	}
	if n := len(a.steps); n > 0 && a.steps[n-1].State == "running" {
		s.Step = a.steps[n-1].Name
	}
	s.Summary = a.summary(s)
	return s
}

// StatusOf tells what a record alone tells.
func StatusOf(rec machine.Record) api.Status {
	s := api.Status{Version: api.Version, State: string(rec.State), Since: rec.Since, Attempts: map[string]int{}}
	if s.State == "" {
		s.State = string(Boot)
	}
	for state, n := range rec.Attempts {
		s.Attempts[string(state)] = n
	}
	s.Trial = trialOf(rec)
	if rec.State == Failed || rec.Failure != nil {
		f := failureOf(rec)
		s.Failure = &f
	}
	s.Summary = summarize(s)
	return s
}

func (a *Appliance) summary(s api.Status) string {
	switch {
	case s.State == string(Run) && a.trouble != "":
		return "run: out of health: " + a.trouble
	case s.State == string(Standby) && a.trouble != "":
		return "standby: " + a.trouble
	case s.State == string(Run) && s.Healthy:
		return strings.TrimSpace(fmt.Sprintf("run: healthy, %d services %s", len(s.Services), strings.Join(s.URLs, " ")))
	}
	return summarize(s)
}

// summarize says in one line which state this is.
func summarize(s api.Status) string {
	switch {
	case s.State == string(Failed) && s.Failure != nil:
		where := s.Failure.Phase
		if s.Failure.Step != "" {
			where += " (" + s.Failure.Step + ")"
		}
		line := fmt.Sprintf("failed in %s: %s; to do: %s", where, firstLine(s.Failure.Cause), s.Failure.ToDo)
		if next := s.Failure.NextTry; next != nil {
			line += "; next try by itself at " + next.Format(time.TimeOnly)
		}
		return line
	case s.State == string(Standby):
		return "standby: appliance.standby is true in the environment"
	case s.Step != "":
		return s.State + ": " + s.Step
	}
	return s.State
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
