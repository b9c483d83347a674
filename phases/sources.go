package phases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"appliance/env"
	"appliance/env/source"
	"appliance/internal/remedy"
)

// LayersDir holds what is laid over the environment of the source, in the order of the names.
const LayersDir = "/app/env.d"

// sources is where an environment came from.
type sources struct {
	base   layer
	layers []layer
	files  []string // on the host, of base and layers
}

// layer is one of the documents that an environment is made of.
type layer struct {
	Source  string `json:"source"` // as source.UserData has it; "layer", "trial" or "default"
	Origin  string `json:"origin"`
	Network bool   `json:"network,omitempty"` // it may be out of reach at the next boot
	Data    string `json:"data"`
}

func (l layer) parse() (*env.Document, error) { return env.Parse(l.Origin, []byte(l.Data)) }

// merge makes one document of all.
func (s sources) merge() (*env.Document, error) {
	base, err := s.base.parse()
	if err != nil {
		return nil, err
	}
	docs := make([]*env.Document, len(s.layers))
	for i, l := range s.layers {
		if docs[i], err = l.parse(); err != nil {
			return nil, err
		}
	}
	return env.Merge(base, docs...)
}

// findEnv asks the sources and lays the layers of this host over what they say.
func (w *walk) findEnv(ctx context.Context) (string, error) {
	w.sources = sources{}
	err := w.findBase(ctx)
	if err == nil {
		err = w.readLayers()
	}
	if err == nil {
		w.candidate, err = w.sources.merge()
	}
	return "", err
}

// findBase takes the document that is being tried, else the first that a source has, else the embedded one where that is
// wanted.
func (w *walk) findBase(ctx context.Context) error {
	data, err := w.tried()
	if err != nil {
		return err
	}
	if data != nil {
		w.onTrial = true
		w.sources.base = layer{Source: "trial", Origin: trialPath, Data: string(data)}
		return nil
	}
	cached, err := readCachedEnv(w.sys)
	if err != nil {
		w.log.Warn("going on without the environment that ran here last", "err", err)
	}
	result, err := source.Find(ctx, source.Config{System: w.sys, EnvYML: os.Getenv("ENV_YML"), Limit: env.MaxSize, Cached: cached, Machine: w.host})
	switch {
	case err != nil:
		return err
	case result.Found != nil:
		return w.take(result)
	case w.useDefault:
		w.sources.base = layer{Source: "default", Origin: "embedded default", Data: string(env.Default())}
		return nil
	}
	err = remedy.With(fmt.Errorf("cannot find an environment: %s", inVain(result)),
		"write it (`appliance env create` makes a new one), or start with --default to look around; `appliance env sources` tells who was asked")
	if w.sys.Real() || w.host != nil { // a drive may yet be put in, and the network may yet come up
		err = remedy.Passing(err)
	}
	return err
}

func (w *walk) take(result source.Result) error {
	found := result.Found
	w.sources.base = layer{Source: found.Source, Origin: found.Origin, Network: found.Network, Data: string(found.Data)}
	if found.Path != "" {
		w.sources.files = append(w.sources.files, found.Path)
	}
	if !result.Cached {
		return nil
	}
	for _, verdict := range result.Sources {
		if verdict.Cached {
			w.log.Warn("taking the environment that ran here last", "source", verdict.Source, "because", verdict.Detail)
		}
	}
	return nil
}

// inVain says who was asked.
func inVain(result source.Result) string {
	var names []string
	for _, verdict := range result.Sources {
		if verdict.Outcome == source.Nothing && verdict.Source != "file" && !slices.Contains(names, verdict.Source) {
			names = append(names, verdict.Source)
		}
	}
	text := "there is no " + EnvPath
	if len(names) > 0 {
		text += ", and none from " + strings.Join(names, ", ")
	}
	return text
}

// readLayers reads /app/env.d/*.yml.
func (w *walk) readLayers() error {
	entries, err := os.ReadDir(w.sys.Path(LayersDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return remedy.With(fmt.Errorf("cannot read the layers of the environment: %w", err), "make "+LayersDir+" a directory that root can read, or take it away")
	}
	for _, entry := range entries { // sorted by name
		path := filepath.Join(LayersDir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if filepath.Ext(path) != ".yml" {
			w.log.Warn("not a layer of the environment: its name does not end in .yml", "file", path)
			continue
		}
		found, err := source.File(w.sys, path, env.MaxSize)
		if source.IsAbsent(err) || err == nil && blank(found.Data) {
			continue
		}
		if err != nil {
			return err
		}
		w.sources.layers = append(w.sources.layers, layer{Source: "layer", Origin: path, Data: string(found.Data)})
		w.sources.files = append(w.sources.files, path)
	}
	return nil
}

// blank says whether a layer has nothing but comments.
func blank(data []byte) bool {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// Layered answers the environment that a start would put in force if base were what the sources have.
func Layered(cfg Config, base *env.Document) (*env.Document, error) {
	w := readingWalk(cfg)
	w.sources.base = layer{Source: "file", Origin: base.Origin, Data: string(base.Data)}
	if err := w.readLayers(); err != nil {
		return nil, err
	}
	return w.sources.merge()
}

// Ask asks the sources, and answers what each of them said.
func Ask(ctx context.Context, cfg Config) (source.Result, error) {
	sys := cfg.System.Reader()
	cached, err := readCachedEnv(sys)
	if err != nil {
		cfg.Log.Warn("going on without the environment that ran here last", "err", err)
	}
	return source.Find(ctx, source.Config{System: sys, EnvYML: os.Getenv("ENV_YML"), Limit: env.MaxSize, Cached: cached, Machine: cfg.Machine})
}

// NextEnv answers the environment that a start now would put in force.
func NextEnv(ctx context.Context, cfg Config) (*env.Document, error) {
	w := readingWalk(cfg)
	_, err := w.findEnv(ctx)
	return w.candidate, err
}
