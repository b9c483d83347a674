package cert

import (
	"strings"
	"testing"
	"time"

	"appliance/internal/cert/acme"
)

const directory = "https://ca.example/directory"

var plainWish = Wish{Names: []string{"a.example"}}

func withACME(w Wish) Wish {
	w.ACME = &acme.Settings{Directory: directory}
	return w
}

// lay stores a certificate as if it had come at the time of the host's clock.
func (h *host) lay(source Source, from, to time.Time, names ...string) {
	h.t.Helper()
	p, err := decode(h.ca.pair(from, to, names...))
	must(h.t, err)
	p.Source = source
	if source == Issued {
		p.Authority = directory
	}
	s := store{h.sys}
	v, err := s.look()
	must(h.t, err)
	_, err = s.add(&v, p, false)
	must(h.t, err)
}

func TestTheLadder(t *testing.T) {
	tomorrow, yesterday := today.AddDate(0, 0, 1), today.AddDate(0, 0, -1)
	supplied := func(h *host, from, to time.Time, names ...string) Wish {
		key, chain := h.ca.pair(from, to, names...)
		return withACME(Wish{Names: []string{"a.example"}, Key: string(key), Chain: string(chain)})
	}
	for _, test := range []struct {
		name    string
		prepare func(h *host) Wish
		want    Source
		names   string
	}{
		{"nothing", func(*host) Wish { return plainWish }, SelfSigned, "a.example"},
		{"nothing, for several names", func(*host) Wish {
			return Wish{Names: []string{"a.example", "*.a.example", "192.0.2.1", "2001:db8::1", "localhost"}}
		}, SelfSigned, "a.example *.a.example localhost 192.0.2.1 2001:db8::1"},
		{"supplied beats all", func(h *host) Wish {
			h.lay(Issued, yesterday, nextYear, "a.example")
			h.lay(Imported, yesterday, nextYear, "a.example")
			return supplied(h, yesterday, tomorrow, "a.example")
		}, Supplied, "a.example"},
		{"supplied has expired", func(h *host) Wish {
			h.lay(Issued, yesterday, nextYear, "a.example")
			h.lay(Imported, yesterday, nextYear, "a.example")
			return supplied(h, lastYear, yesterday, "a.example")
		}, Imported, "a.example"},
		{"supplied is not for the site", func(h *host) Wish { return supplied(h, lastYear, nextYear, "b.example") }, SelfSigned, "a.example"},
		{"supplied cannot be read", func(*host) Wish { return Wish{Names: []string{"a.example"}, Key: "x"} }, SelfSigned, "a.example"},
		{"imported beats what is newer", func(h *host) Wish {
			h.lay(Imported, yesterday, nextYear, "a.example")
			h.lay(Issued, yesterday, nextYear, "a.example")
			return withACME(plainWish)
		}, Imported, "a.example"},
		{"imported has expired", func(h *host) Wish {
			h.lay(Imported, lastYear, yesterday, "a.example")
			h.lay(Issued, lastYear, tomorrow, "a.example")
			return withACME(plainWish)
		}, Issued, "a.example"},
		{"imported is not for all names", func(h *host) Wish {
			h.lay(Issued, lastYear, nextYear, "a.example", "b.example")
			h.lay(Imported, lastYear, nextYear, "a.example")
			return withACME(Wish{Names: []string{"a.example", "b.example"}})
		}, Issued, "a.example b.example"},
		{"at hand, for the domain only", func(h *host) Wish {
			h.lay(Issued, lastYear, tomorrow, "a.example")
			return withACME(Wish{Names: []string{"a.example", "b.example"}})
		}, Issued, "a.example"},
		{"at hand, without the domain", func(h *host) Wish {
			h.lay(Issued, lastYear, tomorrow, "b.example")
			return withACME(Wish{Names: []string{"a.example", "b.example"}})
		}, SelfSigned, "a.example b.example"},
		{"at hand, no authority may be asked", func(h *host) Wish {
			h.lay(Issued, lastYear, tomorrow, "a.example")
			return plainWish
		}, Issued, "a.example"},
		{"at hand, once supplied", func(h *host) Wish {
			h.lay(Supplied, lastYear, tomorrow, "a.example")
			return withACME(plainWish)
		}, Supplied, "a.example"},
		{"of the authority that is asked now", func(h *host) Wish {
			h.lay(Issued, lastYear, tomorrow, "a.example")
			h.lay(Adopted, lastYear, nextYear, "a.example")
			return withACME(plainWish)
		}, Issued, "a.example"},
		{"adopted", func(h *host) Wish {
			h.lay(Adopted, lastYear, tomorrow, "a.example")
			return withACME(plainWish)
		}, Adopted, "a.example"},
		{"its time has not come: the clock is wrong", func(h *host) Wish {
			h.lay(Issued, nextYear, nextYear.AddDate(1, 0, 0), "a.example")
			return withACME(plainWish)
		}, Issued, "a.example"},
		{"self-signed, about to end", func(h *host) Wish {
			h.lay(SelfSigned, lastYear, today.Add(selfSignedEarly-time.Hour), "a.example")
			return plainWish
		}, SelfSigned, "a.example"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, today)
			w := test.prepare(h)
			if why, err := h.keeper().Missing(w); why == "" || err != nil {
				t.Errorf("before it Missing says %q, %v", why, err)
			}
			c := h.ensure(w)
			if c.Source != test.want || strings.Join(c.Names, " ") != test.names {
				t.Errorf("it takes the %s", c)
			}
			if c.Source == SelfSigned && (c.NotAfter.Sub(c.NotBefore) >= selfSignedLife || c.NotAfter.Sub(today) < 365*24*time.Hour) {
				t.Errorf("it lasts from %s to %s", c.NotBefore, c.NotAfter)
			}
			h.settled(w, c)
		})
	}
}

