package relocate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
	"appliance/storage"
)

// copyOf is where a copy grows until it is whole, beside To.
func copyOf(m Move) string { return beside(m.To, ".relocating") }

// oldOf is where the old directory ends up, beside From; before, the link waits there.
func oldOf(m Move) string { return beside(m.From, ".relocated") }

func beside(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}

// moving is one try of a move.
type moving struct {
	*Relocator
	Move
	journal journal
	stopped bool     // the units are down
	started bool     // they are up again
	found   measured // what is at From
	copied  *copier  // what was copied, to be held against what the old directory is in the end
	between bool     // it is not known which directory is found after a power cut: nobody may write now
}

// Move does what Look finds, save for taking the old directory away. When it returns with an error, the units run again on the old directory, unless the error says
// otherwise. After any error, cut or crash it can be called again.
func (r *Relocator) Move(ctx context.Context, m Move) (err error) {
	found, err := r.Look(m)
	if err != nil || !found.Work() {
		return err
	}
	t := &moving{Relocator: r, Move: m}
	if t.journal, err = r.load(m); err != nil {
		return err
	}
	if found.Action != GoOn {
		t.journal = journal{From: m.From, To: m.To, Action: found.Action}
	}
	defer func() {
		if startErr := t.startAgain(ctx); startErr != nil {
			err = errors.Join(err, startErr)
		}
	}()
	if err := t.run(ctx); err != nil {
		return t.explain(err)
	}
	return nil
}

// explain names the move, and gives the numbers when the target is full.
func (t *moving) explain(err error) error {
	todo := remedy.Of(err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		if space, spaceErr := t.System.Space(t.existing(filepath.Dir(t.To))); spaceErr == nil {
			err = fmt.Errorf("%w: of %s, with %s free now", err, storage.Bytes(t.journal.Size.Bytes), storage.Bytes(space.Free))
		}
		todo = fmt.Sprintf("free space at %s, or make it larger", filepath.Dir(t.To))
	}
	err = fmt.Errorf("cannot move %s: %w", t.Move, err)
	if todo == "" {
		return err
	}
	return remedy.With(err, todo)
}

// run goes on from where the journal says that the move is.
func (t *moving) run(ctx context.Context) error {
	now, err := t.kindOf(t.From, t.To)
	if err != nil {
		return err
	}
	if now != linked {
		if moved, err := t.becomeLink(ctx, now); !moved || err != nil {
			return err
		}
	}
	if err := t.settle(); err != nil {
		return err
	}
	if err := t.startAgain(ctx); err != nil {
		return err
	}
	t.journal.State = inUse
	return t.save(t.journal)
}

// becomeLink takes the directory at From to To, and leaves the link. What is at From is in force until then. It answers false
// when nothing is to be moved any more.
func (t *moving) becomeLink(ctx context.Context, now kind) (moved bool, err error) {
	if err := t.mayGoOn(now); err != nil {
		return false, err
	}
	if t.journal.State == swapping {
		if finished, err := t.finishSwap(ctx, now); finished || err != nil {
			return finished, err
		}
	}
	if err := t.takeBack(); err != nil {
		return false, err
	}
	if wanted, err := t.begin(ctx); !wanted || err != nil {
		return false, err
	}
	switch t.journal.Action {
	case Rename:
		err = t.rename(ctx)
		if !errors.Is(err, unix.EXDEV) {
			return err == nil, err
		}
		t.Log.Info("the file system does not move this directory: it is copied", "err", err) // an overlay, of one of its lower layers
		if err = t.takeBack(); err == nil {
			err = t.fits(t.Move, t.found)
		}
		if err != nil {
			return false, err
		}
		t.journal.Action = Copy
	case Link:
		return true, t.link(ctx)
	}
	err = t.copy(ctx)
	return err == nil, err
}

// begin puts on record that the move begins, stops who uses it and looks that nobody does. It answers false when there is nothing
// to move any more.
func (t *moving) begin(ctx context.Context) (bool, error) {
	same, err := t.oneFileSystem(t.Move)
	if err != nil {
		return false, err
	}
	if t.journal.Apart && same {
		return false, remedy.With(fmt.Errorf("%s is not on the file system that the move began to", t.To),
			fmt.Sprintf("mount it at %s; or, to forget the move, remove %s", filepath.Dir(t.To), t.journalPath(t.From)))
	}
	if t.journal.State != "" { // things may have changed since
		found, err := t.lookAfresh(t.Move)
		if err != nil {
			return false, err
		}
		if !found.Work() {
			return false, t.abandon(ctx)
		}
		t.journal.Action = found.Action
	}
	if t.found, err = t.measure(t.From); err == nil && t.journal.Action == Copy {
		err = t.fits(t.Move, t.found)
	}
	if err != nil {
		return false, err
	}
	size := t.found.Size
	t.journal.Size, t.journal.Began, t.journal.State = size, t.System.Now(), copying
	t.journal.New, t.journal.Old, t.journal.Apart = "", "", !same
	t.Log.Info("moving "+t.Move.String(), "by", string(t.journal.Action), "files", size.Files, "bytes", size.Bytes)
	if t.found.project != "" && t.journal.Action == Copy {
		t.Log.Warn("quotas of projects are not carried over", "first", t.found.project, "todo", "set them on "+t.To+" again, where they are needed")
	}
	if err := t.stop(ctx); err != nil {
		return false, err
	}
	return true, t.unused(ctx, t.From)
}

