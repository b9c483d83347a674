package cert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

func TestImport(t *testing.T) {
	h := newHost(t, today)
	w := withACME(plainWish)
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	if _, err := h.keeper().Import(t.Context(), key, chain); !errors.Is(err, errNotYet) {
		t.Errorf("before the first walk Import says %v", err)
	}
	k := h.keeper()
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	h.cutAt(0)
	badKey, bad := h.ca.pair(lastYear, nextYear, "b.example")
	if _, err := k.Import(t.Context(), badKey, bad); err == nil || remedy.Of(err) == "" || len(h.cutAt(0)) > 0 {
		t.Errorf("of another name Import says %v", err)
	}
	c, err := k.Import(t.Context(), key, chain)
	if err != nil || c.Source != Imported || k.Status().SHA256 != c.SHA256 || h.changes() != 2 {
		t.Errorf("Import = %s, %v; changes: %d", c, err, h.changes())
	}
	h.cutAt(0)
	if again, err := k.Import(t.Context(), key, chain); err != nil || again.SHA256 != c.SHA256 || len(h.cutAt(0)) > 0 {
		t.Errorf("the same again = %s, %v", again, err)
	}
	h.settled(w, c)
	newerKey, newer := h.ca.pair(lastYear, nextYear, "a.example")
	if again, err := k.Import(t.Context(), newerKey, newer); err != nil || string(again.Chain) != string(newer) {
		t.Errorf("another = %s, %v", again, err)
	}
	w.Key, w.Chain = string(key), string(chain)
	if c, err := k.Ensure(t.Context(), w); err != nil || c.Source != Supplied {
		t.Errorf("supplied = %s, %v", c, err)
	}
	if _, err := k.Import(t.Context(), newerKey, newer); err == nil || !strings.Contains(err.Error(), "the environment supplies one") {
		t.Errorf("beside a supplied one Import says %v", err)
	}
}

func TestAWishIsNotShared(t *testing.T) {
	h := newHost(t, today)
	w := withACME(Wish{Names: []string{"a.example"}})
	k := h.keeper()
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	w.Names[0], w.ACME.Directory = "b.example", "x"
	if s := k.snapshot(); fmt.Sprint(s.wish.Names) != "[a.example]" || s.wish.ACME.Directory != directory {
		t.Errorf("the wish is now %v", s.wish.Names)
	}
}

func TestPlansOnlyLook(t *testing.T) {
	h := newHost(t, today)
	reader := New(Config{System: h.sys.Reader()})
	if why, err := reader.Missing(plainWish); why != "there is none for a.example that is valid" || err != nil {
		t.Errorf("Missing says %q, %v", why, err)
	}
	h.ensure(plainWish)
	if why, err := reader.Missing(plainWish); why != "" || err != nil {
		t.Errorf("Missing says %q, %v", why, err)
	}
	if _, err := reader.Ensure(t.Context(), Wish{Names: []string{"b.example"}}); !errors.Is(err, system.ErrReadOnly) {
		t.Errorf("Ensure says %v", err)
	}
}

func TestWithoutAName(t *testing.T) {
	h := newHost(t, today)
	if _, err := h.keeper().Ensure(t.Context(), Wish{}); err == nil || remedy.Of(err) == "" {
		t.Errorf("Ensure says %v", err)
	}
	if _, err := h.keeper().Missing(Wish{}); err == nil {
		t.Error("Missing says nothing")
	}
	if len(h.cutAt(0)) > 0 {
		t.Error("there are effects")
	}
}
