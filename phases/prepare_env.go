package phases

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"appliance/env"
	"appliance/env/yaml11"
	"appliance/internal/remedy"
)

// prepareEnv finds the environment, and puts it in force only once it is known to be good.
func prepareEnv(w *walk) []Step {
	return []Step{
		{Name: "source", Check: w.findEnv},
		{Name: "permissions", Check: w.looseFiles, Apply: w.tightenFiles},
		{Name: "schema", Check: w.validateEnv},
		{Name: "activate", Check: w.envDiffers, Apply: w.activateEnv},
	}
}

// looseFiles looks for files of the environment that others than their owner can read or write: they hold secrets.
func (w *walk) looseFiles(context.Context) (string, error) {
	w.loose = nil
	for _, path := range w.sources.files {
		info, err := w.sys.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken away since it was read
		}
		if err != nil {
			return "", fmt.Errorf("cannot look at %s: %w", path, err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			w.loose = append(w.loose, path)
		}
	}
	if len(w.loose) == 0 {
		return "", nil
	}
	return "others than the owner have access to " + strings.Join(w.loose, ", "), nil
}

func (w *walk) tightenFiles(context.Context) error {
	for _, path := range w.loose {
		w.log.Warn("others could read or write the environment: setting its mode to 0600", "file", path)
		err := w.sys.Chmod(path, 0o600)
		if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) {
			w.log.Warn("its file system does not let us", "file", path, "err", err) // a seed on a medium; what is in force is ours alone
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) validateEnv(context.Context) (string, error) {
	if err := w.candidate.Validate(); err != nil {
		return "", err
	}
	if err := w.checkSupplied(); err != nil {
		return "", err
	}
	if err := w.checkVault(); err != nil {
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
		return "it differs from " + w.candidate.Origin + differences(have, w.candidate), nil
	}
	for _, path := range []string{ActiveEnvPath, madeOfPath} {
		if info, err := w.sys.Stat(path); err == nil && info.Mode().Perm() != 0o600 {
			return "others could read it", nil
		}
	}
	if known, err := readMadeOf(w.sys); err != nil || !known.same(w.sources.madeOf(w.candidate)) {
		return "what it is made of is not on record", nil
	}
	w.active = w.candidate
	return "", nil
}

// mentioned is how many keys are named where more may differ.
const mentioned = 5

// differences names the keys that differ, where that can be told.
func differences(have []byte, want *env.Document) string {
	before, err := env.Parse(ActiveEnvPath, have)
	if err != nil {
		return ""
	}
	var keys []string
	for _, change := range yaml11.Diff(before.Top, want.Top) {
		keys = append(keys, strings.Join(change.Path, "."))
	}
	if len(keys) == 0 {
		return " in its text only"
	}
	if more := len(keys) - mentioned; more > 0 {
		keys = append(keys[:mentioned], fmt.Sprintf("and %d more", more))
	}
	return " in " + strings.Join(slices.Clip(keys), ", ")
}

// activateEnv first notes what the environment is made of, then puts it in force: the note has its digest and counts for
// no other.
func (w *walk) activateEnv(context.Context) error {
	err := writeMadeOf(w.sys, w.sources.madeOf(w.candidate))
	if have, _ := w.sys.ReadFile(ActiveEnvPath); err == nil && bytes.Equal(have, w.candidate.Data) {
		err = w.sys.Chmod(ActiveEnvPath, 0o600)
	} else if err == nil {
		err = w.sys.WriteFile(ActiveEnvPath, w.candidate.Data, 0o600)
	}
	if err != nil {
		return remedy.With(fmt.Errorf("cannot activate the environment: %w", err), cmp.Or(remedy.Of(err), "make /run writable and free space on it"))
	}
	w.active = w.candidate
	return nil
}
