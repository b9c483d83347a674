package phases

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"appliance/env"
	"appliance/internal/compose"
	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/storage"
)

// spaceSubject is the record's document on how little space was left: a level is told once, not at every look and start.
const spaceSubject = "space"

// room is the space of one file system, by the first path that lies on it.
type room struct {
	path  string
	space system.Space
	level storage.Level
}

// rooms judges the file systems of the host that data lies on, each once.
func (w *walk) rooms(set env.Space) ([]room, error) {
	before := map[string]storage.Level{}
	if _, err := w.recall(spaceSubject, &before); err != nil {
		w.log.Warn("cannot tell how much space was left", "err", err)
	}
	var found []room
	seen := map[string]bool{}
	for _, path := range []string{"/", "/data", "/volatile"} {
		mount, _, err := w.sys.MountOf(path)
		if err != nil {
			return nil, err
		}
		if seen[mount.Point] {
			continue
		}
		seen[mount.Point] = true
		space, err := w.sys.Space(path)
		if err != nil {
			return nil, err
		}
		found = append(found, room{path, space, storage.Limits(set).Level(space, before[path])})
	}
	w.noteRooms(found)
	return found, nil
}

// tellRooms tells which file systems are at another level than before, and remembers it.
func (w *walk) tellRooms(rooms []room, tell func(string)) error {
	before, now := map[string]storage.Level{}, map[string]storage.Level{}
	_, _ = w.recall(spaceSubject, &before) // rooms has told what is wrong with it
	for _, r := range rooms {
		if r.level > storage.Ample {
			now[r.path] = r.level
		}
	}
	if maps.Equal(before, now) {
		return nil
	}
	if err := w.remember(spaceSubject, now); err != nil {
		return err
	}
	for _, r := range rooms {
		if r.level != before[r.path] {
			tell(r.String())
		}
	}
	return nil
}

func (r room) String() string {
	text := fmt.Sprintf("%s has %s free", r.path, storage.Share(r.space))
	switch r.level {
	case storage.Warn:
		return text + ": it is filling up"
	case storage.Hold:
		return text + ": no new work is taken on"
	case storage.Protect:
		return text + ": whoever writes is stopped"
	}
	return text + ": that is enough"
}

// remedy is what makes room.
func (r room) remedy() string {
	return fmt.Sprintf("free space on it (`du -xh --max-depth 2 %s | sort -h | tail`, `docker system df`) or make it larger", r.path)
}

// errFull marks the error of a file system without room for data.
var errFull = errors.New("there is no room for data")

// full is the error of a file system without room for data; nil where there is room.
func full(rooms []room, set env.Space) error {
	for _, r := range rooms {
		if r.level == storage.Protect {
			return remedy.Passing(remedy.With(fmt.Errorf("cannot go on: %w: %s has %s free, and whoever writes is stopped below %d %%", errFull, r.path, storage.Share(r.space), set.Protect),
				r.remedy()+"; it goes on by itself then"))
		}
	}
	return nil
}

// spaceLeft fails where there is no room for data. There is never work to do.
func (w *walk) spaceLeft(context.Context) (string, error) {
	set, err := w.storageSettings()
	if err != nil {
		return "", err
	}
	return "", w.roomLeft(set.Space)
}

func (w *walk) roomLeft(set env.Space) error {
	rooms, err := w.rooms(set)
	if err != nil {
		return err
	}
	return full(rooms, set)
}

// roomFor refuses new work that would leave too little of the space at path; need is an estimate in bytes, 0 where nothing is known.
func (w *walk) roomFor(what, path string, space system.Space, need uint64) error {
	set, err := w.storageSettings()
	if err != nil {
		return err
	}
	after := space
	after.Free -= min(need, space.Free)
	if need <= space.Free && storage.Limits(set.Space).Level(after, storage.Ample) < storage.Hold {
		return nil
	}
	estimate := ""
	if need > 0 {
		estimate = fmt.Sprintf(" and it takes about %s", storage.Bytes(need))
	}
	return remedy.Passing(remedy.With(fmt.Errorf("cannot begin to %s: %s has %s free%s; %d %% have to stay free", what, path, storage.Share(space), estimate, set.Space.Hold),
		"free space there, make it larger, or set appliance.storage.space.hold lower"))
}

// roomForImages refuses to build or pull where the engine has no room. An image takes about as much as the one at hand of the same
// name; nothing is known of others, and they are let in while enough is free.
func (w *walk) roomForImages(ctx context.Context, build, pull []string) error {
	root, need, err := w.engine.ImageNeed(ctx, w.project, append(build, pull...))
	if err != nil || root == "" {
		return err
	}
	space, err := system.New(system.Config{}).Space(root) // the engine is not below our root
	if err != nil {
		return err
	}
	return w.roomFor("fetch images", root, space, need)
}

// watchStorage looks after the file systems of an appliance that runs: one that has gone or cannot be written is a failure, and
// so is one without room for data, once whoever writes is stopped.
func (a *Appliance) watchStorage(ctx context.Context) error {
	set := a.walk.active.Settings().Storage
	for _, v := range storage.Volumes {
		if err := v.Stands(a.cfg.System, !set.Ignored[v.Name]); err != nil {
			return err
		}
	}
	if _, err := a.walk.data().holds(ctx); err != nil {
		return err
	}
	rooms, err := a.walk.rooms(set.Space)
	if err != nil {
		return err
	}
	if err := a.walk.tellRooms(rooms, a.warn); err != nil {
		a.warn(err.Error())
	}
	a.publishWarnings()
	err = full(rooms, set.Space)
	if err != nil {
		a.stopWriters(ctx)
	}
	return err
}

// stopWriters stops whoever writes data; where the project cannot be read, all of the one that ran last.
func (a *Appliance) stopWriters(ctx context.Context) {
	project, err := a.walk.loadProject(ctx)
	told := func(p compose.Progress) { a.tell(p) }
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, project.StopLimit()+defaultLimit)
		defer cancel()
		err = a.cfg.Engine.StopWriters(ctx, project, told)
	} else if good := a.lastGood(); good.Project != "" {
		err = a.cfg.Engine.Stop(ctx, good.Project, 0, told)
	}
	if err != nil && ctx.Err() == nil {
		a.warn(fmt.Sprintf("services go on writing: %v", err))
	}
}
