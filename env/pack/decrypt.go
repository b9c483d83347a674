package pack

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

// Keys open archives.
type Keys struct {
	Secret []Input // files with OpenPGP secret keys, armored or binary, one or many in each

	// Passphrase asks for the passphrase of a key, which it is given the name of. It is called only for a locked key that
	// is needed, and up to three times for it, until the answer is empty; then comes the next locked key. Nil means that nobody can be asked.
	Passphrase func(key string) ([]byte, error)
}

// maxPassphrases is how often a passphrase is asked for.
const maxPassphrases = 3

// isMessage recognises an encrypted message by its armor, or by its first packet: the key to all else, for a public key.
func isMessage(data []byte) bool {
	const oldFormat, newFormat = 0x84, 0xc1 // packet type 1; the old format has the kind of length in two bits
	return bytes.HasPrefix(bytes.TrimSpace(data[:min(len(data), 1024)]), []byte("-----BEGIN PGP MESSAGE")) ||
		len(data) > 0 && (data[0]&^3 == oldFormat || data[0] == newFormat)
}

// decrypt answers what a message holds, after it has been found unaltered to its end.
func (k Keys) decrypt(data []byte) ([]byte, error) {
	ring, err := readKeys(k.Secret)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), armorStart) {
		block, err := armor.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("cannot decrypt it: the armor is broken: %w", err)
		}
		if data, err = readAll(block.Body); err != nil {
			return nil, fmt.Errorf("cannot decrypt it: the armor is broken: %w", err)
		}
	}
	limit := int64(maxArchive)
	message, err := openpgp.ReadMessage(bytes.NewReader(data), ring, k.prompt(), &packet.Config{MaxDecompressedMessageSize: &limit})
	if errors.Is(err, pgp.ErrKeyIncorrect) {
		err = fmt.Errorf("cannot decrypt it: no secret key given fits; it is encrypted to %s", recipients(data))
		return nil, remedy.With(err, "give a file with the secret key as gpg --export-secret-keys writes it")
	} else if err != nil {
		return nil, fmt.Errorf("cannot decrypt it: %w", err)
	}
	plain, err := readAll(message.UnverifiedBody)
	if err != nil {
		return nil, fmt.Errorf("cannot decrypt it: %w", err)
	}
	return plain, nil
}

// prompt unlocks a key that the library needs, the first of those that have not been given up. It returns without an error
// and is called again after a wrong passphrase.
func (k Keys) prompt() openpgp.PromptFunction {
	asked := map[string]int{} // by fingerprint
	return func(locked []openpgp.Key, _ bool) ([]byte, error) {
		if len(locked) == 0 {
			return nil, pgp.ErrKeyIncorrect
		}
		i := slices.IndexFunc(locked, func(k openpgp.Key) bool { return asked[string(k.PublicKey.Fingerprint)] < maxPassphrases })
		if i < 0 {
			return nil, errPassphrases(locked)
		}
		key := locked[i]
		name := keyName(key.Entity)
		if k.Passphrase == nil {
			return nil, remedy.With(fmt.Errorf("key %s is locked by a passphrase", name), "run it on a terminal, or unlock the key with gpg")
		}
		passphrase, err := k.Passphrase(name)
		if err != nil {
			return nil, fmt.Errorf("cannot ask for the passphrase of key %s: %w", name, err)
		}
		fingerprint := string(key.PublicKey.Fingerprint)
		asked[fingerprint]++
		if len(passphrase) == 0 {
			asked[fingerprint] = maxPassphrases
		}
		_ = key.PrivateKey.Decrypt(passphrase) // the library looks whether it is unlocked, and asks again
		return nil, nil
	}
}

// errPassphrases is the answer where every key has been given up.
func errPassphrases(locked []openpgp.Key) error {
	names := make([]string, 0, len(locked))
	for _, key := range locked {
		names = append(names, keyName(key.Entity))
	}
	err := fmt.Errorf("no passphrase given fits the locked key %s", strings.Join(names, " or "))
	return remedy.With(err, "name only the file of that key with --key")
}

// recipients lists the numbers of the keys that a message is encrypted to.
func recipients(message []byte) string {
	var ids []string
	packets := packet.NewReader(bytes.NewReader(message))
	for {
		p, err := packets.Next()
		key, ok := p.(*packet.EncryptedKey)
		if err != nil || !ok {
			break
		}
		if id := fmt.Sprintf("%016X", key.KeyId); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return fmt.Sprint(ids)
}
