package cert

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"appliance/internal/system"
)

// Where everything lies. The directories can be entered by everybody, because programs without rights read the chain
// through the links; keys have the mode 0600 from their first byte on.
const (
	etcDir     = "/data/etc"
	storeDir   = etcDir + "/cert"
	currentDir = storeDir + "/current" // a link to the generation in force
	foundDir   = storeDir + "/found"   // what was in the way of our links and could not be used
	stageDir   = storeDir + "/.new"    // a generation that is not whole yet
	trashDir   = storeDir + "/.old"    // one that is being taken away
	dhPath     = etcDir + "/dhparam.pem"
)

// links lead other programs to the generation in force. They are relative, so that they hold in a container that has /data/etc
// at another place, and all of them go through one link, so that nobody ever sees a key with the certificate of another.
var links = [...]struct{ path, target string }{
	{etcDir + "/server.key.pem", "cert/current/" + keyFile},
	{etcDir + "/server.cert.pem", "cert/current/" + chainFile},
	{etcDir + "/server.cert.dhparam.pem", "cert/current/" + bundleFile},
}

// store keeps generations. It is not safe for concurrent use.
type store struct{ sys *system.System }

// add makes p the newest generation, which nothing leads to yet.
func (s *store) add(v *survey, p pair, forced bool) (generation, error) {
	return s.put(v, generation{pair: p, made: s.sys.Now().UTC(), forced: forced})
}

// again makes g the newest generation, with the DH parameters that the host has now.
func (s *store) again(v *survey, g generation) (generation, error) {
	g.forced = g.forced && !slices.ContainsFunc(v.generations, func(other generation) bool { return other.Source == Imported && other.sequence > g.sequence })
	return s.put(v, g)
}

func (s *store) put(v *survey, g generation) (generation, error) {
	g.dh, g.sequence, g.dir = v.dh, v.last+1, dirName(v.last+1, g.pair)
	files, err := g.files()
	if err == nil {
		err = s.removeTree(stageDir)
	}
	if err == nil {
		err = s.sys.Mkdir(stageDir, 0o755)
	}
	for _, name := range []string{keyFile, chainFile, bundleFile, madeFile} {
		mode := fs.FileMode(0o644)
		if name == keyFile {
			mode = 0o600
		}
		if err == nil {
			err = s.sys.WriteFile(path.Join(stageDir, name), files[name], mode)
		}
	}
	if err == nil {
		err = s.sys.Rename(stageDir, path.Join(storeDir, g.dir))
	}
	if err != nil {
		return generation{}, fmt.Errorf("cannot store the certificate: %w", err)
	}
	v.last++
	v.generations = slices.Insert(v.generations, 0, g)
	return g, nil
}

// point puts g in force, for all programs at once.
func (s *store) point(v *survey, g generation) error {
	if v.current == g.dir {
		return nil
	}
	if err := s.swap(g.dir, currentDir); err != nil {
		return err
	}
	v.current = g.dir
	return nil
}

// link leads the other programs to the generation in force.
func (s *store) link() error {
	for _, link := range links {
		if s.linked(link.path, link.target) {
			continue
		}
		if err := s.swap(link.target, link.path); err != nil {
			return err
		}
	}
	return nil
}

// swap puts a link in place of whatever is at name. What a cut leaves has a name that the next look knows.
func (s *store) swap(target, name string) error {
	fresh := beside(name)
	if err := s.sys.Remove(fresh); err != nil {
		return err
	}
	if err := s.sys.Symlink(target, fresh); err != nil {
		return err
	}
	return s.sys.Rename(fresh, name)
}

func beside(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+".new") }

func (s *store) linked(name, target string) bool {
	got, err := s.sys.Readlink(name)
	return err == nil && got == target
}

// tidy takes away what a cut has left.
func (s *store) tidy(v *survey) error {
	for _, place := range v.litter {
		if err := s.removeTree(place); err != nil {
			return err
		}
	}
	v.litter = nil
	return nil
}

// prune takes away all generations but the one in force and one to fall back to.
func (s *store) prune(v *survey) error {
	kept, gone := v.kept()
	for _, dir := range gone {
		if err := s.sys.Rename(path.Join(storeDir, dir), trashDir); err != nil { // so that a cut leaves no half of one
			return err
		}
		if err := s.removeTree(trashDir); err != nil {
			return err
		}
	}
	v.generations, v.damaged = kept, nil
	return nil
}

// removeTree takes away what is at place. It follows no links: those that a cut leaves lead to what is in use.
func (s *store) removeTree(place string) error {
	if info, err := os.Lstat(s.sys.Path(place)); err == nil && info.IsDir() {
		entries, err := os.ReadDir(s.sys.Path(place))
		if err != nil {
			return fmt.Errorf("cannot remove %s: %w", place, err)
		}
		for _, entry := range entries {
			if err := s.removeTree(path.Join(place, entry.Name())); err != nil {
				return err
			}
		}
	}
	return s.sys.Remove(place)
}
