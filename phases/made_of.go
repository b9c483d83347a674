package phases

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"appliance/env"
	"appliance/env/source"
	"appliance/internal/system"
)

// madeOfPath tells what the active environment is made of, so that each of its values can be traced. It holds secrets, as
// the active environment does.
const madeOfPath = "/run/appliance/env.json"

// cachePath keeps the environment of a network source that ran here, for the boot at which that source is out of reach.
var cachePath = filepath.Join(StateDir, "env-cache.json")

const madeOfVersion = 1

// madeOf is the content of both files.
type madeOf struct {
	Version int     `json:"version"`
	SHA256  string  `json:"sha256,omitempty"` // of the whole that the layers make
	Layers  []layer `json:"layers"`           // the base first
}

func (s sources) madeOf(whole *env.Document) madeOf {
	return madeOf{madeOfVersion, digest(whole.Data), append([]layer{s.base}, s.layers...)}
}

func (m madeOf) same(other madeOf) bool {
	return m.Version == other.Version && m.SHA256 == other.SHA256 && slices.Equal(m.Layers, other.Layers)
}

func readMadeOf(sys *system.System) (madeOf, error) { return readLayersFile(sys, madeOfPath) }

func writeMadeOf(sys *system.System, m madeOf) error { return writeLayersFile(sys, madeOfPath, m) }

func readLayersFile(sys *system.System, path string) (m madeOf, err error) {
	data, err := sys.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err == nil && (m.Version != madeOfVersion || len(m.Layers) == 0) {
		err = fmt.Errorf("it has version %d and %d layers", m.Version, len(m.Layers))
	}
	if err != nil {
		return madeOf{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return m, nil
}

func writeLayersFile(sys *system.System, path string, m madeOf) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", path, err)
	}
	return sys.WriteFile(path, append(data, '\n'), 0o600)
}

// ActiveEnv answers the environment that is in force, with its layers where these are on record.
func ActiveEnv(sys *system.System) (*env.Document, error) {
	data, err := readActive(sys)
	if err != nil {
		return nil, err
	}
	if m, err := readMadeOf(sys); err == nil && m.SHA256 == digest(data) {
		if doc, err := (sources{base: m.Layers[0], layers: m.Layers[1:]}).merge(); err == nil {
			return doc, nil
		}
	}
	return env.Parse(ActiveEnvPath, data)
}

// readCachedEnv answers the environment of a network source that ran here last, nil where there is none.
func readCachedEnv(sys *system.System) (*source.UserData, error) {
	m, err := readLayersFile(sys, cachePath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	base := m.Layers[0]
	return &source.UserData{Source: base.Source, Origin: base.Origin, Network: true, Data: []byte(base.Data)}, nil
}

// cacheable is what the cache should hold after the active environment has proved itself; none says that it should hold
// nothing, because the environment is at hand on this host.
func cacheable(sys *system.System) (want madeOf, none bool, err error) {
	m, err := readMadeOf(sys)
	if err != nil {
		return madeOf{}, false, err
	}
	base := m.Layers[0]
	return madeOf{Version: madeOfVersion, Layers: []layer{base}}, !base.Network, nil
}

// keepEnv keeps the environment of a network source, now that it has proved itself here. What is only being tried has not.
func (w *walk) keepEnv() error {
	want, none, err := cacheable(w.sys)
	if err != nil {
		return err
	}
	if want.Layers[0].Source == "trial" {
		return nil
	}
	if none {
		return w.sys.Remove(cachePath)
	}
	if have, err := readLayersFile(w.sys, cachePath); err == nil && have.same(want) {
		return nil
	}
	return writeLayersFile(w.sys, cachePath, want)
}
