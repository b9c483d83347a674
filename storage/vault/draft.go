package vault

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// draft is a home as it is to be: the keys of the environment first, so that gpg takes them for their user IDs, then those
// that were in the home before.
type draft struct {
	public, secret []block
	files          map[string][]byte
	kept           map[string]string // files that are not ours: name there and name here
}

const trustOption = "trust-model always"

// newDraft plans the home for the keys of the environment, in the place of one at dir.
func newDraft(k keys, old contents, dir string) (draft, error) {
	d := draft{files: map[string][]byte{}, kept: map[string]string{}}
	old.complete()
	for _, k := range k.all() {
		secret := k.block.withSubkeysOf(old.secret)
		public, err := secret.public()
		if err != nil {
			return d, err
		}
		d.public = append(d.public, public.withSubkeysOf(old.public))
		d.secret = append(d.secret, secret)
	}
	d.addOthers(old)
	d.writeKeyFiles(k, old)
	for _, b := range d.public {
		d.files[publicRing] = append(d.files[publicRing], b.bytes()...)
	}
	for _, b := range d.secret {
		d.files[secretRing] = append(d.files[secretRing], b.bytes()...)
	}
	d.files[options] = []byte(withOption(old.options))
	d.keep(old, dir)
	return d, nil
}

// complete adds secrets that only gpg 2 had, for gpg 1.4.
func (c *contents) complete() {
	for _, b := range c.public {
		if indexOf(c.secret, b) < 0 {
			if secret, ok := b.unlockedBy(c.keyFiles); ok {
				c.secret = append(c.secret, secret)
			}
		}
	}
}

// unlockedBy makes a secret key of a public one and the files of gpg-agent. Subkeys without one are left out.
func (b block) unlockedBy(files map[string][]byte) (block, bool) {
	secret, skipping := block{}, false
	for i, p := range b {
		if p.tag == tagPublicKey || p.tag == tagPublicSubkey {
			m, err := readMaterial(p)
			ok := err == nil
			if ok {
				m, ok = m.unlockedBy(files[m.grip()])
			}
			if !ok && i == 0 {
				return nil, false
			}
			if skipping = !ok; ok {
				p = packet{p.tag - 1, m.secretBody()}
				if p.tag != tagSecretKey {
					p.tag = tagSecretSubkey
				}
			}
		}
		if !skipping && p.tag != tagTrust {
			secret = append(secret, p)
		}
	}
	return secret, true
}

// indexOf finds the key of a block in a ring.
func indexOf(ring []block, b block) int {
	fingerprint := fingerprintOf(b[0])
	return slices.IndexFunc(ring, func(other block) bool { return fingerprintOf(other[0]) == fingerprint })
}

// withSubkeysOf adds the subkeys that the same key has in a ring: what was encrypted to them must stay readable.
func (b block) withSubkeysOf(ring []block) block {
	i := indexOf(ring, b)
	if i < 0 {
		return b
	}
	known := map[string]bool{}
	for _, p := range b.keys() {
		known[fingerprintOf(p)] = true
	}
	b, adding := slices.Clone(b), false
	for _, p := range ring[i][1:] {
		if p.tag == tagPublicSubkey || p.tag == tagSecretSubkey {
			adding = !known[fingerprintOf(p)]
		}
		if adding && p.tag != tagTrust {
			b = append(b, p)
		}
	}
	return b
}

// addOthers adds what the environment does not have.
func (d *draft) addOthers(old contents) {
	for _, b := range old.public {
		if indexOf(d.public, b) < 0 {
			d.public = append(d.public, b)
		}
	}
	for _, b := range old.secret {
		if indexOf(d.secret, b) >= 0 {
			continue
		}
		d.secret = append(d.secret, b)
		if open, err := b.public(); err == nil && indexOf(d.public, b) < 0 {
			d.public = append(d.public, open)
		}
	}
}

