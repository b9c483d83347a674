package phases

import (
	"time"

	"appliance/internal/api"
	"appliance/internal/front/page"
	"appliance/internal/machine"
)

// notice puts into public words how the appliance is doing. It leaves out every cause and detail: these may hold what is
// nobody's business.
func (v *visitors) notice(s api.Status) page.Notice {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := page.Notice{Version: page.Version, Since: s.Since, Site: v.domain, Vendor: v.site.Vendor, Contact: v.site.Contact, Language: v.site.Language}
	n.Situation, n.Since = v.situation(s)
	if s.State == string(Failed) && s.Failure != nil {
		n.NextTry = s.Failure.NextTry
	}
	n.Total = v.a.stepsOfAStart()
	for _, step := range s.Steps {
		n.Steps = append(n.Steps, page.Step{Phase: step.Phase, Name: step.Name, State: step.State, Started: step.Started, Took: step.Took})
	}
	return n
}

// situation says why the application would not answer, and since when.
func (v *visitors) situation(s api.Status) (page.Situation, time.Time) {
	switch {
	case v.leaving:
		return page.Stopping, v.leftAt
	case s.State == string(Failed):
		return page.Failed, s.Since
	case s.State == string(Standby):
		return page.Standby, s.Since
	case s.State == string(Update):
		return page.Updating, s.Since
	case s.Resting && s.TroubleSince != nil:
		return page.Unhealthy, *s.TroubleSince
	case s.Resting: // a container has gone that nobody has judged yet
		return page.Unhealthy, time.Time{}
	}
	began := s.Since
	if len(s.Steps) > 0 { // the walk's beginning, not that of its present state
		began = s.Steps[0].Started
	}
	for _, service := range s.Services {
		if service.OneShot && !service.Ready && !service.Hopeless && len(service.Containers) > 0 && s.State == string(Run) {
			return page.Migrating, began
		}
	}
	if v.serving && s.Failure == nil { // it was there a moment ago, and this is no try to mend it
		return page.Updating, began
	}
	return page.Starting, began
}

// stepsOfAStart is how many steps a start has, until the application is there.
func (a *Appliance) stepsOfAStart() int {
	w, n := &walk{sys: a.cfg.System}, 0
	for _, state := range []machine.State{PrepareEnv, PrepareAppliance, PrepareECS, Run} {
		steps, err := w.steps(state)
		if err != nil {
			return 0
		}
		n += len(steps)
	}
	return n
}
