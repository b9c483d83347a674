package cert

// Glance answers what could be shown at once for w, without a change of the host: what is at hand, what w supplies, or one
// that we have signed ourselves and forget.
func (k *Keeper) Glance(w Wish) (Certificate, error) {
	k.walk.Lock()
	defer k.walk.Unlock()
	now := k.config.System.Now()
	if v, err := k.store.look(); err == nil { // a store that cannot be read is for Ensure to tell of
		switch c, _ := choose(v, w, now); {
		case c.have != nil:
			return c.have.Certificate, nil
		case c.add != nil:
			return c.add.Certificate, nil
		}
	}
	p, err := selfSigned(w.Names, now)
	return p.Certificate, err
}
