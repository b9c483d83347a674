package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Layout makes the Places and the ID on a host.
type Layout struct {
	System *system.System
	App    int                   // numeric user and group of the application; 0 is App
	Aside  func(from, to string) // is told what was moved out of the way; nil tells nobody
}

// State says how a place is on the host: "ready", "missing", "unused" (a place that is only made by moving what is there), or
// what is wrong.
func (l Layout) State(p Place) string {
	ready, err := l.dirStands(p.Path)
	if ready && err == nil && p.Link != "" {
		ready, err = l.linkStands(p)
	}
	switch {
	case err != nil:
		return err.Error()
	case ready:
		return "ready"
	case p.Moved() && !l.lost(p):
		return "unused"
	}
	return "missing"
}

// Strayed says that what belongs at the place is where its link is to be, and nothing is at the place yet.
func (l Layout) Strayed(p Place) bool {
	if p.Link == "" {
		return false
	}
	info, err := os.Lstat(l.System.Path(p.Link))
	return err == nil && info.IsDir() && !l.empty(p.Link) && (!l.System.Exists(p.Path) || l.empty(p.Path))
}

func (l Layout) empty(path string) bool {
	entries, err := os.ReadDir(l.System.Path(path))
	return err == nil && len(entries) == 0
}

// Missing lists what of the layout is not as it should be.
func (l Layout) Missing() ([]string, error) {
	var missing []string
	for _, p := range Places {
		if p.Moved() && !l.again(p) {
			continue
		}
		stands, err := l.dirStands(p.Path)
		if err != nil {
			return nil, err
		}
		if !stands {
			missing = append(missing, p.Path)
		}
	}
	for _, p := range linked() {
		stands, err := l.linkStands(p)
		if err != nil {
			return nil, err
		}
		if !stands {
			missing = append(missing, p.Link)
		}
	}
	id, err := l.ID()
	if id == "" {
		missing = append(missing, IDPath)
	}
	return missing, err
}

// lost says that a move has left the link of a place, and what it leads to has gone.
func (l Layout) lost(p Place) bool {
	target, err := l.System.Readlink(p.Link)
	return err == nil && target == l.System.Path(p.Path) && !l.System.Exists(p.Path)
}

// again says that such a place is to be made: with a new volume, of what can be made again, its service would not start on a link to nothing.
func (l Layout) again(p Place) bool { return p.Volume() == "volatile" && l.lost(p) }

// linked are the places that the layout itself makes links to.
func linked() (places []Place) {
	for _, p := range Places {
		if p.Link != "" && !p.Moved() {
			places = append(places, p)
		}
	}
	return places
}

// Make puts in place what is missing. It removes no data: what is in the way is moved aside.
func (l Layout) Make() error {
	for _, p := range Places {
		if p.Moved() && !l.again(p) {
			continue
		}
		if err := l.makeDir(p); err != nil {
			return err
		}
	}
	for _, p := range linked() {
		if err := l.makeLink(p); err != nil {
			return err
		}
	}
	return l.makeID()
}

// dirStands says whether a directory is at path. What else is there is in the way, and no error; a link that leads nowhere is
// one, since it may be to what is not mounted.
func (l Layout) dirStands(path string) (bool, error) {
	info, err := l.System.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && l.System.Exists(path):
		return false, remedy.With(fmt.Errorf("cannot use %s: it is a link that leads nowhere", path), "mount or make what it leads to, or remove it")
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	return info.IsDir(), nil
}

func (l Layout) makeDir(p Place) error {
	if stands, err := l.dirStands(p.Path); stands || err != nil {
		return err // an existing directory keeps the owner and mode that somebody chose
	}
	if err := l.moveAside(p.Path); err != nil {
		return err
	}
	return l.System.MakeDir(p.Path, p.Perm, l.owner(p))
}

// owner is the number that the place is made with; -1 is ours.
func (l Layout) owner(p Place) int {
	switch {
	case os.Geteuid() != 0: // only root gives away
		return -1
	case p.Owner == Root:
		return 0
	case l.App != 0:
		return l.App
	}
	return App
}

// linkStands says whether the link of p leads to its path. Content at the link's place is in the way, and no error; an
// operator's own link is one, since the application's data may be behind it.
func (l Layout) linkStands(p Place) (bool, error) {
	target, err := l.System.Readlink(p.Link)
	if err != nil {
		return false, nil // nothing is there, or what gives way
	}
	switch target {
	case l.System.Path(p.Path):
		return true, nil
	case p.Path: // as seen from within our root
		return false, nil
	}
	taken := fmt.Errorf("cannot link %s to %s: something else is there", p.Link, p.Path)
	there, err := l.System.Stat(p.Link)
	if errors.Is(err, fs.ErrNotExist) { // an operator's own, to what is not mounted
		return false, remedy.With(taken, fmt.Sprintf("it is a link to %s, where nothing is: mount that, or remove the link", target))
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", p.Link, err)
	}
	if ours, err := l.System.Stat(p.Path); err == nil && os.SameFile(there, ours) {
		return true, nil
	}
	return false, remedy.With(taken, fmt.Sprintf("it is a link to %s: mount that at %s or move its content there, and remove the link", target, p.Path))
}

func (l Layout) makeLink(p Place) error {
	if stands, err := l.linkStands(p); stands || err != nil {
		return err
	}
	if _, err := l.System.Readlink(p.Link); err != nil {
		if err := l.giveWay(p.Link); err != nil {
			return err
		}
	}
	return l.System.Symlink(l.System.Path(p.Path), p.Link)
}

// giveWay makes room at path: an empty directory goes, anything else is moved aside.
func (l Layout) giveWay(path string) error {
	if l.empty(path) {
		return remedy.With(l.System.Remove(path), "unmount what is mounted there")
	}
	return l.moveAside(path)
}

// asideMark stands between the name of what was moved out of the way and the time when.
const asideMark = ".aside-"

func (l Layout) moveAside(path string) error {
	if !l.System.Exists(path) {
		return nil
	}
	to := path + asideMark + l.System.Now().UTC().Format("20060102T150405.000Z")
	if err := l.System.Rename(path, to); err != nil {
		return remedy.With(fmt.Errorf("cannot use %s: something else is there that cannot be moved aside: %w", path, err), "unmount or move it")
	}
	if l.Aside != nil {
		l.Aside(path, to)
	}
	return nil
}

// MovedAside lists what was moved out of the way and is still there.
func (l Layout) MovedAside() (found []string) {
	for _, p := range Places {
		for _, path := range []string{p.Path, p.Link} {
			found = append(found, l.asideOf(path)...)
		}
	}
	return found
}

func (l Layout) asideOf(path string) (found []string) {
	if path == "" {
		return nil
	}
	parent, name := filepath.Split(path)
	entries, err := os.ReadDir(l.System.Path(parent))
	if err != nil {
		return nil // it is not there yet
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), name+asideMark) {
			found = append(found, parent+entry.Name())
		}
	}
	return found
}