// settled fails the test if there is still something to do, or if a second walk does anything.
func (h *host) settled(w Wish, c Certificate) {
	h.t.Helper()
	h.cutAt(0)
	if why, err := h.keeper().Missing(w); why != "" || err != nil {
		h.t.Errorf("after it Missing says %q, %v", why, err)
	}
	k := h.keeper()
	if again, err := k.Ensure(h.t.Context(), w); err != nil || again.SHA256 != c.SHA256 {
		h.t.Errorf("a second walk takes the %s, %v", again, err)
	}
	if status := k.Status(); status.SHA256 != c.SHA256 {
		h.t.Errorf("the status is of the %s", status)
	}
	if effects := h.cutAt(0); len(effects) > 0 {
		h.t.Errorf("nothing is to do, and yet: %v", effects)
	}
	before := h.changes()
	k = h.keeper()
	k.Wish(w)
	if status := k.Status(); status.SHA256 != c.SHA256 || h.changes() != before+1 {
		h.t.Errorf("after a start the status is of the %s", status)
	}
}

func TestNamesThatAreTooLongForACommonName(t *testing.T) {
	name := strings.Repeat("a", 60) + ".example"
	if c := newHost(t, today).ensure(Wish{Names: []string{name}}); c.Names[0] != name {
		t.Errorf("it takes the %s", c)
	}
}

func TestAClockThatIsWrongTakesNothingAway(t *testing.T) {
	h := newHost(t, today)
	w := withACME(plainWish)
	h.lay(Issued, lastYear, nextYear, "a.example")
	issued := h.ensure(w)
	for _, clock := range []time.Time{time.Unix(0, 0), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1e8, 0), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC), lastYear} {
		h.setClock(clock)
		c := h.ensure(w)
		if clock.Before(today) && c.SHA256 != issued.SHA256 {
			t.Errorf("in %d it takes the %s", clock.Year(), c)
		}
		h.setClock(today)
		if c := h.ensure(w); c.SHA256 != issued.SHA256 {
			t.Errorf("after %d it takes the %s", clock.Year(), c)
		}
	}
	fresh := newHost(t, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	future := fresh.ensure(plainWish)
	fresh.setClock(today)
	if c := fresh.ensure(plainWish); c.SHA256 == future.SHA256 {
		t.Errorf("one of the year 2099 stays: %s", c)
	}
}
