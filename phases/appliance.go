package phases

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"appliance/env/source"
	"appliance/internal/api"
	"appliance/internal/cert"
	"appliance/internal/compose"
	"appliance/internal/front/worker"
	"appliance/internal/machine"
	"appliance/internal/system"
)

// StateDir holds the machine's record. It is on the root disk: it must be readable before any other is mounted.
const StateDir = "/var/lib/appliance"

// Manager is told how the start goes; it is the service manager's side of a supervisor.
type Manager interface {
	Ready()
	Status(line string)
	Extend(d time.Duration)
	Reloading()
	// StopUnit asks for the unit of this process to be stopped, and says whether there is one.
	StopUnit(ctx context.Context) (bool, error)
}

// Config is what a supervisor is made of.
type Config struct {
	System  *system.System
	Engine  *compose.Engine
	Manager Manager
	Log     *slog.Logger
	Version string
	// Replaceable says, by an error, why the program on disk could not take the place of this one. Nil asks nobody.
	Replaceable func(ctx context.Context) error
	UseDefault  bool            // without any environment, take the embedded one
	Machine     *source.Machine // to ask for an environment; nil is the machine we run on
	EngineWait  time.Duration   // for an engine that comes up after us; 0 asks once
	Front       *worker.Front   // receives visitors; nil: nobody of ours does
}

// Reasons for which Run ends; they are the cause of its context.
var (
	ErrStop   = errors.New("stopped on request")
	ErrReexec = errors.New("to be replaced in place")
)

// Appliance is the supervisor: it walks the table and tells how it goes. Its exported methods are safe for concurrent use.
type Appliance struct {
	cfg     Config
	machine *machine.Machine
	bus     *api.Bus
	walk    *walk

	visitors     *visitors
	certificates *cert.Keeper
	notices      notices
	telling      sync.Mutex  // services of a certificate
	untold       atomic.Bool // one has come

	wake    chan machine.Event // Reload or Clear, asked for by somebody
	ended   context.Context    // by end
	end     context.CancelCauseFunc
	started time.Time

	touched bool // this process has begun to bring the application up
	cleaned bool // leftovers are gone since the walk began

	planning sync.Mutex

	trying     sync.Mutex // guards the trial on record and its timer
	trialTimer *time.Timer

	mu       sync.Mutex
	steps    []api.Step
	services []compose.Service
	healthy  bool
	trouble  string
	sick     time.Time // since when it has been out of health; zero: it is not
	ready    bool      // the manager knows
	since    time.Time // when the state was entered that we were told of last
	envInfo  *api.EnvInfo
	urls     []string

	masker atomic.Pointer[strings.Replacer] // of the secrets of the environment in force
}

// NewAppliance returns a supervisor that goes on from the record of the last one.
func NewAppliance(cfg Config) (*Appliance, error) {
	a := &Appliance{cfg: cfg, bus: api.NewBus(), wake: make(chan machine.Event, 1), started: cfg.System.Now()}
	a.ended, a.end = context.WithCancelCause(context.Background())
	a.visitors = newVisitors(a)
	a.certificates = a.newKeeper()
	a.walk = a.newWalk()
	var err error
	a.machine, err = machine.New(machine.Config{
		Table: Table, Initial: Boot, Fail: Fail, Resume: resume, Attempts: Attempts, Phases: a.phases(),
		Store: machine.NewStore(cfg.System, StateDir, cfg.Log), Now: cfg.System.Now, Log: cfg.Log, OnChange: a.entered,
	})
	if err == nil {
		home := a.homeOfEnv() // what a write that was cut off has left of these holds secrets, and may not be written again
		cfg.System.Tidy(ActiveEnvPath, madeOfPath, cachePath, trialPath, home, before(home))
		a.resumeTrial()
	}
	return a, err
}

func (a *Appliance) phases() map[machine.State]machine.Phase {
	return map[machine.State]machine.Phase{
		PrepareEnv:       {Run: a.prepareEnv},
		PrepareAppliance: {Run: a.phase(PrepareAppliance, Done)},
		PrepareECS:       {Run: a.phase(PrepareECS, Done)},
		Run:              {Run: a.run},
		Cleanup:          {Run: a.cleanup},
		Standby:          {Run: a.standby, Rests: true},
		Failed:           {Run: a.failed, Rests: true},
	}
}

func (a *Appliance) newWalk() *walk {
	return &walk{
		memory: a, sys: a.cfg.System, engine: a.cfg.Engine, log: a.cfg.Log, useDefault: a.cfg.UseDefault, host: a.cfg.Machine,
		engineWait: a.cfg.EngineWait, notices: &a.notices,
		certificates: a.certificates, front: a.cfg.Front, visitors: a.visitors, telling: &a.telling,
		progress: a.progressed, services: a.sawServices, kept: a.keptImages,
	}
}

// Run walks until ctx ends, somebody asks for a stop, or the host must reboot. The cause of the end is the error, with
// nil for a reboot.
func (a *Appliance) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { a.end(context.Cause(ctx)) })()
	ends := a.accompany(a.ended)
	outcome, err := a.machine.Run(a.ended)
	ends()
	a.disarmTrial()                                         // it is the next process's
	if outcome == machine.Stopped && a.ended.Err() != nil { // a stop is to be obeyed, even if it could not be recorded
		return errors.Join(context.Cause(a.ended), err)
	}
	return err
}

