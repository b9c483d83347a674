package phases

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/systemd"
	"appliance/storage"
	"appliance/storage/relocate"
)

// relocations are the directories of the host's services that belong on volumes of the appliance, where it has any, and what
// somebody put where a link of the layout is to be before there was one.
func relocations(layout storage.Layout) (moves []relocate.Move) {
	for _, p := range storage.Places {
		if p.Moved() || layout.Strayed(p) {
			moves = append(moves, relocate.Move{From: p.Link, To: p.Path, Units: p.Units, Apart: p.Moved()})
		}
	}
	return moves
}

// relocationDir holds the journals of moves. It is on the root disk: they must be readable before any other is mounted.
const relocationDir = StateDir + "/relocations"

// relocationLimit is for all of them: a terabyte at the pace of a slow disk.
const relocationLimit = 12 * time.Hour

// relocateStep moves what is not yet where it belongs. It comes after the data was found to be the right one: a volume that is not
// mounted must not be taken for a small root disk; and before the layout, which moves aside what is in its way.
func relocateStep(w *walk) Step {
	m := mover{w}
	return Step{Name: "relocate", Check: m.unmoved, Apply: m.move, Plan: m.plan, Limit: relocationLimit}
}

type mover struct{ *walk }

func (m mover) relocator() *relocate.Relocator {
	cfg := relocate.Config{System: m.sys, Dir: relocationDir, Log: m.log, Progress: m.moved}
	if m.sys.Real() { // a directory that stands for a host has no units
		cfg.Units = systemd.Units{}
	}
	return relocate.New(cfg)
}

// moves are those of the table, and what earlier versions have begun.
func (m mover) moves() ([]relocate.Move, error) {
	all := relocations(storage.Layout{System: m.sys})
	begun, err := m.relocator().Begun()
	for _, b := range begun {
		if !slices.ContainsFunc(all, func(known relocate.Move) bool { return known.From == b.From }) {
			all = append(all, b)
		}
	}
	return all, err
}

// work lists the moves that are to be done, and what is found of each.
func (m mover) work() (work []relocate.Move, found []relocate.Finding, err error) {
	moves, err := m.moves()
	if err != nil {
		return nil, nil, err
	}
	for _, move := range moves {
		f, err := m.relocator().Look(move)
		if err != nil {
			return nil, nil, err
		}
		if f.Action == relocate.Left {
			m.log.Info(f.Why)
		}
		if f.Work() {
			work, found = append(work, move), append(found, f)
		}
	}
	return work, found, nil
}

func (m mover) unmoved(context.Context) (string, error) {
	work, found, err := m.work()
	if err != nil || len(work) == 0 {
		return "", err
	}
	why := found[0].Why
	if more := len(work) - 1; more > 0 {
		why = fmt.Sprintf("%s; %d more", why, more)
	}
	return why, nil
}

// move does one after the other; the first that fails is the end.
func (m mover) move(ctx context.Context) error {
	work, found, err := m.work()
	if err != nil {
		return err
	}
	for i, move := range work {
		if found[i].Action == relocate.Copy {
			if err := m.roomToMove(move); err != nil {
				return err
			}
		}
		if err := m.relocator().Move(ctx, move); err != nil {
			return err
		}
	}
	return nil
}

// roomToMove refuses a copy that would fit, and leave its volume without room for anything else.
func (m mover) roomToMove(move relocate.Move) error {
	volume := filepath.Dir(move.To)
	size, err := m.relocator().Measure(move)
	if err != nil {
		return err
	}
	space, err := m.sys.Space(volume)
	if err != nil {
		return err
	}
	return m.roomFor("move "+move.String(), volume, space, size.Bytes)
}

// movedStep takes away what moves have left at the old places, once the application has proved itself on the new ones.
func movedStep(w *walk) Step {
	m := mover{w}
	return Step{Name: "moved", Check: m.old, Apply: m.clear, Limit: relocationLimit}
}

func (m mover) old(context.Context) (string, error) {
	moves, err := m.moves()
	var old []string
	for _, move := range moves {
		if at, lookErr := m.relocator().Old(move); at != "" {
			old = append(old, at)
		} else {
			err = errors.Join(err, lookErr)
		}
	}
	if len(old) == 0 {
		return "", err
	}
	return "to be removed: " + strings.Join(old, ", "), err
}

func (m mover) clear(ctx context.Context) error {
	moves, err := m.moves()
	for _, move := range moves {
		err = errors.Join(err, m.relocator().Clear(ctx, move))
	}
	m.noteOld(err)
	return err
}

// plan tells how much is to be moved.
func (m mover) plan(context.Context) ([]api.Change, error) {
	work, found, err := m.work()
	var changes []api.Change
	for i, move := range work {
		why := found[i].Why
		if size, err := m.relocator().Measure(move); err == nil { // how much it is changes nothing of the plan
			why = fmt.Sprintf("%s: %s", why, size)
		}
		changes = append(changes, api.Change{Action: "move", Why: why})
	}
	return changes, err
}

// moved tells how far a move is.
func (m mover) moved(move relocate.Move, done, total relocate.Size) {
	m.progress(compose.Progress{Object: "moving " + move.String() + ":", Text: fmt.Sprintf("%d %% of %s", done.PercentOf(total), total)})
}
