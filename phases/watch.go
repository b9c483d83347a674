package phases

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/machine"
	"appliance/internal/remedy"
)

// How often to look at a stack that says nothing.
const (
	calmPause    = 30 * time.Second
	worriedPause = time.Second
)

// watcher follows a healthy application until somebody asks for something else, or it has been out of health too long.
type watcher struct {
	a       *Appliance
	project *compose.Project
	events  chan compose.Event
	lost    chan error
	since   time.Time       // out of health since; zero: healthy
	healed  bool            // in this time out of health it was brought up once
	why     string          // it is out of health, as shown
	gone    error           // why there is no engine
	stored  time.Time       // when file systems were looked at
	mounts  <-chan struct{} // what is mounted has changed
}

// watch is the steady life of an appliance.
func (a *Appliance) watch(ctx context.Context) (machine.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watcher{a: a, project: a.walk.project, events: make(chan compose.Event), lost: make(chan error, 1)}
	w.subscribe(ctx)
	var err error
	if w.mounts, err = a.cfg.System.MountChanges(ctx); err != nil {
		a.warn(fmt.Sprintf("looking at file systems now and then: %v", err))
	}
	if err := w.look(ctx); err != nil { // what happened since the gate, before anybody listened
		return "", err
	}
	for looked := time.Now(); ; {
		pause := calmPause
		if !w.since.IsZero() {
			pause = worriedPause
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case event := <-a.wake:
			if event == Reload {
				return Reload, nil
			}
			continue
		case event := <-w.events:
			a.reportEvent(event)
		case <-w.mounts: // each container that starts changes something: that is no reason to look at the application
			w.stored = time.Time{}
			if err := w.lookAtStorage(ctx); err != nil {
				return "", err
			}
			continue
		case w.gone = <-w.lost:
			a.warn(fmt.Sprintf("the engine went away: %v", w.gone))
		case <-time.After(pause - time.Since(looked)):
		}
		if err := w.look(ctx); err != nil {
			return "", err
		}
		looked = time.Now()
		if w.since.IsZero() {
			a.giveBack()
		}
	}
}

func (w *watcher) subscribe(ctx context.Context) {
	w.gone = nil
	go func() {
		err := w.a.cfg.Engine.Watch(ctx, w.project.Name(), func(e compose.Event) {
			select {
			case w.events <- e:
			case <-ctx.Done():
			}
		})
		if ctx.Err() == nil {
			w.lost <- err
		}
	}()
}

// look judges what the application lies on, and the application; an error is the end of patience.
func (w *watcher) look(ctx context.Context) error {
	if err := w.lookAtStorage(ctx); err != nil {
		return err
	}
	h, err := w.glance(ctx)
	if ctx.Err() != nil {
		return nil // stopped meanwhile: what was seen says nothing
	}
	if err != nil {
		h.trouble = []string{err.Error()}
	} else {
		w.a.sawServices(h.services)
	}
	now, limit := w.a.cfg.System.Now(), w.project.UnhealthyLimit()
	switch {
	case h.ok() && !w.since.IsZero():
		w.a.inHealth(now.Sub(w.since))
		w.since, w.healed = time.Time{}, false
		go w.a.tellServices() // of a certificate that has come meanwhile
	case h.ok():
		go w.a.tellServices() // where that failed before
	case w.since.IsZero():
		w.since, w.why = now, h.String()
		w.a.outOfHealth(h, limit)
	case now.Sub(w.since) > limit:
		return remedy.Passing(remedy.With(fmt.Errorf("%w for more than %s: %s", ErrUnhealthy, limit, h),
			cmp.Or(remedy.Of(err), "look at the service's log (`docker logs CONTAINER`)")))
	}
	if why := h.String(); !h.ok() && why != w.why { // told once, but shown as it is now
		w.why = why
		w.a.setTrouble(why)
	}
	if h.absent && !w.healed {
		return w.heal(ctx)
	}
	return nil
}

// lookAtStorage looks after file systems now and then, however often there is something to see of the application.
func (w *watcher) lookAtStorage(ctx context.Context) error {
	now := w.a.cfg.System.Now()
	if since := now.Sub(w.stored); 0 <= since && since < calmPause/2 {
		return nil
	}
	w.stored = now
	if err := w.a.watchStorage(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// glance looks once. After the engine was away the stack is brought up again before it counts: the engine restarts only
// what its policies say.
func (w *watcher) glance(ctx context.Context) (health, error) {
	if w.gone != nil {
		if err := w.a.cfg.Engine.Ping(ctx); err != nil {
			return health{}, err
		}
		w.subscribe(ctx)
		if err := w.heal(ctx); err != nil {
			return health{}, err
		}
	}
	return w.a.walk.look(ctx)
}

// heal brings up what is not there, once in each time out of health: a container that somebody removes again and again
// is a matter for a person.
func (w *watcher) heal(ctx context.Context) error {
	w.healed = true
	w.a.warn("bringing the stack up again")
	ctx, cancel := context.WithTimeout(ctx, w.project.StartLimit())
	defer cancel()
	if err := w.a.cfg.Engine.Heal(ctx, w.project, w.a.progressed); err != nil {
		w.a.warn(fmt.Sprintf("the stack does not come up: %v", err))
	}
	return nil
}

// loud are the engine's events that an operator wants to see.
var loud = map[string]bool{"die": true, "oom": true, "start": true, "stop": true, "kill": false, "destroy": true,
	"health_status: unhealthy": true, "health_status: healthy": true}

func (a *Appliance) reportEvent(e compose.Event) {
	if !loud[e.Action] {
		return
	}
	text := fmt.Sprintf("service %s: container %s: %s", e.Service, e.Container, e.Action)
	if e.Action == "die" {
		text += fmt.Sprintf(" (status %d)", e.ExitCode)
	}
	a.cfg.Log.Info(text)
	a.bus.Publish(api.Event{Kind: "service", Text: text, Service: e.Service, Time: e.Time})
}

func (a *Appliance) outOfHealth(h health, limit time.Duration) {
	a.setTrouble(h.String())
	a.warn(fmt.Sprintf("out of health, for %s at the most: %s", limit, h))
}

func (a *Appliance) inHealth(after time.Duration) {
	a.setTrouble("")
	a.warn(fmt.Sprintf("healthy again after %s", after.Round(time.Millisecond)))
}

func (a *Appliance) setTrouble(text string) {
	a.mu.Lock()
	a.healthy, a.trouble = text == "", a.hide(text)
	switch {
	case text == "":
		a.sick = time.Time{}
	case a.sick.IsZero():
		a.sick = a.cfg.System.Now()
	}
	a.mu.Unlock()
	a.visitors.poke()
	a.cfg.Manager.Status(a.Status().Summary)
}

func (a *Appliance) warn(text string) {
	text = a.hide(text)
	a.cfg.Log.Warn(text)
	a.bus.Publish(api.Event{Kind: "warning", Text: text})
}