// copy moves to another file system.
func (t *moving) copy(ctx context.Context) error {
	c := &copier{sys: t.System, from: t.From, to: copyOf(t.Move)}
	stopTelling := t.tell(ctx, c)
	err := c.copyTree(ctx)
	t.journal.Whole = t.System.Now()
	if err == nil {
		err = c.compare(ctx)
	}
	stopTelling()
	if err != nil {
		return t.giveUp(ctx, err)
	}
	if err := t.unused(ctx, t.From); err != nil {
		return err
	}
	if err := t.identify(copyOf(t.Move)); err != nil {
		return err
	}
	t.journal.State = placing
	if err := t.save(t.journal); err != nil {
		return err
	}
	if err := t.System.Rename(copyOf(t.Move), t.To); err != nil { // over an empty directory, if there is one
		return err
	}
	t.copied = c
	return t.swap(ctx)
}

// identify notes what is to be told from everything else later: the directories at From, and at the place that is to be To.
func (t *moving) identify(target string) error {
	old, err := t.System.Place(t.From)
	if err != nil {
		return err
	}
	placed, err := t.System.Place(target)
	if err != nil {
		return err
	}
	t.journal.Old, t.journal.New = old.Identity, placed.Identity
	return nil
}

// giveUp takes the copy away where it is in others' way: a volume that is full is full for all. Any other is gone on with.
func (t *moving) giveUp(ctx context.Context, err error) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	if gone := t.abandon(ctx); gone != nil {
		return errors.Join(err, gone)
	}
	return err
}

// abandon forgets a move that has come to nothing. Who uses From goes on with it, and need not wait until the copy is gone.
func (t *moving) abandon(ctx context.Context) error {
	if err := t.startAgain(ctx); err != nil {
		return err
	}
	if err := (removal{sys: t.System}).tree(ctx, copyOf(t.Move)); err != nil {
		return err
	}
	return t.forget(t.Move)
}

// settle puts on record that From is a link for good.
func (t *moving) settle() error {
	t.between = true
	if err := t.System.SyncDirs(filepath.Dir(t.From), filepath.Dir(t.To)); err != nil { // the exchange may not have got as far
		return err
	}
	placed, err := t.System.Place(t.To)
	if err != nil {
		return remedy.With(fmt.Errorf("%s leads nowhere: %w", t.From, err), "mount what "+t.To+" is on")
	}
	if t.journal.New != "" && placed.Identity != t.journal.New {
		return remedy.With(fmt.Errorf("%s is not the directory that was put there", t.To),
			fmt.Sprintf("see what is mounted there (`findmnt -T %s`); or, if all is well, remove %s", t.To, t.journalPath(t.From)))
	}
	if t.journal.State != done {
		t.journal.State = done
		if err := t.save(t.journal); err != nil {
			return err
		}
		t.Log.Info("moved "+t.Move.String(), "by", string(t.journal.Action), "files", t.journal.Size.Files, "bytes", t.journal.Size.Bytes,
			"took", t.since(t.journal.Began))
	}
	t.between = false
	return nil
}

// Old answers where old directories are that Clear would take away.
func (r *Relocator) Old(m Move) (string, error) {
	j, err := r.load(m)
	if err != nil || j.State != inUse {
		return "", err
	}
	return oldOf(m), nil
}

// Clear takes the old directory of a move away, and what may be left of copies. Before it returns without an error there is a
// way back: `mv` of the old one over the link. Where it is not sure that it is what was moved, it stays.
func (r *Relocator) Clear(ctx context.Context, m Move) error {
	j, err := r.load(m)
	if err != nil || j.State != inUse {
		return err
	}
	if now, err := r.kindOf(m.From, m.To); err != nil {
		return err
	} else if now != linked {
		return r.movedBefore(m)
	}
	if err := (removal{sys: r.System}).tree(ctx, copyOf(m)); err != nil {
		return err
	}
	if err := r.clearOld(ctx, m, j); err != nil {
		return err
	}
	return r.forget(m)
}

func (r *Relocator) clearOld(ctx context.Context, m Move, j journal) error {
	old := oldOf(m)
	if !r.System.Exists(old) {
		return nil
	}
	if left, err := r.System.Place(old); err != nil || j.New == "" || left.Identity != j.Old {
		return remedy.With(fmt.Errorf("cannot remove %s: it may not be the directory that was moved", old), "see what it is, and move it away")
	}
	if j.Action == Link {
		return r.System.Remove(old) // it was empty, or it stays
	}
	if err := r.abandoned(old, j.Whole); err != nil {
		return err
	}
	return removal{sys: r.System}.tree(ctx, old)
}

// tellEvery is how often the progress of a copy is told, unless it stays the same.
const tellEvery = 2 * time.Second

// tell tells how far a copy is, percent by percent, until the result is called.
func (t *moving) tell(ctx context.Context, c *copier) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for told := uint64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := Size{c.files.Load(), min(c.done.Load(), t.journal.Size.Bytes)}
			if percent := now.PercentOf(t.journal.Size); percent != told {
				told = percent
				t.Progress(t.Move, now, t.journal.Size)
			}
		}
	}()
	return func() { cancel(); <-ended }
}