// writeKeyFiles gives gpg-agent the secrets. Files that it has for other keys than the environment's stay as they are. Where it
// would lack some that are locked, gpg 2 is left to take them over by itself.
func (d *draft) writeKeyFiles(k keys, old contents) {
	ours := map[string]bool{}
	for _, key := range k.all() {
		for _, p := range key.block.keys() {
			ours[fingerprintOf(p)] = true
		}
	}
	lacking := false
	for _, b := range d.secret {
		for _, p := range b.keys() {
			m, err := readMaterial(p)
			_, there := old.keyFiles[m.gripOr(err)]
			switch {
			case err == nil && m.whole() && (!there || ours[m.fingerprint()]):
				d.files[keyFileName(m)] = m.keyFile()
			case !there:
				lacking = true
			}
		}
	}
	if !lacking {
		d.files[migratedMark] = nil
	}
}

func (m material) gripOr(err error) string {
	if err != nil {
		return ""
	}
	return m.grip()
}

func keyFileName(m material) string { return path.Join(keyDir, m.grip()+".key") }

// keep takes over what is not ours, what is in the way of ours under another name.
func (d *draft) keep(old contents, dir string) {
	taken := map[string]bool{}
	for _, e := range old.entries {
		taken[e.name] = true
	}
	for _, e := range old.entries {
		name := e.name
		if parent, moved := d.kept[path.Dir(name)]; moved {
			name = path.Join(parent, path.Base(name))
		}
		ours := d.written(e)
		switch {
		case slices.Contains(old.damaged, e.name):
			d.kept[e.name] = unused(taken, name+".damaged")
		case e.passing() || ours && (e.info.Mode().IsRegular() || e.name == keyDir && e.info.IsDir()):
		case ours || old.aside(dir, e):
			d.kept[e.name] = unused(taken, name+".before")
		default:
			d.kept[e.name] = name
		}
	}
}

func unused(taken map[string]bool, name string) string {
	for taken[name] {
		name += "~"
	}
	taken[name] = true
	return name
}

// withOption adds to somebody's gpg.conf what spares gpg the question whether it may trust the keys.
func withOption(text string) string {
	for line := range strings.Lines(text) {
		if strings.Join(strings.Fields(line), " ") == trustOption {
			return text
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + "# The appliance: what is in this home comes from its environment.\n" + trustOption + "\n"
}

// holds says whether a home has all that is planned for it, whatever else gpg has noted there.
func (d draft) holds(have contents) bool {
	if !slices.EqualFunc(d.public[:2], have.public[:min(2, len(have.public))], sameKey) || !slices.EqualFunc(d.secret[:2], have.secret[:min(2, len(have.secret))], sameKey) {
		return false // the environment's keys must come before others of the same names
	}
	for _, b := range d.public {
		if i := indexOf(have.public, b); i < 0 || !b.within(have.public[i]) {
			return false
		}
	}
	for _, b := range d.secret {
		if i := indexOf(have.secret, b); i < 0 || !b.within(have.secret[i]) {
			return false
		}
		for _, p := range b.keys() {
			m, err := readMaterial(p)
			if err != nil || d.files[keyFileName(m)] == nil {
				continue
			}
			if _, ok := m.unlockedBy(have.keyFiles[m.grip()]); !ok {
				return false
			}
		}
	}
	return withOption(have.options) == have.options
}

func sameKey(a, b block) bool { return fingerprintOf(a[0]) == fingerprintOf(b[0]) }

// within says whether the other block has every packet of this one.
func (b block) within(other block) bool {
	for _, p := range b {
		if p.tag != tagTrust && !slices.ContainsFunc(other, func(o packet) bool { return o.tag == p.tag && bytes.Equal(o.body, p.body) }) {
			return false
		}
	}
	return true
}

// untrusted is the block without what a ring has noted for itself.
func (b block) untrusted() block {
	return slices.DeleteFunc(slices.Clone(b), func(p packet) bool { return p.tag == tagTrust })
}
