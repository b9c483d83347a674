package cert

import (
	"bytes"
	"fmt"
	"time"
)

// choice is what the ladder takes: a generation at hand, or a pair that is to be added; or neither, then one is to be made.
type choice struct {
	have *generation
	add  *pair
	// chosen says that a person has given it, so that no authority is asked while it lasts.
	chosen bool
	why    string // where there is work
}

// rung says whether a generation that has not expired belongs on it.
type rung func(g *generation) bool

// supplied answers the pair that w brings, or why it cannot be used now.
func supplied(w Wish, now time.Time) (*pair, error) {
	if !w.supplies() {
		return nil, nil
	}
	p, err := decode([]byte(w.Key), []byte(w.Chain))
	if err == nil {
		err = refuse(p, w.Names, now)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the supplied certificate: %w", err)
	}
	p.Source = Supplied
	return &p, nil
}

// choose walks down the ladder. The second result says why a supplied pair was passed over.
func choose(v survey, w Wish, now time.Time) (choice, error) {
	given, passedOver := supplied(w, now)
	if given != nil {
		if g := v.first(now, func(g *generation) bool { return g.same(*given) }); g != nil {
			return choice{have: g, chosen: true}, nil
		}
		return choice{add: given, chosen: true, why: "the environment supplies another one"}, nil
	}
	if g := v.first(now, v.imported(w)); g != nil {
		return choice{have: g, chosen: true}, passedOver
	}
	if g := v.first(now, issuedFor(w), trusted(w), madeByUs(w, now)); g != nil {
		return choice{have: g}, passedOver
	}
	return choice{why: "there is none for " + nameOf(w) + " that is valid"}, passedOver
}

// first answers the newest generation of the highest rung that has one. Whether its time has come is not asked: it was
// good when it was stored, so that a clock that says otherwise is wrong.
func (v survey) first(now time.Time, rungs ...rung) *generation {
	for _, belongs := range rungs {
		for i := range v.generations {
			if g := &v.generations[i]; g.NotAfter.After(now) && belongs(g) {
				return g
			}
		}
	}
	return nil
}

// imported is the rung of what operators have imported, unless somebody has asked an authority in its place since.
func (v survey) imported(w Wish) rung {
	var forced uint64
	for _, g := range v.generations {
		if g.forced {
			forced = max(forced, g.sequence)
		}
	}
	return func(g *generation) bool { return g.Source == Imported && g.sequence > forced && g.covers(w.Names) }
}

// issuedFor is the rung of what the authority of w has issued for all of its names.
func issuedFor(w Wish) rung {
	return func(g *generation) bool {
		return w.ACME != nil && g.Source == Issued && g.Authority == w.ACME.Directory && g.covers(w.Names)
	}
}

// trusted is the rung of whatever somebody vouches for and that is at least for the domain.
func trusted(w Wish) rung {
	return func(g *generation) bool {
		return g.Source != SelfSigned && weak(g.leaf) == nil && len(w.Names) > 0 && g.covers(w.Names[:1])
	}
}

// madeByUs is the lowest rung. Nobody needs a certificate of ours to last, so that one that a wrong clock has made goes.
func madeByUs(w Wish, now time.Time) rung {
	return func(g *generation) bool {
		return g.Source == SelfSigned && weak(g.leaf) == nil && g.covers(w.Names) &&
			!g.NotBefore.After(now) && g.NotAfter.Sub(now) > selfSignedEarly
	}
}

func nameOf(w Wish) string {
	if len(w.Names) == 0 {
		return "a site without a name"
	}
	return w.Names[0]
}

// why says what settle would do, or "".
func (v survey) why(c choice) string {
	switch {
	case c.have == nil:
		return c.why
	case v.current != c.have.dir:
		return fmt.Sprintf("the %s one takes its place", c.have.Source)
	case v.unlinked:
		return "other programs are not led to it"
	case !v.dhStands:
		return "there are no good DH parameters"
	case !bytes.Equal(c.have.dh, v.dh):
		return "the host has other DH parameters"
	case v.surplus():
		return "what is no longer needed is taken away"
	case len(v.litter) > 0:
		return "something was cut off"
	}
	return ""
}
