package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

const homeMode fs.FileMode = 0o700

// place is where the home lies, and what is beside it while another one takes its place.
type place struct {
	home    string
	fresh   string // made, but not in place
	old     string // no longer in place; who has it mounted goes on with it until the new one is in use
	journal string // there while a file system that cannot exchange two names is between them
}

// place follows a link that an operator has put at the home's path, as the layout does.
func (h Home) place() (place, error) {
	home := HomePath
	if _, err := h.System.Readlink(HomePath); err == nil {
		real, err := filepath.EvalSymlinks(h.System.Path(HomePath))
		if err == nil {
			home, err = h.below(real)
		}
		if err != nil {
			return place{}, remedy.With(fmt.Errorf("cannot find the keys of the storage vault: %w", err), "make "+HomePath+" a directory, or a link to one")
		}
	}
	beside := func(what string) string { return path.Join(path.Dir(home), "."+path.Base(home)+".vault-"+what) }
	return place{home, beside("new"), beside("old"), beside("swap")}, nil
}

// interrupted says whether a change has been cut off.
func (h Home) interrupted() bool {
	p, err := h.place()
	return err == nil && (h.System.Exists(p.fresh) || h.System.Exists(p.journal))
}

// swap puts the new home in the place of the old one, which stays beside it until Forget: an application that runs has that mounted, and would
// be without keys for as long as it takes to replace it, or for good where that fails.
func (h Home) swap(p place) error {
	exchange := h.System.Exchange
	if h.exchange != nil {
		exchange = h.exchange
	}
	err := exchange(p.fresh, p.home)
	switch {
	case errors.Is(err, system.ErrNoExchange) || errors.Is(err, fs.ErrNotExist):
		return h.swapByTwo(p)
	case err != nil:
		return p.explain(err)
	}
	return h.System.Rename(p.fresh, h.free(p.old+"-"))
}

// swapByTwo takes two renames for it, where there is nothing to exchange or no way to.
func (h Home) swapByTwo(p place) error {
	if h.System.Exists(p.old) && !h.System.Exists(p.journal) { // of a change before
		if err := h.System.Rename(p.old, h.free(p.old+"-")); err != nil {
			return err
		}
	}
	if err := h.System.WriteFile(p.journal, nil, 0o600); err != nil { // from here on, what is new is whole
		return err
	}
	return h.recover()
}

// outlived lists the homes whose successors are in place.
func (h Home) outlived() (homes []string, err error) {
	p, err := h.place()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(h.System.Path(path.Dir(p.old)))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), path.Base(p.old)) {
			homes = append(homes, path.Join(path.Dir(p.old), e.Name()))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return homes, err
}

// Outlived says whether a home of before is still there.
func (h Home) Outlived() bool {
	homes, _ := h.outlived()
	return len(homes) > 0
}

// Forget takes away the homes of before, once nobody uses them any more.
func (h Home) Forget() error {
	homes, err := h.outlived()
	for _, home := range homes {
		err = errors.Join(err, h.System.RemoveTree(home))
	}
	return err
}

// explain says what to do about a home that is a file system of its own.
func (p place) explain(err error) error {
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		return remedy.With(err, "mount what is at "+p.home+" at "+path.Dir(p.home)+" instead: the keys are replaced as a whole, which a mount point cannot be")
	}
	return err
}

// recover goes on where a change was cut off, so that the old home or the new one is in place as a whole, and nothing half made beside it.
func (h Home) recover() error {
	p, err := h.place()
	if err != nil {
		return err
	}
	if h.System.Exists(p.journal) {
		if err := h.step(p); err != nil {
			return err
		}
		if err := h.System.Remove(p.journal); err != nil {
			return err
		}
	}
	return h.System.RemoveTree(p.fresh) // not whole, or the one that was in place before
}

// step takes the two renames that stand for the exchange, or those that are still to be taken. Between them somebody may have made
// a home in the gap, which is kept.
func (h Home) step(p place) error {
	if !h.System.Exists(p.fresh) {
		return nil
	}
	if entries, err := os.ReadDir(h.System.Path(p.home)); err == nil && len(entries) == 0 {
		if err := h.System.Remove(p.home); err != nil {
			return err
		}
	}
	if h.System.Exists(p.home) {
		to := p.old
		if h.System.Exists(p.old) {
			to = h.free(p.home + ".found-")
		}
		if err := h.System.Rename(p.home, to); err != nil {
			return err
		}
	}
	return h.System.Rename(p.fresh, p.home)
}

// free answers a name that nothing has.
func (h Home) free(prefix string) string {
	for n := 1; ; n++ {
		if name := prefix + strconv.Itoa(n); !h.System.Exists(name) {
			return name
		}
	}
}
