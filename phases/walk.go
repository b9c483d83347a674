package phases

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"appliance/env"
	"appliance/env/source"
	"appliance/internal/cert"
	"appliance/internal/compose"
	"appliance/internal/front/worker"
	"appliance/internal/machine"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Paths of the environment.
const (
	EnvPath       = source.EnvPath
	ActiveEnvPath = "/run/active-env.yml"
	AppDir        = "/app/ecs"
)

// walk is what the phases of one start hand on to each other. What a phase needs of those before it can also be found on
// the host, so that each phase can be run alone.
type walk struct {
	sys        *system.System
	engine     *compose.Engine
	log        *slog.Logger
	notices    *notices        // nil: nobody asks
	useDefault bool            // without any environment, take the embedded one
	host       *source.Machine // to ask for an environment; nil is the machine we run on
	engineWait time.Duration   // for an engine that comes up after us; 0 asks once

	toTry     []byte        // to be planned for in the place of what the sources have
	sources   sources       // of the candidate
	onTrial   bool          // the candidate is only being tried
	loose     []string      // files of the environment that others have access to
	candidate *env.Document // what the sources say
	active    *env.Document // what is in force
	project   *compose.Project

	certificates *cert.Keeper
	front        *worker.Front // nil: nobody of ours answers visitors
	visitors     *visitors     // nil: nobody is told of anything
	telling      *sync.Mutex   // services of a certificate

	secrets sync.Once // guards the making of masker
	masker  *strings.Replacer

	memory
	progress func(compose.Progress)
	services func([]compose.Service)
	kept     func() map[string]bool // images by ID that must stay
}

// environment returns the active environment, from the phase before or from the host.
func (w *walk) environment() (*env.Document, error) {
	if w.active != nil {
		return w.active, nil
	}
	data, err := readActive(w.sys)
	if err != nil {
		return nil, err
	}
	if w.active, err = env.Parse(ActiveEnvPath, data); err != nil {
		return nil, err
	}
	return w.active, nil
}

func readActive(sys *system.System) ([]byte, error) {
	data, err := sys.ReadFile(ActiveEnvPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, remedy.With(errors.New("cannot go on: there is no active environment"), "run `appliance phase prepare-env` first")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the active environment: %w", err)
	}
	return data, nil
}

// variables is the active environment as the compose file sees it.
func (w *walk) variables() (map[string]string, error) {
	doc, err := w.environment()
	if err != nil {
		return nil, err
	}
	flat, err := doc.Flatten("ecs", "appliance")
	if err != nil {
		return nil, err
	}
	vars := make(map[string]string, len(flat))
	for _, v := range flat {
		vars[v.Key] = v.Value
	}
	return vars, nil
}

// loadProject returns the compose project, from the phase before or from the host.
func (w *walk) loadProject(ctx context.Context) (*compose.Project, error) {
	if w.project != nil {
		return w.project, nil
	}
	vars, err := w.variables()
	if err != nil {
		return nil, err
	}
	if w.project, err = compose.Load(ctx, w.sys.Path(AppDir), vars); err == nil {
		w.stampVault()
	}
	return w.project, err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// steps lists what is done in a state, in order.
func (w *walk) steps(state machine.State) ([]Step, error) {
	switch state {
	case PrepareEnv:
		return prepareEnv(w), nil
	case PrepareAppliance:
		return prepareAppliance(w), nil
	case PrepareECS:
		return prepareECS(w), nil
	case Run:
		return run(w), nil
	case Cleanup:
		return cleanup(w), nil
	}
	return nil, remedy.With(fmt.Errorf("cannot run phase %q: there is none of that name", state),
		"name one of prepare-env, prepare-appliance, prepare-ecs, run, cleanup")
}
