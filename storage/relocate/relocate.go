// Package relocate moves a directory to another place, most often another file system, and leaves a link behind: stop who
// uses it, copy, read the copy back, put it into place, link, start them again; and later, when they have proved themselves there,
// take the old one away. From the first step to the
// last a journal on the root disk says how far it got, so that the power can fail at any instruction: what is at the old path is
// then either the old directory, whole and in force, or the link to the new one, whole and in force.
//
// It knows nothing of what it moves; which directories go where is for others to say.
package relocate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Move says what goes where.
type Move struct {
	From string // a directory, absolute on the host
	To   string // what it is to be; a link to it is left at From
	// Units are of systemd, and use what is at From. They and what depends on them are stopped, and those that were active are
	// started again. One that is not installed is none.
	Units []string
	// Apart says that the move is only worth it when To lies on another file system than From.
	Apart bool
}

func (m Move) String() string { return m.From + " to " + m.To }

// Units stops and starts units of a service manager.
type Units interface {
	// Active answers those of the units that are active, and others that are and would be stopped with them.
	Active(ctx context.Context, units []string) ([]string, error)
	// Stop returns when all of the units are down.
	Stop(ctx context.Context, units []string) error
	// Start returns when all of the units are up.
	Start(ctx context.Context, units []string) error
}

// Config is what a Relocator works with.
type Config struct {
	System *system.System
	Units  Units  // nil: nobody uses what is moved
	Dir    string // of the journals, on the root disk
	Log    *slog.Logger
	// Progress is told now and then how far a copy is; it may be nil.
	Progress func(m Move, done, total Size)
}

// Relocator moves directories. It does one move at a time.
type Relocator struct {
	Config
	endLimit time.Duration
}

// New returns a Relocator.
func New(c Config) *Relocator {
	if c.Progress == nil {
		c.Progress = func(Move, Size, Size) {}
	}
	return &Relocator{c, endLimit}
}

// Action is what a move comes to.
type Action string

// What a move may come to.
const (
	None   Action = ""       // it is done, or there is nothing to move
	Left   Action = "left"   // it has another place by somebody's will, or cannot be renamed: so be it
	Rename Action = "rename" // both places are on one file system
	Copy   Action = "copy"   // they are not
	Link   Action = "link"   // there is nothing but an empty directory, and something at the new place: only the link is missing
	GoOn   Action = "go on"  // with a move that was cut off
)

// Finding is what Look found, and why in words for the operator.
type Finding struct {
	Action Action
	Why    string
}

// Work says whether there is something to do.
func (f Finding) Work() bool { return f.Action != None && f.Action != Left }

// Look finds out what a move comes to. It changes nothing. An error says why it cannot be done as things are.
func (r *Relocator) Look(m Move) (Finding, error) {
	j, err := r.load(m)
	if err != nil {
		return Finding{}, err
	}
	if j.State != "" && j.State != inUse {
		return Finding{GoOn, fmt.Sprintf("the move of %s was cut off (%s)", m, j.State)}, nil
	}
	found, err := r.lookAfresh(m)
	if err == nil && j.State == inUse && found.Work() {
		err = r.movedBefore(m)
	}
	if err != nil {
		return Finding{}, fmt.Errorf("cannot move %s: %w", m, err)
	}
	return found, nil
}

func (r *Relocator) lookAfresh(m Move) (Finding, error) {
	kind, err := r.kindOf(m.From, m.To)
	switch {
	case err != nil:
		return Finding{}, err
	case kind == absent || kind == linked:
		return Finding{}, nil
	case kind == other:
		return r.linkedElsewhere(m)
	}
	mounts, err := r.System.MountsBelow(m.From)
	if err != nil {
		return Finding{}, err
	}
	if len(mounts) > 0 && mounts[0] == m.From {
		return Finding{Left, m.From + " is a file system of its own and stays where it is"}, nil
	}
	if err := r.apartInTree(m); err != nil {
		return Finding{}, err
	}
	if layered, err := r.layered(m.From); err != nil {
		return Finding{}, err
	} else if layered {
		return Finding{Left, m.From + " is part of the image below an overlay, which cannot rename it, and stays where it is"}, nil
	}
	same, err := r.oneFileSystem(m)
	if err != nil || same && m.Apart {
		return Finding{}, err
	}
	return r.lookAtTarget(m, same)
}

// lookAtTarget decides by what is at the new place.
func (r *Relocator) lookAtTarget(m Move, same bool) (Finding, error) {
	there, err := r.kindOf(m.To, "")
	if err != nil {
		return Finding{}, err
	}
	if there == other || there == linked {
		return Finding{}, remedy.With(fmt.Errorf("%s is no directory", m.To), "move it out of the way")
	}
	if there == directory {
		empty, err := r.isEmpty(m.To)
		if err != nil {
			return Finding{}, err
		}
		if !empty {
			return r.bothThere(m)
		}
	}
	if same {
		return Finding{Rename, fmt.Sprintf("%s is to be moved to %s", m.From, m.To)}, nil
	}
	return Finding{Copy, fmt.Sprintf("%s is to be moved to %s, which is another file system", m.From, m.To)}, nil
}

func (r *Relocator) bothThere(m Move) (Finding, error) {
	empty, err := r.isEmpty(m.From)
	if err != nil {
		return Finding{}, err
	}
	if empty {
		return Finding{Link, fmt.Sprintf("%s is empty and is to be a link to %s, which is not", m.From, m.To)}, nil
	}
	return Finding{}, remedy.With(fmt.Errorf("there is something in both"),
		fmt.Sprintf("see which of them is in force, and move the other out of the way (`mv %s %s.before`)", m.To, m.To))
}

// kind is what can be at a path.
type kind int

const (
	absent    kind = iota
	directory      // a real one, no link to one
	linked         // a link to where it should lead
	other          // a file, or a link that leads elsewhere
)

// kindOf looks at a path where a directory is expected, or a link to target.
func (r *Relocator) kindOf(path, target string) (kind, error) {
	info, err := r.System.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return other, fmt.Errorf("cannot look at %s: %w", path, err)
	case info.IsDir():
		return directory, nil
	case info.Mode()&fs.ModeSymlink == 0 || target == "":
		return other, nil
	}
	leads, err := r.System.Readlink(path)
	if err != nil {
		return other, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	if leads == r.System.Path(target) {
		return linked, nil
	}
	at, err := r.System.Place(path)
	if there, thereErr := r.System.Place(target); err == nil && thereErr == nil && at == there {
		return linked, nil // another way to the same place is as good
	}
	return other, nil
}

// linkedElsewhere leaves a link to a directory as it is: somebody has found another place for it.
func (r *Relocator) linkedElsewhere(m Move) (Finding, error) {
	leads, err := r.System.Readlink(m.From)
	if info, statErr := r.System.Stat(m.From); err == nil && statErr == nil && info.IsDir() {
		return Finding{Left, fmt.Sprintf("%s is a link to %s and stays as it is", m.From, leads)}, nil
	}
	return Finding{}, r.inTheWay(m)
}

func (r *Relocator) inTheWay(m Move) error {
	leads, err := r.System.Readlink(m.From)
	if err != nil {
		return remedy.With(fmt.Errorf("%s is no directory", m.From), "move it out of the way")
	}
	return remedy.With(fmt.Errorf("%s is a link to %s, where no directory is", m.From, leads), "mount that, or remove the link")
}

// since is how long something took, for people.
func (r *Relocator) since(began time.Time) time.Duration {
	return r.System.Now().Sub(began).Round(time.Millisecond)
}
