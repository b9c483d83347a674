package phases

import (
	"context"
	"strings"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/storage"
)

// storageSettings are those of the environment in force.
func (w *walk) storageSettings() (env.Storage, error) {
	doc, err := w.environment()
	if err != nil {
		return env.Storage{}, err
	}
	return doc.Settings().Storage, nil
}

// volumesMounted fails where a file system that the environment asks for is not in its place. There is never work to do.
func (w *walk) volumesMounted(ctx context.Context) (string, error) {
	set, err := w.storageSettings()
	if err != nil {
		return "", err
	}
	return "", w.volumesStand(ctx, set)
}

func (w *walk) volumesStand(ctx context.Context, set env.Storage) error {
	var all []storage.Found
	for _, v := range storage.Volumes {
		found, err := v.Find(ctx, w.sys, !set.Ignored[v.Name])
		if err == nil {
			err = found.Wrong()
		}
		if err != nil {
			return err
		}
		if doubt := found.Doubt(); doubt != "" {
			w.log.Warn(doubt, "todo", storage.DoubtToDo)
		}
		all = append(all, found)
	}
	w.noteVolumes(all)
	return nil
}

// dataStands fails where the application must not be started: its data is not there, or has no room. Without an environment, which a
// boot has wiped and nobody could replace, no volume is known to be asked for; the ID of /data still tells a wrong one.
func (w *walk) dataStands(ctx context.Context) error {
	set, err := w.storageSettings()
	if err != nil {
		set = env.Defaults().Storage
		for name := range set.Ignored {
			set.Ignored[name] = true
		}
	}
	if err := w.volumesStand(ctx, set); err != nil {
		return err
	}
	if err := w.roomLeft(set.Space); err != nil {
		return err
	}
	_, err = w.data().holds(ctx)
	return err
}

func (w *walk) layout() (storage.Layout, error) {
	set, err := w.storageSettings()
	return storage.Layout{System: w.sys, App: set.App, Aside: func(from, to string) {
		w.log.Warn("something was in the way and is moved aside", "from", from, "to", to, "todo", "look whether anything of it is needed, then remove it")
	}}, err
}

func (w *walk) layoutMissing(context.Context) (string, error) {
	layout, err := w.layout()
	if err != nil {
		return "", err
	}
	missing, err := layout.Missing()
	if len(missing) == 0 {
		return "", err
	}
	return "missing: " + strings.Join(missing, ", "), err
}

func (w *walk) makeLayout(context.Context) error {
	layout, err := w.layout()
	if err != nil {
		return err
	}
	return remedy.With(layout.Make(), "make /data, /volatile and /app writable and free space on them")
}
