package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"appliance/internal/system"
)

var plain = cmpopts.IgnoreUnexported(Record{})

// generations saves two records and returns them, the older first. The newer one lies in slot 0.
func (h *host) generations() (before, newest Record) {
	h.t.Helper()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	before = Record{State: "prepare", On: "start", Since: at, Attempts: map[State]int{"prepare": 1}}
	newest = Record{State: "work", On: "done", Since: at.Add(time.Second), Attempts: map[State]int{"work": 2},
		Failure: &Failure{State: "work", Cause: "zürich <&> \"quoted\"", First: at, Last: at, Tries: 2},
		Data:    map[string]json.RawMessage{"journal": json.RawMessage(`{"steps":[1,2]}`)}}
	h.save(before)
	h.save(newest)
	return h.normal(before), h.normal(newest)
}

// normal is the record as Load answers it: its maps are never nil.
func (h *host) normal(rec Record) Record { return rec.clone() }

func TestTwoGenerationsAreKept(t *testing.T) {
	h := newTestHost(t)
	for i := range 5 {
		h.save(Record{State: State(fmt.Sprint("s", i))})
	}
	if got := h.load().State; got != "s4" {
		t.Errorf("Load answers %s, want the newest", got)
	}
	h.writeSlot(1, nil) // 5 is odd
	if got := h.load().State; got != "s3" {
		t.Errorf("without the newest Load answers %s, want the generation before", got)
	}
}

func TestNoRecordIsAnEmptyOne(t *testing.T) {
	h := newTestHost(t)
	rec := h.load()
	if diff := cmp.Diff(Record{Attempts: map[State]int{}}, rec, plain); diff != "" || h.warnings() != 0 {
		t.Errorf("with %d warnings:\n%s", h.warnings(), diff)
	}
}

