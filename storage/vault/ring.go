package vault

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

// Ring is the keys with which documents are sealed and opened. It is not safe for concurrent use: the library notes what it has
// found out about keys.
type Ring struct {
	entities      openpgp.EntityList // with their secrets, where there are any
	encrypt, sign *openpgp.Entity
	now           func() time.Time
}

var errNoVault = errors.New("cannot use the storage vault: there are no keys in " + HomePath)

// Ring reads the keys of the home.
func (h Home) Ring() (*Ring, error) {
	c, err := readContents(h.dir())
	if err != nil {
		return nil, remedy.With(err, "run it as root")
	}
	r := newRing(c, h.System.Now)
	if r.encrypt == nil || r.sign == nil {
		return nil, remedy.With(errNoVault, "put ecs."+EncryptKey+" and ecs."+SignKey+" into the environment and start the appliance")
	}
	return r, nil
}

func newRing(c contents, now func() time.Time) *Ring {
	c.complete()
	r := &Ring{now: now}
	for _, b := range c.secret {
		r.add(b)
	}
	for _, b := range c.public {
		if indexOf(c.secret, b) < 0 {
			r.add(b)
		}
	}
	return r
}

// add takes a key that the library can read. The first of a name is the one that seals.
func (r *Ring) add(b block) {
	e, err := openpgp.ReadEntity(pgppacket.NewReader(bytes.NewReader(b.bytes())))
	if err != nil {
		return
	}
	r.entities = append(r.entities, e)
	if r.encrypt == nil && hasUser(b.userIDs(), encryptUser) {
		r.encrypt = e
	}
	if r.sign == nil && e.PrivateKey != nil && hasUser(b.userIDs(), signUser) {
		r.sign = e
	}
}

// signs says whether a key is one that signs documents, now or in the past: a public key of that name, which anybody could have put
// into the home, is not.
func signs(e *openpgp.Entity) bool {
	if e.PrivateKey == nil {
		return false
	}
	for name := range e.Identities {
		if hasUser([]string{name}, signUser) {
			return true
		}
	}
	return false
}

// nameOf is a key's fingerprint and its first user ID.
func nameOf(e *openpgp.Entity) string {
	for name := range e.Identities {
		return fmt.Sprintf("%X (%s)", e.PrimaryKey.Fingerprint, strings.ToValidUTF8(name, "?"))
	}
	return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}
