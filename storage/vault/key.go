package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

const (
	maxArmor = 256 << 10 // an RSA key of 16384 bits with ten signatures on it has 40 kB
	minBits  = 2048      // NIST SP 800-57 part 1, and what gpg has made by default since 2009
)

// Refusal is why a key of the environment cannot be used.
type Refusal struct {
	Key string // of the environment, below ecs: such as "vault_sign" or "vault_retired[0]"
	Err error  // with a remedy

	broken bool // not even old documents can be opened with it
}

func (r *Refusal) Error() string { return "cannot use ecs." + r.Key + ": it " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// key is a secret key of the environment, read and found good.
type key struct {
	Key
	block  block // with the secrets
	entity *openpgp.Entity
}

// keys are those of the environment.
type keys struct {
	encrypt, sign key
	retired       []key
	over          bool // time has made them unusable for what is new
}

func (k keys) all() []key { return append([]key{k.encrypt, k.sign}, k.retired...) }

// Check answers why the keys cannot be used, all that is wrong with them, or nothing.
func (k Keys) Check(now time.Time) []*Refusal {
	_, refusals := k.read(now)
	return refusals
}

// read reads the keys and holds them against what they are for. A key made after now is held against the time it was made at:
// a host whose clock has lost the time must start.
func (k Keys) read(now time.Time) (found keys, refusals []*Refusal) {
	take := func(place string, k key, err error) key {
		if err != nil {
			refusals = append(refusals, &Refusal{place, err, k.entity == nil})
		}
		return k
	}
	if k.Encrypt == "" || k.Sign == "" {
		there, lacks := SignKey, EncryptKey
		if k.Sign == "" {
			there, lacks = EncryptKey, SignKey
		}
		missing := fmt.Errorf("is missing: ecs.%s is nothing without it", there)
		return found, []*Refusal{{lacks, remedy.With(missing, "give both keys of the storage vault, or none"), true}}
	}
	readAs := func(text, use, user, other, otherPlace string) (key, error) {
		k, err := readKey(text)
		if err == nil {
			err = k.suits(use, user, other, otherPlace, now)
		}
		return k, err
	}
	encrypt, err := readAs(k.Encrypt, UseEncrypt, encryptUser, signUser, SignKey)
	found.encrypt = take(EncryptKey, encrypt, err)
	sign, err := readAs(k.Sign, UseSign, signUser, encryptUser, EncryptKey)
	found.sign = take(SignKey, sign, err)
	for i, text := range k.Retired {
		old, err := readKey(text)
		old.Use = UseRetired
		old = take(fmt.Sprintf("%s[%d]", RetiredKeys, i), old, err)
		again := slices.ContainsFunc(found.all(), func(k key) bool { return k.Fingerprint == old.Fingerprint })
		if err == nil && !again {
			found.retired = append(found.retired, old)
		}
	}
	return found, refusals
}

// errDamaged is one for all depths: where a cut shows first, in the armor or below it, is chance.
var errDamaged = errors.New("holds a key that is cut off or damaged")

const exportAgain = "put in the whole of what `gpg --armor --export-secret-keys` prints for it, from BEGIN to END"

// readKey reads one armored secret key, which must be there as a whole.
func readKey(text string) (key, error) {
	data, err := unarmor(text)
	if err != nil {
		return key{}, err
	}
	blocks, err := splitBlocks(data)
	switch {
	case err != nil || len(blocks) == 0:
		return key{}, remedy.With(errDamaged, exportAgain)
	case len(blocks) > 1:
		return key{}, remedy.With(fmt.Errorf("holds %d keys, and should hold one", len(blocks)), "put in one key; others that open old documents belong into ecs."+RetiredKeys)
	case blocks[0][0].tag == tagPublicKey:
		return key{}, remedy.With(errors.New("holds a public key alone"), "put in the secret key, as `gpg --armor --export-secret-keys` prints it")
	}
	k := key{block: blocks[0].untrusted()}
	if err := k.describe(); err != nil {
		return key{}, err
	}
	if k.entity, err = openpgp.ReadEntity(pgppacket.NewReader(bytes.NewReader(data))); err != nil {
		return key{}, remedy.With(fmt.Errorf("holds a key that cannot be read: %w", err), exportAgain)
	}
	return k, nil
}

// unarmor takes the armor off, of which there must be exactly one.
func unarmor(text string) ([]byte, error) {
	const begin, end = "-----BEGIN PGP ", "-----END PGP "
	switch {
	case len(text) > maxArmor:
		return nil, remedy.With(fmt.Errorf("has %d bytes, which no key has: at most %d are read", len(text), maxArmor), "put in one secret key, as `gpg --armor --export-secret-keys` prints it")
	case !strings.Contains(text, begin):
		return nil, remedy.With(errors.New("holds no OpenPGP key in ASCII armor"), exportAgain)
	case strings.Count(text, begin) > 1:
		return nil, remedy.With(fmt.Errorf("holds %d blocks of ASCII armor, and should hold one", strings.Count(text, begin)),
			"put in one key; others that open old documents belong into ecs."+RetiredKeys)
	case !strings.Contains(text, end):
		return nil, remedy.With(errors.New("holds a key that is cut off: it has no END line"), exportAgain)
	}
	armored, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return nil, remedy.With(fmt.Errorf("holds a broken ASCII armor: %w", err), exportAgain)
	}
	if armored.Type != openpgp.PrivateKeyType && armored.Type != openpgp.PublicKeyType {
		return nil, remedy.With(fmt.Errorf("holds a %s, and no secret key", armored.Type), exportAgain)
	}
	data, err := io.ReadAll(armored.Body)
	if err != nil {
		return nil, remedy.With(errDamaged, exportAgain)
	}
	return data, nil
}

