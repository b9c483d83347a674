package cert

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"appliance/internal/remedy"
)

// survey is what lies in the store.
type survey struct {
	generations []generation // that are whole, the newest first
	damaged     map[string]error
	altered     []pair // that somebody has written through our links
	last        uint64 // the highest number in use
	current     string // where the link leads, "" is nowhere
	litter      []string
	unlinked    bool // a link for other programs is missing or something else
	dh          []byte
	dhStands    bool
}

// look answers what lies in the store. It changes nothing.
func (s *store) look() (survey, error) {
	v := survey{damaged: map[string]error{}}
	entries, err := os.ReadDir(s.sys.Path(storeDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return survey{}, fmt.Errorf("cannot look at the certificates: %w", err)
	}
	for _, entry := range entries {
		if err := v.take(s, entry.Name()); err != nil {
			return survey{}, err
		}
	}
	slices.SortFunc(v.generations, func(a, b generation) int { return cmp.Compare(b.sequence, a.sequence) })
	v.current, _ = s.sys.Readlink(currentDir) // none, or no link: it leads nowhere
	for _, link := range links {
		v.unlinked = v.unlinked || !s.linked(link.path, link.target)
		if fresh := beside(link.path); s.sys.Exists(fresh) {
			v.litter = append(v.litter, fresh)
		}
	}
	v.dh, v.dhStands, err = s.readDH()
	return v, err
}

// take adds one entry of the store's directory.
func (v *survey) take(s *store, name string) error {
	place := path.Join(storeDir, name)
	if place == stageDir || place == trashDir || place == beside(currentDir) {
		v.litter = append(v.litter, place)
		return nil
	}
	sequence, ok := sequenceOf(name)
	if !ok {
		return nil
	}
	v.last = max(v.last, sequence)
	g, err := s.read(name)
	switch {
	case err == nil:
		v.generations = append(v.generations, g)
	case errors.Is(err, errAltered):
		v.altered = append(v.altered, g.pair)
		v.damaged[name] = err
	case errors.Is(err, errDamaged), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		v.damaged[name] = err
	case errors.Is(err, fs.ErrPermission):
		return remedy.With(fmt.Errorf("cannot read the certificate in %s: %w", place, err), "run it as root")
	default: // too many open files, a disk that does not answer: no reason to take it away
		return remedy.Passing(fmt.Errorf("cannot read the certificate in %s: %w", place, err))
	}
	return nil
}

// reserve names the generation to fall back to: the newest with another pair than the one in force that somebody vouches
// for, whatever it is worth by the clock, which may be wrong; if there is none, the newest.
func (v survey) reserve() string {
	var current pair
	if i := slices.IndexFunc(v.generations, func(g generation) bool { return g.dir == v.current }); i >= 0 {
		current = v.generations[i].pair
	}
	newest := ""
	for _, g := range v.generations {
		switch {
		case g.same(current):
		case g.Source != SelfSigned:
			return g.dir
		case newest == "":
			newest = g.dir
		}
	}
	return newest
}

// kept lists the generations that stay, and the names of those that go.
func (v survey) kept() (kept []generation, gone []string) {
	reserve := v.reserve()
	for _, g := range v.generations {
		if g.dir == v.current || g.dir == reserve {
			kept = append(kept, g)
		} else {
			gone = append(gone, g.dir)
		}
	}
	for dir := range v.damaged {
		gone = append(gone, dir)
	}
	return kept, gone
}

// surplus says whether prune has something to do.
func (v survey) surplus() bool {
	_, gone := v.kept()
	return len(gone) > 0
}
