package phases

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// prepareEnv finds the environment, and puts it in force only once it is known to be good.
func prepareEnv(w *walk) []Step {
	return []Step{
		{Name: "source", Check: w.findEnv},
		{Name: "schema", Check: w.validateEnv},
		{Name: "activate", Check: w.envDiffers, Apply: w.activateEnv},
	}
}

// findEnv asks the sources in order; the first that has a document wins.
func (w *walk) findEnv(context.Context) (string, error) {
	for _, path := range []string{os.Getenv("ENV_YML"), EnvPath} {
		if path == "" {
			continue
		}
		data, err := readLimited(w.sys, path, env.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", remedy.With(fmt.Errorf("cannot read the environment: %w", err), cmp.Or(remedy.Of(err), "make "+path+" a readable file"))
		}
		w.candidate, err = env.Parse(path, data)
		return "", err
	}
	if !w.useDefault {
		return "", remedy.With(fmt.Errorf("cannot find an environment: there is no %s", EnvPath),
			"write it (`appliance env schema` tells its keys), or start with --default to look around")
	}
	var err error
	w.candidate, err = env.Parse("embedded default", env.Default())
	return "", err
}

// readLimited reads a file, but not one far beyond limit: it would only be refused.
func readLimited(sys *system.System, path string, limit int64) ([]byte, error) {
	info, err := sys.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if info.Size() > limit {
		return nil, remedy.With(fmt.Errorf("%s has %d bytes, more than the %d an environment may have", path, info.Size(), limit),
			"move large content out of the environment")
	}
	return sys.ReadFile(path)
}

func (w *walk) validateEnv(context.Context) (string, error) {
	if err := w.candidate.Validate(); err != nil {
		return "", err
	}
	for _, warning := range w.candidate.Warnings() {
		w.log.Warn(warning.String())
	}
	return "", nil
}

func (w *walk) envDiffers(context.Context) (string, error) {
	have, err := w.sys.ReadFile(ActiveEnvPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no active environment", nil
	case err != nil:
		return "", fmt.Errorf("cannot read the active environment: %w", err)
	case !bytes.Equal(have, w.candidate.Data):
		return "it differs from " + w.candidate.Origin, nil
	}
	info, err := w.sys.Stat(ActiveEnvPath)
	if err != nil {
		return "", fmt.Errorf("cannot look at the active environment: %w", err)
	}
	if info.Mode().Perm() != 0o600 {
		return "others could read it", nil
	}
	w.active = w.candidate
	return "", nil
}

func (w *walk) activateEnv(context.Context) error {
	if err := w.sys.WriteFile(ActiveEnvPath, w.candidate.Data, 0o600); err != nil {
		return remedy.With(fmt.Errorf("cannot activate the environment: %w", err), "make /run writable and free space on it")
	}
	w.active = w.candidate
	return nil
}
