package phases

import (
	"context"
	"fmt"

	"appliance/env"
	"appliance/internal/api"
	"appliance/internal/remedy"
	"appliance/storage"
	"appliance/storage/disk"
)

// Storage tells of the file systems that the appliance's data lies on, and what of the layout is where.
func (a *Appliance) Storage(ctx context.Context) (api.Storage, error) { return Storage(ctx, a.cfg) }

// Storage tells the same without a supervisor.
func Storage(ctx context.Context, cfg Config) (api.Storage, error) {
	w := readingWalk(cfg)
	set, err := w.storageSettings()
	if err != nil { // before there is an environment
		set = env.Defaults().Storage
	}
	answer := api.Storage{Version: api.Version}
	root, err := w.volumeReport(set, storage.Found{Volume: storage.Volume{Path: "/"}}, nil)
	if err != nil {
		return answer, err
	}
	answer.Volumes = append(answer.Volumes, root)
	for _, v := range storage.Volumes {
		found, err := v.Find(ctx, w.sys, !set.Ignored[v.Name])
		if err != nil {
			return answer, err
		}
		volume, err := w.volumeReport(set, found, found.Wrong())
		if err != nil {
			return answer, err
		}
		answer.Volumes = append(answer.Volumes, volume)
	}
	layout := storage.Layout{System: w.sys, App: set.App}
	for _, p := range storage.Places {
		answer.Places = append(answer.Places, placeReport(layout, p))
	}
	answer.Aside = layout.MovedAside()
	answer.Locks, err = w.locks(ctx)
	return answer, err
}

// locks tells which encrypted volumes of the environment in force are open.
func (w *walk) locks(ctx context.Context) (locks []api.Lock, err error) {
	doc, err := w.environment()
	if err != nil {
		return nil, nil // before there is one nothing is encrypted by it
	}
	found, err := disk.Locks(ctx, w.sys, doc.Volumes())
	for _, lock := range found {
		locks = append(locks, api.Lock{Name: lock.Name, Device: lock.Device, State: lock.State})
	}
	return locks, err
}

// volumeReport adds what is free to what was found of a volume.
func (w *walk) volumeReport(set env.Storage, f storage.Found, wrong error) (api.Volume, error) {
	mount, there, err := w.sys.MountOf(f.Path)
	if err != nil {
		return api.Volume{}, err
	}
	v := api.Volume{Path: f.Path, Label: f.Label, Required: f.Required, Mounted: there, Source: mount.Source, Type: mount.Type, ReadOnly: mount.ReadOnly}
	if wrong != nil {
		v.Problem, v.ToDo = wrong.Error(), remedy.Of(wrong)
	} else {
		v.Problem = f.Doubt()
	}
	space, err := w.sys.Space(f.Path)
	if err != nil {
		return v, err
	}
	before := map[string]storage.Level{}
	if _, err := w.recall(spaceSubject, &before); err != nil {
		return v, err
	}
	v.Size, v.Free, v.Files = space.Size, space.Free, space.Files
	v.Level = storage.Limits(set.Space).Level(space, before[f.Path]).String()
	return v, nil
}

func placeReport(layout storage.Layout, p storage.Place) api.Place {
	place := api.Place{Path: p.Path, Link: p.Link, Volume: p.Volume(), For: p.For, State: layout.State(p)}
	if info, err := layout.System.Stat(p.Path); err == nil {
		place.Mode = fmt.Sprintf("%04o", info.Mode().Perm())
		uid, gid, err := layout.System.Owner(p.Path)
		if err == nil {
			place.Owner = fmt.Sprintf("%d:%d", uid, gid)
		}
	}
	return place
}
