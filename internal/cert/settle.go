package cert

import (
	"bytes"
	"fmt"
)

// addition is a pair that has come in.
type addition struct {
	pair
	forced bool
}

// settle walks the ladder and leaves the host as it should be. The caller holds walk.
func (k *Keeper) settle(w Wish, extra *addition) (Certificate, error) {
	if len(w.Names) == 0 {
		return Certificate{}, errNoName
	}
	v, err := k.survey()
	if err != nil {
		return Certificate{}, err
	}
	if extra != nil {
		if _, err := k.store.add(&v, extra.pair, extra.forced); err != nil {
			return Certificate{}, err
		}
	}
	c, passedOver := choose(v, w, k.config.System.Now())
	g, err := k.take(&v, c, w)
	if err == nil {
		err = k.store.link() // before a first one is in force: then all names appear at once
	}
	if err == nil {
		err = k.store.point(&v, g)
	}
	if err != nil {
		return Certificate{}, err
	}
	if err := k.store.prune(&v); err != nil {
		k.config.Log.Warn("cannot take away old certificates", "err", err) // they do no harm
	}
	c.have = &g
	k.see(v, c, passedOver)
	k.publish()
	return g.Certificate, nil
}

// survey looks at the store and mends it: what was cut off goes, what another program has put there is taken over.
func (k *Keeper) survey() (survey, error) {
	v, err := k.store.look()
	if err != nil {
		return survey{}, err
	}
	for dir, damage := range v.damaged {
		k.config.Warn(fmt.Sprintf("The certificate in %s/%s is no longer what was stored there: %v", storeDir, dir, damage))
	}
	if err := k.store.tidy(&v); err != nil {
		return survey{}, err
	}
	if !v.dhStands {
		if err := k.config.System.WriteFile(dhPath, v.dh, 0o644); err != nil {
			return survey{}, err
		}
	}
	for _, p := range v.altered {
		if _, err := k.store.adoptPair(&v, p); err != nil {
			return survey{}, err
		}
	}
	return v, k.store.adopt(&v)
}

// take answers the generation of a choice; it is stored where it is a new one.
func (k *Keeper) take(v *survey, c choice, w Wish) (generation, error) {
	switch {
	case c.have != nil && bytes.Equal(c.have.dh, v.dh):
		return *c.have, nil
	case c.have != nil:
		return k.store.again(v, *c.have)
	case c.add != nil:
		return k.store.add(v, *c.add, false)
	}
	p, err := selfSigned(w.Names, k.config.System.Now())
	if err != nil {
		return generation{}, err
	}
	return k.store.add(v, p, false)
}

// see notes what is in force, and tells it where it is another one.
func (k *Keeper) see(v survey, c choice, passedOver error) {
	now := k.config.System.Now()
	before := k.snapshot().inForce
	k.update(func(s *state) {
		s.inForce, s.chosen, s.passedOver = c.have, c.chosen, passedOver
		s.own, s.ended = v.renewable(s.wish, now), v.ended(s.wish, now)
	})
	if before == nil || !bytes.Equal(before.Key, c.have.Key) || !bytes.Equal(before.Chain, c.have.Chain) {
		k.config.Changed(c.have.Certificate)
	}
	k.warn()
}
