package relocate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"appliance/internal/remedy"
	"appliance/storage"
)

// state is how far a move has come. It is on the disk before it is entered.
type state string

const (
	// copying: what is at From is in force. There may be a copy, of which nothing is known.
	copying state = "copying"
	// placing: what is at From is in force until it is a link; then that. The copy was whole as long as nobody used From.
	placing state = "placing"
	// swapping is placing where names cannot be exchanged in one step: From may be gone, and then is to be a link.
	swapping state = "swapping"
	// done: From is a link, durably. The units are to be started on it.
	done state = "linked"
	// inUse: they run on the new directory. What is left is to take the old one away.
	inUse state = "in use"
)

// journalVersion is that of the format.
const journalVersion = 1

// journal is what is known of a move that has begun.
type journal struct {
	Version int       `json:"version"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	State   state     `json:"state"`
	Action  Action    `json:"action"`         // rename, copy or link
	Apart   bool      `json:"apart"`          // the places were on different file systems
	Units   []string  `json:"units"`          // that were active before, to be started again
	Began   time.Time `json:"began"`          // of the last try
	Size    Size      `json:"size"`           // that was moved, once that is known
	New     string    `json:"new,omitempty"`  // identity of the directory that is to be at To
	Old     string    `json:"old,omitempty"`  // and of the one that was at From
	Whole   time.Time `json:"whole,omitzero"` // when all was copied: what is newer at Old is nowhere else
	Damaged bool      `json:"-"`              // it could not be read: nothing else is known
}

// Size is how much there is.
type Size struct {
	Files uint64 `json:"files"` // of every kind, directories too
	Bytes uint64 `json:"bytes"` // on the disk, hard links counted once
}

func (s Size) String() string { return fmt.Sprintf("%d files, %s", s.Files, storage.Bytes(s.Bytes)) }

// PercentOf answers how much of a whole this is, by bytes.
func (s Size) PercentOf(whole Size) uint64 {
	if whole.Bytes == 0 {
		return 100
	}
	return min(s.Bytes*100/whole.Bytes, 100)
}

func (r *Relocator) journalPath(from string) string {
	return filepath.Join(r.Dir, strings.ReplaceAll(strings.Trim(from, "/"), "/", "-")+".json")
}

// load reads the journal of a move; without one its State is "". One that cannot be read stands for a move that has begun and of
// which nothing is known.
func (r *Relocator) load(m Move) (journal, error) {
	path := r.journalPath(m.From)
	data, err := r.System.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return journal{}, nil
	}
	if err != nil {
		return journal{}, fmt.Errorf("cannot read the journal of the move of %s: %w", m, err)
	}
	var j journal
	if err := json.Unmarshal(data, &j); err != nil || j.Version == 0 {
		return journal{Version: journalVersion, From: m.From, To: m.To, State: copying, Damaged: true}, nil
	}
	if j.Version > journalVersion {
		return j, remedy.With(fmt.Errorf("cannot go on with the move of %s: its journal %s was written by a newer version", m, path), "install that version again")
	}
	if j.From != m.From || j.To != m.To {
		return j, remedy.With(fmt.Errorf("cannot move %s: %s tells of a move of %s to %s", m, path, j.From, j.To),
			"see what is at these places; without the file that move is forgotten")
	}
	return j, nil
}

func (r *Relocator) save(j journal) error {
	j.Version = journalVersion
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the journal of a move: %w", err)
	}
	return r.System.WriteFile(r.journalPath(j.From), append(data, '\n'), 0o600)
}

func (r *Relocator) forget(m Move) error { return r.System.Remove(r.journalPath(m.From)) }

// Begun lists the moves that journals tell of, whoever asked for them.
func (r *Relocator) Begun() ([]Move, error) {
	entries, err := os.ReadDir(r.System.Path(r.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list moves that were cut off: %w", err)
	}
	var moves []Move
	for _, entry := range entries {
		data, err := r.System.ReadFile(filepath.Join(r.Dir, entry.Name()))
		var j journal
		if err != nil || !strings.HasSuffix(entry.Name(), ".json") || json.Unmarshal(data, &j) != nil || j.From == "" || j.To == "" {
			continue // of a damaged one only who knows the move can make something
		}
		moves = append(moves, Move{From: j.From, To: j.To, Units: slices.Clone(j.Units)})
	}
	return moves, nil
}