func TestLoadTwiceIsTheSame(t *testing.T) {
	h := newTestHost(t)
	_, newest := h.generations()
	store := h.store()
	for range 2 {
		rec, err := store.Load()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(newest, rec, plain); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRecordsAreForTheirOwnerOnly(t *testing.T) {
	h := newTestHost(t)
	h.generations()
	for n := range 2 {
		info, err := os.Stat(h.slot(n))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("slot %d has mode %s", n, info.Mode())
		}
	}
}

// damaged loads with the newest slot replaced, and wants the generation before with a warning, or the whole newest.
func (h *host) damaged(data []byte, before, newest Record) error {
	h.writeSlot(0, data)
	warned := h.warnings()
	rec := h.load()
	switch warned = h.warnings() - warned; {
	case cmp.Equal(rec, newest, plain) && warned == 0:
		return nil
	case !cmp.Equal(rec, before, plain):
		return fmt.Errorf("Load answers neither generation but %+v", rec)
	case warned != 1:
		return fmt.Errorf("%d warnings for one damaged slot", warned)
	}
	return nil
}

func TestTornSlotFallsBack(t *testing.T) {
	h := newTestHost(t)
	before, newest := h.generations()
	whole := h.readSlot(0)
	intact := 0
	for n := range whole {
		if err := h.damaged(whole[:n], before, newest); err != nil {
			t.Errorf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
		if cmp.Equal(h.load(), newest, plain) {
			intact++
		}
	}
	if intact != 1 { // nothing but the newline at the end may be missed
		t.Errorf("%d of %d truncations passed for the whole record", intact, len(whole))
	}
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"zeros", make([]byte, len(whole))},
		{"zeros at the end", append(append([]byte{}, whole[:len(whole)/2]...), make([]byte, len(whole)/2)...)},
		{"twice", append(append([]byte{}, whole...), whole...)},
		{"another document", []byte("{}\n")},
		{"null", []byte("null\n")},
		{"no JSON", []byte("\x7fELF")},
		{"deeply nested", []byte(strings.Repeat("[", 1<<16))},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := h.damaged(test.data, before, newest); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFlippedBitsAreSeen(t *testing.T) {
	h := newTestHost(t)
	before, newest := h.generations()
	whole := h.readSlot(0)
	record := strings.Index(string(whole), `"record":`)
	for n := range whole {
		bit := n % 8 // each byte, and by and by each bit
		data := append([]byte{}, whole...)
		data[n] ^= 1 << bit
		if err := h.damaged(data, before, newest); err != nil {
			t.Errorf("bit %d of byte %d (%q): %v", bit, n, whole[n], err)
		}
		if n > record+len(`"record":`) && n < len(whole)-2 && cmp.Equal(h.load(), newest, plain) {
			t.Errorf("bit %d of byte %d (%q) of the record itself is not covered by the checksum", bit, n, whole[n])
		}
	}
}

func TestAnOlderSlotWithANewNumberIsSeen(t *testing.T) {
	h := newTestHost(t)
	_, newest := h.generations()
	forged := strings.Replace(string(h.readSlot(1)), `"sequence":1`, `"sequence":3`, 1)
	h.writeSlot(1, []byte(forged))
	if diff := cmp.Diff(newest, h.load(), plain); diff != "" || h.warnings() != 1 {
		t.Errorf("with %d warnings (-want +got):\n%s", h.warnings(), diff)
	}
}

func TestBothSlotsTornIsANewBeginning(t *testing.T) {
	h := newTestHost(t)
	h.generations()
	h.writeSlot(0, []byte("{"))
	h.writeSlot(1, nil)
	rec := h.load()
	if diff := cmp.Diff(Record{Attempts: map[State]int{}}, rec, plain); diff != "" || h.warnings() != 2 {
		t.Errorf("with %d warnings, want 2 (-want +got):\n%s", h.warnings(), diff)
	}
	h.save(Record{State: "work"})
	if got := h.load().State; got != "work" {
		t.Errorf("a save over torn slots is read as %q", got)
	}
}

func TestASlotThatIsADirectoryIsDamage(t *testing.T) {
	h := newTestHost(t)
	before, _ := h.generations()
	if err := errors.Join(os.Remove(h.slot(0)), os.Mkdir(h.slot(0), 0o700)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, h.load(), plain); diff != "" || h.warnings() != 1 {
		t.Errorf("with %d warnings (-want +got):\n%s", h.warnings(), diff)
	}
}

func TestNewerVersionFallsBack(t *testing.T) {
	h := newTestHost(t)
	before, newest := h.generations()
	newer := strings.Replace(string(h.readSlot(0)), `"version":1`, `"version":2`, 1)
	if err := h.damaged([]byte(newer), before, newest); err != nil {
		t.Error(err)
	}
	if cmp.Equal(h.load(), newest, plain) {
		t.Error("a record of version 2 was read")
	}
	if !strings.Contains(h.log.String(), "version 2, this program reads version 1") {
		t.Errorf("the warning does not say why: %s", &h.log)
	}
	h.save(Record{State: "older"})
	if got := h.load().State; got != "older" {
		t.Errorf("after the older program has saved, Load answers %q", got)
	}
}

// A newer program has written both slots, and the older one runs in between.
func TestWhatANewerVersionLeftIsOutbid(t *testing.T) {
	h := newTestHost(t)
	newer := func(data []byte) []byte {
		return []byte(strings.Replace(string(data), `"version":1`, `"version":2`, 1))
	}
	left := [2][]byte{newer(seal(t, 8, `{"state":"eight"}`)), newer(seal(t, 9, `{"state":"nine"}`))}
	h.writeSlot(0, left[0])
	h.writeSlot(1, left[1])
	if rec := h.load(); rec.State != "" || h.warnings() != 2 {
		t.Errorf("with %d warnings it reads %+v", h.warnings(), rec)
	}
	for i, state := range []State{"first", "second"} {
		h.save(Record{State: state})
		if got := h.load().State; got != state {
			t.Errorf("saved %q, read %q", state, got)
		}
		var slots [2]slotFile
		for n := range slots {
			if err := json.Unmarshal(h.readSlot(n), &slots[n]); err != nil {
				t.Fatal(err)
			}
		}
		if own := slots[i]; own.Version != Version || own.Sequence <= 9 || own.Sequence <= slots[1-i].Sequence {
			t.Errorf("after the upgrade what %s saved would not count: the slots have the versions and numbers %d.%d and %d.%d", state,
				slots[0].Version, slots[0].Sequence, slots[1].Version, slots[1].Sequence)
		}
	}
	h.writeSlot(0, newer(seal(t, math.MaxUint64, `{}`)))
	h.save(Record{State: "third"})
	if got := h.load().State; got != "third" {
		t.Errorf("over a number that has none after it %q is read", got)
	}
}

// A save cut at any effect leaves the record before or the new one, never else and never none.
func TestASaveCutAnywhere(t *testing.T) {
	run := func(cut int) (effects int) {
		h := newTestHost(t)
		_, old := h.generations()
		h.deny = func(e system.Effect) error {
			if effects++; effects == cut {
				return fmt.Errorf("cut before: %s", e)
			}
			return nil
		}
		store := h.store()
		if _, err := store.Load(); err != nil {
			t.Fatal(err)
		}
		fresh := h.normal(Record{State: "idle", On: "done"})
		err := store.Save(&fresh)
		h.deny = nil
		got := h.load()
		switch {
		case cut == 0 && err != nil:
			t.Fatal(err)
		case cut > 0 && err == nil:
			t.Errorf("cut at %d: Save says it is saved", cut)
		case err == nil && !cmp.Equal(got, fresh, plain), !cmp.Equal(got, fresh, plain) && !cmp.Equal(got, old, plain):
			t.Errorf("cut at %d: Load answers %+v", cut, got)
		}
		if h.warnings() > 0 {
			t.Errorf("cut at %d: a slot was torn: %s", cut, &h.log)
		}
		again := h.normal(Record{State: "work", On: "done"})
		if err := store.Save(&again); err != nil {
			t.Errorf("cut at %d: the next save fails: %v", cut, err)
		}
		if diff := cmp.Diff(again, h.load(), plain); diff != "" {
			t.Errorf("cut at %d: after the next save (-want +got):\n%s", cut, diff)
		}
		return effects
	}
	points := run(0)
	for cut := range points {
		run(cut + 1)
	}
	t.Logf("%d points", points)
}

func TestUnknownFieldsAreKept(t *testing.T) {
	h := newTestHost(t)
	body := `{"state":"work","on":"done","since":"2026-01-02T03:04:05Z","approval":{"by":"ops","n":12345678901234567890},"data":{"soak":{"left":"3h"}}}`
	h.writeSlot(1, seal(t, 1, body))
	for i := range 3 { // also a field that was read, written and read again
		rec := h.load()
		rec.State = State(fmt.Sprint("s", i))
		h.save(rec)
	}
	for n := range 2 {
		var file slotFile
		if err := json.Unmarshal(h.readSlot(n), &file); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"approval":{"by":"ops","n":12345678901234567890}`, `"soak":{"left":"3h"}`} {
			if !strings.Contains(string(file.Record), want) {
				t.Errorf("slot %d lost %s: %s", n, want, file.Record)
			}
		}
	}
	if got := h.load().State; got != "s2" {
		t.Errorf("state is %s", got)
	}
}

// A known field that is emptied must not come back from among the fields that were kept.
func TestEmptiedFieldsStayEmpty(t *testing.T) {
	h := newTestHost(t)
	full := Record{State: "a", On: "b", Since: time.Unix(1, 0).UTC(), Attempts: map[State]int{"a": 1}, Failure: &Failure{Cause: "c"},
		Data: map[string]json.RawMessage{"d": json.RawMessage("1")}}
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("this test does not fill the field %s", f.Name)
		}
	}
	h.save(full)
	rec := h.load()
	h.save(Record{extra: rec.extra})
	if diff := cmp.Diff(Record{Attempts: map[State]int{}}, h.load(), plain); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARecordThatWeMayNotReadIsAnError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	h := newTestHost(t)
	h.generations()
	if err := os.Chmod(h.slot(1), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store().Load(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Load says %v", err)
	}
}

// seal makes a slot of any record, as a program of another version might.
func seal(t testing.TB, seq uint64, record string) []byte {
	t.Helper()
	data, err := json.Marshal(slotFile{Format: format, Version: Version, Sequence: seq,
		Checksum: checksum(seq, []byte(record)), Record: json.RawMessage(record)})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"format":"appliance-record","version":1,"sequence":9,"checksum":"sha256:","record":{}}`), false)
	f.Add(seal(f, 9, `{"state":"work","attempts":{"work":1}}`), false)
	for _, record := range []string{`{"state":"work","since":"2026-01-02T03:04:05+01:00"}`, `null`, `[]`, `{"attempts":null,"data":null,"failure":{}}`,
		`{"attempts":{"a":-1},"x":{"y":"<"}}`, `{"STATE":"a","state":"b"}`, `{"data":{"a":"<\u003c"}}`} {
		f.Add([]byte(record), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		h := newTestHost(t)
		before := h.normal(Record{State: "before"})
		h.save(before) // slot 1
		if sealed {
			var compact json.RawMessage
			if json.Unmarshal(data, &compact) != nil {
				t.Skip("no JSON")
			}
			encoded, err := json.Marshal(compact) // as it is written
			if err != nil {
				t.Skip("no JSON")
			}
			data = seal(t, 8, string(encoded))
		}
		h.writeSlot(0, data)
		first := h.load()
		if h.warnings() > 0 && !cmp.Equal(first, before, plain) {
			t.Fatalf("a slot that is damaged was answered: %+v", first)
		}
		h.save(first)
		second := h.load()
		if first.State != second.State || !cmp.Equal(first.Attempts, second.Attempts) || !cmp.Equal(first.Failure, second.Failure) {
			t.Fatalf("saved %+v, read %+v", first, second)
		}
		h.save(second)
		if diff := cmp.Diff(second, h.load(), plain); diff != "" {
			t.Fatalf("(-saved +read):\n%s", diff)
		}
		if left, err := filepath.Glob(filepath.Join(h.root, "state", ".*")); err != nil || len(left) > 0 {
			t.Fatalf("left behind: %v %v", left, err)
		}
	})
}
