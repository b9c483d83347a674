// Package storage gives the appliance's data its place: what must last below /data, what can be made again below
// /volatile, and links from where the application looks for it.
package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// App is the numeric user that applications run as, in containers and on the host.
const App = 1000

// Dir is a directory of the layout.
type Dir struct {
	Path  string
	Perm  fs.FileMode
	Owner int // numeric user and group
}

// Link is a symbolic link of the layout.
type Link struct{ Path, Target string }

// Dirs are the directories of every appliance, parents first.
var Dirs = []Dir{
	{"/data", 0o755, 0},
	{"/data/etc", 0o755, 0},
	{"/data/etc/tags", 0o755, 0},
	{"/data/etc/flags", 0o755, 0},
	{"/data/etc/hooks", 0o755, 0},
	{"/data/ecs-ca", 0o700, App},
	{"/data/ecs-gpg", 0o700, App},
	{"/data/ecs-pgdump", 0o750, App},
	{"/data/ecs-storage-vault", 0o750, App},
	{"/volatile", 0o755, 0},
	{"/volatile/ecs-backup-test", 0o750, App},
	{"/volatile/ecs-cache", 0o755, App},
	{"/volatile/redis", 0o755, App},
	{"/app", 0o755, 0},
}

// Links lead from where the application and its operators look to where the data lies.
var Links = []Link{
	{"/app/etc", "/data/etc"},
	{"/app/ecs-ca", "/data/ecs-ca"},
	{"/app/ecs-gpg", "/data/ecs-gpg"},
	{"/app/ecs-storage-vault", "/data/ecs-storage-vault"},
	{"/app/ecs-cache", "/volatile/ecs-cache"},
}

// Layout makes Dirs, Links and the ID on a host.
type Layout struct{ System *system.System }

// Missing lists what of the layout is not as it should be.
func (l Layout) Missing() ([]string, error) {
	var missing []string
	for _, dir := range Dirs {
		if ok, err := l.dirStands(dir); err != nil {
			return nil, err
		} else if !ok {
			missing = append(missing, dir.Path)
		}
	}
	for _, link := range Links {
		if ok, err := l.linkStands(link); err != nil {
			return nil, err
		} else if !ok {
			missing = append(missing, link.Path)
		}
	}
	if id, err := l.ID(); err != nil {
		return nil, err
	} else if id == "" {
		missing = append(missing, IDPath)
	}
	return missing, nil
}

// Make puts in place what is missing. It moves and removes no data.
func (l Layout) Make() error {
	for _, dir := range Dirs {
		if err := l.makeDir(dir); err != nil {
			return err
		}
	}
	for _, link := range Links {
		if err := l.makeLink(link); err != nil {
			return err
		}
	}
	return l.makeID()
}

func (l Layout) dirStands(dir Dir) (bool, error) {
	info, err := l.System.Stat(dir.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && l.System.Exists(dir.Path):
		return false, remedy.With(fmt.Errorf("cannot use %s: it is a link that leads nowhere", dir.Path), "mount or make what it leads to, or remove it")
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot look at %s: %w", dir.Path, err)
	case !info.IsDir():
		return false, remedy.With(fmt.Errorf("cannot use %s: it is no directory", dir.Path), "move it out of the way")
	}
	return true, nil
}

func (l Layout) makeDir(dir Dir) error {
	if ok, err := l.dirStands(dir); ok || err != nil {
		return err // an existing directory keeps the owner and mode that somebody chose
	}
	owner := dir.Owner
	if os.Geteuid() != 0 { // only root gives away
		owner = -1
	}
	return l.System.MakeDir(dir.Path, dir.Perm, owner)
}

func (l Layout) linkStands(link Link) (bool, error) {
	if !l.System.Exists(link.Path) {
		return false, nil
	}
	taken := fmt.Errorf("cannot link %s to %s: something else is there", link.Path, link.Target)
	target, err := l.System.Readlink(link.Path)
	if err != nil {
		if entries, err := os.ReadDir(l.System.Path(link.Path)); err == nil && len(entries) == 0 {
			return false, nil // an empty directory gives way
		}
		return false, remedy.With(taken, fmt.Sprintf("move its content to %s and remove it", link.Target))
	}
	switch target {
	case l.System.Path(link.Target):
		return true, nil
	case link.Target: // as seen from within our root
		return false, nil
	}
	there, err := l.System.Stat(link.Path)
	if errors.Is(err, fs.ErrNotExist) { // an operator's own, to what is not mounted
		return false, remedy.With(taken, fmt.Sprintf("it is a link to %s, where nothing is: mount that, or remove the link", target))
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", link.Path, err)
	}
	if ours, err := l.System.Stat(link.Target); err == nil && os.SameFile(there, ours) {
		return true, nil
	}
	return false, remedy.With(taken, fmt.Sprintf("it is a link to %s: mount that at %s or move its content there, and remove the link", target, link.Target))
}

func (l Layout) makeLink(link Link) error {
	if ok, err := l.linkStands(link); ok || err != nil {
		return err
	}
	if _, err := l.System.Readlink(link.Path); err != nil {
		if err := l.System.Remove(link.Path); err != nil {
			return err
		}
	}
	return l.System.Symlink(l.System.Path(link.Target), link.Path)
}
