package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// record is one line of the journal. Seq begins at 1 and has no gaps.
type record struct {
	Seq  int       `json:"seq"`
	Kind kind      `json:"kind"`
	Time time.Time `json:"time"`
}

type kind string

const (
	job   kind = "job"
	visit kind = "visit"
)

// totals is what the counter file holds and what /check answers.
type totals struct {
	Records int `json:"records"`
	Visits  int `json:"visits"`
}

// jobs is what is left of the records when the visits are taken away.
func (t totals) jobs() int { return t.Records - t.Visits }

func (t *totals) add(k kind) {
	t.Records++
	if k == visit {
		t.Visits++
	}
}

// A journal is an append-only file of records beside a counter that is
// replaced after each of them. The counter never runs ahead of the file, and
// the file is never more than one record ahead of the counter; anything else
// means that data was lost or rolled back in one of the two. A damaged journal
// takes no more records: they would grow over the gap and hide it.
//
// It is safe for concurrent use.
type journal struct {
	dir string
	now func() time.Time

	mu     sync.Mutex
	file   *os.File
	size   int64
	totals totals
	damage error
}

// openJournal opens the journal in dir and makes it on first use. What a crash
// leaves behind is mended with a message to log: a torn last line, which no
// client was ever told about, and a counter that is one record behind.
func openJournal(dir string, log io.Writer) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	j := &journal{dir: dir, now: time.Now}
	f, err := os.OpenFile(j.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	j.file = f
	if err := j.recover(log); err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) path() string { return filepath.Join(j.dir, "journal") }

func (j *journal) counterPath() string { return filepath.Join(j.dir, "counter") }

func (j *journal) recover(log io.Writer) error {
	text, err := os.ReadFile(j.path())
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if torn := len(text) - whole; torn > 0 {
		fmt.Fprintf(log, "demo: store: cut off a torn last line of %d bytes\n", torn)
		if err := errors.Join(j.file.Truncate(int64(whole)), j.file.Sync()); err != nil {
			return err
		}
	}
	j.size = int64(whole)
	counter, err := j.readCounter()
	if err != nil {
		return err
	}
	if j.totals, j.damage = verify(text[:whole], counter); j.damage != nil {
		fmt.Fprintln(log, "demo: store: damaged, takes no more records:", j.damage)
		return nil
	}
	if j.totals != counter {
		fmt.Fprintf(log, "demo: store: counter was one behind, now %d records\n", j.totals.Records)
		return j.writeCounter(j.totals)
	}
	return syncDir(j.dir)
}

// append adds one record and answers once it is on disk.
func (j *journal) append(k kind) (totals, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.damage != nil {
		return j.totals, j.damage
	}
	line, err := json.Marshal(record{Seq: j.totals.Records + 1, Kind: k, Time: j.now().UTC()})
	if err != nil {
		return j.totals, err
	}
	line = append(line, '\n')
	next := j.totals
	next.add(k)
	if err := j.write(line, next); err != nil {
		return j.totals, errors.Join(err, j.takeBack())
	}
	j.size += int64(len(line))
	j.totals = next
	return next, nil
}

func (j *journal) write(line []byte, next totals) error {
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	return j.writeCounter(next)
}

// takeBack removes a record that failed half-way: nobody was told that it
// exists. The counter needs no writing, which a full disk would refuse: its
// rename is the last thing that can fail.
func (j *journal) takeBack() error {
	err := errors.Join(j.file.Truncate(j.size), j.file.Sync())
	counter, readErr := j.readCounter()
	if err == nil && readErr == nil && counter == j.totals {
		return nil
	}
	j.damage = errors.Join(errors.New("a record that failed could not be taken back"), err, readErr)
	return j.damage
}

// check reads both files again, so that damage done behind the store's back
// is seen as well.
func (j *journal) check() (totals, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.damage != nil {
		return j.totals, j.damage
	}
	text, err := os.ReadFile(j.path())
	if err != nil {
		return totals{}, err
	}
	counter, err := j.readCounter()
	if err != nil {
		return totals{}, err
	}
	found, err := verify(text, counter)
	if err == nil && found != j.totals {
		err = fmt.Errorf("%d records on disk, %d were written", found.Records, j.totals.Records)
	}
	return found, err
}

func (j *journal) stats() totals {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.totals
}

// verify counts the records of a journal and holds them against the counter.
func verify(text []byte, counter totals) (totals, error) {
	var found, before totals
	for line := range bytes.Lines(text) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return found, fmt.Errorf("line %d is no record: %w", found.Records+1, err)
		}
		if want := found.Records + 1; r.Seq != want {
			return found, fmt.Errorf("gap in the sequence: %d follows %d", r.Seq, found.Records)
		}
		before = found
		found.add(r.Kind)
	}
	if counter != found && counter != before {
		return found, fmt.Errorf("counter says %d records and %d visits, journal has %d and %d",
			counter.Records, counter.Visits, found.Records, found.Visits)
	}
	return found, nil
}

// readCounter answers zero for a counter that is not there; verify then tells
// a new store from one that has lost its counter.
func (j *journal) readCounter() (totals, error) {
	var t totals
	text, err := os.ReadFile(j.counterPath())
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("cannot read %s: %w", j.counterPath(), err)
	}
	return t, nil
}

func (j *journal) writeCounter(t totals) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.counterPath()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), j.counterPath()); err != nil {
		return err
	}
	return syncDir(j.dir)
}

// syncDir makes the names in dir durable, not only what the files hold.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