// describe reads what each part of the key is, and refuses what gpg would prompt for or could not use.
func (k *key) describe() error {
	for i, p := range k.block.keys() {
		m, err := readMaterial(p)
		switch {
		case errors.Is(err, errForeign):
			return remedy.With(errors.New("holds a key of a kind that not every gpg of applications can use"), "make an RSA key")
		case err != nil:
			return remedy.With(fmt.Errorf("holds a key that cannot be read: %w", err), exportAgain)
		case errors.Is(m.locked, errLocked):
			return remedy.With(errors.New("holds a key that is locked by a passphrase, which nobody is there to enter"),
				"take the passphrase off with `gpg --edit-key ID passwd`, and export the key again")
		case !m.whole():
			return remedy.With(errors.New("holds a key whose secret part is missing"), "export it where the secret key is kept, as `gpg --armor --export-secret-keys` does")
		}
		if i == 0 {
			k.Fingerprint, k.Created = m.fingerprint(), time.Unix(int64(m.created), 0).UTC()
			k.Algorithm = fmt.Sprintf("%s%d", algorithms[m.algo].name, m.bits())
		}
	}
	k.UserIDs, k.InEnv = k.block.userIDs(), true
	return nil
}

// suits refuses a key that cannot do its part.
func (k *key) suits(use, user, other, otherPlace string, now time.Time) error {
	k.Use = use
	const fresh = "make a new pair, as `appliance vault rotate` does"
	for _, p := range k.block.keys() {
		if m, err := readMaterial(p); err != nil || algorithms[m.algo].name != "rsa" || m.bits() < minBits {
			return remedy.With(fmt.Errorf("holds a key that is too weak: a part of it is %s%d, and RSA of %d bits is the least", algorithms[m.algo].name, m.bits(), minBits), fresh)
		}
	}
	if !hasUser(k.UserIDs, user) {
		what, todo := fmt.Sprintf("holds the key of %q, and should hold that of %s", strings.Join(k.UserIDs, ", "), user), "put in the key with the user ID "+user
		if hasUser(k.UserIDs, other) {
			todo = "it is the key for ecs." + otherPlace + ": the two are swapped"
		}
		return remedy.With(errors.New(what), todo)
	}
	if now.Before(k.Created) {
		now = k.Created
	}
	k.ends(time.Time{}) // whatever the time is
	switch _, err := k.entity.VerifyPrimaryKey(now, at(now)); {
	case errors.Is(err, pgp.ErrKeyExpired):
		return remedy.With(errors.New("holds a key that has expired"), "prolong it with `gpg --edit-key ID expire` and export it again, or "+fresh)
	case errors.Is(err, pgp.ErrKeyRevoked):
		return remedy.With(errors.New("holds a key that was revoked"), fresh)
	case err != nil:
		return remedy.With(fmt.Errorf("holds a key that is not valid: %w", err), exportAgain)
	}
	if id := k.validUser(user, now); !id {
		return remedy.With(fmt.Errorf("holds a key whose user ID %s was revoked or has expired", user), fresh)
	}
	return k.able(now)
}

func (k *key) validUser(user string, now time.Time) bool {
	for _, id := range k.entity.Identities {
		if _, err := id.Verify(now, at(now)); err == nil && hasUser([]string{id.Name}, user) {
			return true
		}
	}
	return false
}

// able refuses a key that is not for its use.
func (k *key) able(now time.Time) error {
	if k.ends(now) {
		return nil
	}
	verb := "sign"
	if k.Use == UseEncrypt {
		verb = "encrypt"
	}
	return remedy.With(fmt.Errorf("holds a key that cannot %s: no valid part of it is for that", verb),
		"add such a part with `gpg --edit-key ID addkey` and export the key again, or make a new pair, as `appliance vault rotate` does")
}

// ends notes until when the key is for its use, and says whether it is at the time now.
func (k *key) ends(now time.Time) (able bool) {
	part, able := k.entity.SigningKey(now, at(now))
	if k.Use == UseEncrypt {
		part, able = k.entity.EncryptionKey(now, at(now))
	}
	if able {
		k.Expires = earlier(expiry(k.entity.PrimaryKey.CreationTime, part.PrimarySelfSignature), expiry(part.PublicKey.CreationTime, part.SelfSignature))
	}
	return able
}

func expiry(created time.Time, sig *pgppacket.Signature) *time.Time {
	if sig == nil || sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return nil
	}
	end := created.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second).UTC()
	return &end
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// at makes the library take now for the present.
func at(now time.Time) *pgppacket.Config {
	return &pgppacket.Config{Time: func() time.Time { return now }}
}
