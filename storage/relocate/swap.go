package relocate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// mayGoOn refuses what no try of a move leaves behind.
func (t *moving) mayGoOn(now kind) error {
	switch {
	case now == other:
		return remedy.With(fmt.Errorf("%s is not the directory any more that the move began with", t.From),
			fmt.Sprintf("bring that back, or, to forget the move, remove %s", t.journalPath(t.From)))
	case now == absent && t.journal.State != swapping:
		return remedy.With(fmt.Errorf("%s has gone since the move began", t.From),
			fmt.Sprintf("bring it back (%s is a copy of it that may not be whole); or, to forget the move, remove %s", copyOf(t.Move), t.journalPath(t.From)))
	case now == directory && t.journal.State == done:
		return t.movedBefore(t.Move)
	}
	if kind, err := t.kindOf(oldOf(t.Move), t.To); err != nil || kind == absent || kind == linked || t.journal.State == swapping {
		return err
	}
	return remedy.With(fmt.Errorf("%s is in the way", oldOf(t.Move)), "see what it is, most likely of an earlier move, and move it away")
}

func (r *Relocator) movedBefore(m Move) error {
	return remedy.With(fmt.Errorf("it was moved, and now there is a directory at %s again", m.From),
		fmt.Sprintf("see which of both is in force and move the other out of the way, then remove %s", r.journalPath(m.From)))
}

// takeBack undoes what a try that was cut off before From was a link has put into place: users have worked on From since, so
// that nothing of it may be taken for whole.
func (t *moving) takeBack() error {
	if kind, err := t.kindOf(oldOf(t.Move), t.To); err != nil {
		return err
	} else if kind == linked {
		if err := t.System.Remove(oldOf(t.Move)); err != nil {
			return err
		}
	}
	if leads, err := t.System.Readlink(t.To); err == nil && leads == t.System.Path(t.To) { // a link that waits to be exchanged
		return t.System.Remove(t.To)
	}
	if t.journal.Action != Copy || t.journal.New == "" {
		return nil
	}
	placed, err := t.System.Place(t.To)
	if err != nil || placed.Identity != t.journal.New {
		return nil //nolint:nilerr // whatever is there, or not, is not ours to take back
	}
	return t.System.Rename(t.To, copyOf(t.Move))
}

// rename moves within one file system: a link takes the new place, and changes places with the directory.
func (t *moving) rename(ctx context.Context) error {
	if err := t.System.Remove(t.To); err != nil { // there is nothing, or an empty directory
		return err
	}
	if err := t.identify(t.From); err != nil {
		return err
	}
	t.journal.State = placing
	if err := t.save(t.journal); err != nil {
		return err
	}
	if err := t.System.Symlink(t.System.Path(t.To), t.To); err != nil {
		return err
	}
	return t.exchange(ctx, t.To)
}

// link replaces an empty directory by a link to what is at To.
func (t *moving) link(ctx context.Context) error {
	if empty, err := t.isEmpty(t.From); err != nil {
		return err
	} else if !empty {
		return fmt.Errorf("%s was empty, and is not any more", t.From)
	}
	if err := t.identify(t.To); err != nil {
		return err
	}
	t.journal.State = placing
	if err := t.save(t.journal); err != nil {
		return err
	}
	return t.swap(ctx)
}

// swap puts the link to To in the place of From, whose directory then has a name beside it.
func (t *moving) swap(ctx context.Context) error {
	if err := t.System.Symlink(t.System.Path(t.To), oldOf(t.Move)); err != nil {
		return err
	}
	return t.exchange(ctx, oldOf(t.Move))
}

// exchange lets the link that is at a path and the directory at From change places: in one step where the file system can. They change back
// if somebody has come to the directory at the last moment.
func (t *moving) exchange(ctx context.Context, with string) error {
	err := t.System.Exchange(with, t.From)
	switch {
	case errors.Is(err, system.ErrNoExchange):
		err = t.exchangeInTwo(ctx, with)
	case err == nil:
		if err = t.asCopied(ctx, with); err != nil {
			err = errors.Join(err, t.System.Exchange(with, t.From))
		}
	}
	if err != nil { // of the exchange, or of the sync after it
		now, kindErr := t.kindOf(t.From, t.To)
		t.between = kindErr != nil || now != directory
	}
	return err
}

// exchangeInTwo leaves a moment without anything at From. The journal knows.
func (t *moving) exchangeInTwo(ctx context.Context, with string) error {
	if err := t.System.Remove(with); err != nil {
		return err
	}
	t.journal.State = swapping
	if err := t.save(t.journal); err != nil {
		return err
	}
	if err := t.System.Rename(t.From, with); err != nil {
		return err
	}
	if err := t.asCopied(ctx, with); err != nil {
		return errors.Join(err, t.System.Rename(with, t.From))
	}
	return t.System.Symlink(t.System.Path(t.To), t.From)
}

// asCopied fails when the old directory, which has another name by now, is not as it was copied, or somebody is there who may still change it: who came
// between the last look and the exchange would work on what is to be removed.
func (t *moving) asCopied(ctx context.Context, old string) error {
	if t.copied == nil { // it was not
		return nil
	}
	if err := t.unused(ctx, old); err != nil {
		return err
	}
	return t.copied.unchangedAt(ctx, old)
}

// finishSwap goes on with an exchange in two steps, if its first was taken. What users have made at From meanwhile, as it was gone, is
// set aside: it may be something, and it is not what was there.
func (t *moving) finishSwap(ctx context.Context, now kind) (finished bool, err error) {
	with := oldOf(t.Move)
	if t.journal.Action == Rename {
		with = t.To
	}
	if moved, err := t.System.Place(with); err != nil || moved.Identity != t.journal.Old {
		if now == absent {
			return false, fmt.Errorf("%s has gone, and is not at %s", t.From, with)
		}
		return false, nil //nolint:nilerr // the first step was not taken
	}
	if err := t.stop(ctx); err != nil {
		return false, err
	}
	if now == directory {
		if err := t.unused(ctx, t.From); err != nil {
			return false, err
		}
		if err := t.setAside(); err != nil {
			return false, err
		}
	}
	return true, t.System.Symlink(t.System.Path(t.To), t.From)
}

func (t *moving) setAside() error {
	empty, err := t.isEmpty(t.From)
	if err != nil {
		return err
	}
	if empty {
		return t.System.Remove(t.From)
	}
	aside := filepath.Clean(t.From) + t.System.Now().UTC().Format(".20060102-150405")
	t.Log.Warn(fmt.Sprintf("something was made at %s while the move of %s was cut off: it is now %s", t.From, t.Move, aside),
		"todo", "see whether it is of use, and remove it")
	return t.System.Rename(t.From, aside)
}