// accompany does what goes on beside the walk, until the result is called: visitors are answered, the certificate is
// renewed, and the certificates of visitors are followed.
func (a *Appliance) accompany(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	a.visitors.begin(ctx)
	var work sync.WaitGroup
	work.Go(func() { a.visitors.run(ctx) })
	work.Go(func() { a.visitors.follow(ctx) })
	work.Go(func() { a.certificates.Run(ctx) })
	work.Go(func() { a.watchVault(ctx) })
	work.Go(func() { a.visitors.followClients(ctx) })
	return func() {
		cancel()
		work.Wait()
		a.visitors.handOn()
	}
}

// phase makes a state's work of its steps.
func (a *Appliance) phase(state machine.State, then machine.Event) func(context.Context) (machine.Event, error) {
	return func(ctx context.Context) (machine.Event, error) {
		steps, err := a.walk.steps(state)
		if err != nil {
			return "", err
		}
		ctx, cancel := a.walk.withinTrial(ctx)
		defer cancel()
		return then, perform(ctx, state, steps, a)
	}
}

func (a *Appliance) prepareEnv(ctx context.Context) (machine.Event, error) {
	a.beginWalk()
	a.walkBack()
	if event, err := a.phase(PrepareEnv, Done)(ctx); err != nil {
		return event, err
	}
	a.knowEnv()
	set := a.walk.active.Settings()
	project, _ := a.walk.loadProject(ctx) // prepare-ecs says what is wrong with it
	a.visitors.declared(ctx, set, project)
	if set.Standby {
		return Hold, nil
	}
	return Done, nil
}

func (a *Appliance) beginWalk() {
	a.answered() // whatever was asked for before: a walk is the answer
	a.walk, a.cleaned = a.newWalk(), false
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps, a.healthy, a.trouble, a.sick = nil, false, "", time.Time{}
}

func (a *Appliance) run(ctx context.Context) (machine.Event, error) {
	if !a.isHealthy() {
		a.touched = true
		if _, err := a.phase(Run, "")(ctx); err != nil {
			return "", err
		}
		if err := a.proven(); err != nil {
			return "", err
		}
	}
	if !a.cleaned {
		return Clean, nil
	}
	select {
	case event := <-a.wake: // asked for during the walk, which may have read the old state of things
		if event == Reload {
			return Reload, nil
		}
	default:
	}
	a.rest(a.Status().Summary)
	a.giveBack()
	return a.watch(ctx)
}

// giveBack gives memory back to the host: a start needs three times what watching does.
func (a *Appliance) giveBack() {
	if err := system.FreeMemory(); err != nil {
		a.cfg.Log.Debug(err.Error())
	}
}

// cleanup never fails the appliance: it is healthy, and rubbish can wait for the next start.
func (a *Appliance) cleanup(ctx context.Context) (machine.Event, error) {
	a.cleaned = true
	if _, err := a.phase(Cleanup, Done)(ctx); err != nil && ctx.Err() == nil {
		a.warn(fmt.Sprintf("leftovers stay: %v", err))
	}
	return Done, ctx.Err()
}

// goodSubject is the record's document on the last generation that was healthy.
const goodSubject = "good"

// generation is what ran. It is kept for the way back.
type generation struct {
	Project string            `json:"project"`
	Env     string            `json:"env_sha256"`
	Version string            `json:"supervisor"`
	Images  map[string]string `json:"images"` // service to image ID
	Routes  []compose.Route   `json:"routes"` // that visitors took to it
	Since   time.Time         `json:"since"`
}

// proven makes this generation the last good one and forgives the attempts it took.
func (a *Appliance) proven() error {
	now := generation{Project: a.walk.project.Name(), Env: digest(a.walk.active.Data), Version: a.cfg.Version,
		Images: map[string]string{}, Routes: a.walk.project.Routes, Since: a.cfg.System.Now()}
	a.mu.Lock()
	a.healthy, a.urls = true, a.walk.project.URLs()
	for _, s := range a.services {
		for _, c := range s.Containers {
			now.Images[s.Name] = c.ImageID
		}
	}
	a.mu.Unlock()
	if err := a.machine.Prove(); err != nil {
		return err
	}
	if err := a.walk.keepEnv(); err != nil {
		a.warn(fmt.Sprintf("a start without the network would not find its environment: %v", err))
	}
	if err := errors.Join(a.intend(true), a.visitors.proved()); err != nil {
		return err
	}
	if last := a.lastGood(); last.same(now) {
		return nil
	}
	return a.remember(goodSubject, now)
}

// servingSubject is the record's document on whether this host is meant to serve: true since it last was healthy, false
// since it last was put on standby.
const servingSubject = "serving"

// intend remembers whether this host is meant to serve.
func (a *Appliance) intend(serve bool) error {
	if a.intended() == serve {
		return nil
	}
	return a.remember(servingSubject, serve)
}

func (a *Appliance) intended() (serve bool) {
	if _, err := a.recall(servingSubject, &serve); err != nil {
		a.cfg.Log.Warn("cannot tell whether this host is meant to serve", "err", err)
	}
	return serve
}

func (a *Appliance) lastGood() (g generation) {
	if _, err := a.recall(goodSubject, &g); err != nil {
		a.cfg.Log.Warn("cannot read the last good generation", "err", err)
	}
	return g
}

// same says whether both are of the same things, whenever that was.
func (g generation) same(other generation) bool {
	return g.Project == other.Project && g.Env == other.Env && g.Version == other.Version && maps.Equal(g.Images, other.Images) && slices.Equal(g.Routes, other.Routes)
}

func (a *Appliance) keptImages() map[string]bool { return keptBy(a.lastGood()) }

func (a *Appliance) isHealthy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.healthy
}
