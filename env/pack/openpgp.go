package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

// readRecipients reads key files, takes each key once, and holds it against the time at which it is to be used.
func readRecipients(files []Input, now time.Time) (openpgp.EntityList, error) {
	read, err := readKeys(files)
	if err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	known := map[string]bool{}
	for _, key := range read {
		fingerprint := string(key.PrimaryKey.Fingerprint)
		if known[fingerprint] {
			continue
		}
		known[fingerprint] = true
		if err := checkRecipient(key, now); err != nil {
			err = fmt.Errorf("cannot encrypt to key %s: %w", keyName(key), err)
			return nil, remedy.With(err, "give a newer copy of the key if there is one, or leave it out")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// checkRecipient refuses a key that has expired, was revoked or is for signatures only.
func checkRecipient(key *openpgp.Entity, now time.Time) error {
	if _, err := key.VerifyPrimaryKey(now, clock(now)); err != nil {
		return err
	}
	if _, ok := key.EncryptionKey(now, clock(now)); !ok {
		return errors.New("it has no valid part that encrypts")
	}
	return nil
}

// readKeys reads all keys of some files. A key that cannot be read is an error: who is meant to read an archive must not
// be left out of it silently.
func readKeys(files []Input) (openpgp.EntityList, error) {
	var keys openpgp.EntityList
	for _, file := range files {
		found, err := readKeyFile(file.Data)
		if err != nil {
			err = fmt.Errorf("cannot read the keys in %s: %w", file.Name, err)
			return nil, remedy.With(err, "give a file as gpg --export or gpg --armor --export writes it")
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

var armorStart = []byte("-----BEGIN PGP ")

// readKeyFile reads one file: blocks of armor with anything around them, or binary packets.
func readKeyFile(data []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(data, armorStart) {
		return readEntities(bytes.NewReader(data))
	}
	var keys openpgp.EntityList
	for at := bytes.Index(data, armorStart); at >= 0; {
		end := len(data)
		next := bytes.Index(data[at+1:], armorStart)
		if next >= 0 {
			next += at + 1
			end = next
		}
		block, err := armor.Decode(bytes.NewReader(data[at:end]))
		if err != nil {
			return nil, fmt.Errorf("the armor is broken: %w", err)
		}
		found, err := readEntities(block.Body)
		if err != nil {
			return nil, err
		}
		keys, at = append(keys, found...), next
	}
	return keys, nil
}

func readEntities(r io.Reader) (openpgp.EntityList, error) {
	var keys openpgp.EntityList
	packets := packet.NewReader(r)
	for {
		key, err := openpgp.ReadEntity(packets)
		switch {
		case err == io.EOF && len(keys) == 0:
			return nil, errors.New("there is none")
		case err == io.EOF:
			return keys, nil
		case err != nil:
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
}

// keyName is the key's number and one of its user IDs.
func keyName(key *openpgp.Entity) string {
	name := key.PrimaryKey.KeyIdString()
	if users := slices.Sorted(maps.Keys(key.Identities)); len(users) > 0 {
		name += " " + users[0]
	}
	return name
}

// clock makes the library take now for the present.
func clock(now time.Time) *packet.Config {
	return &packet.Config{Time: func() time.Time { return now }}
}

// encrypt encrypts to all keys. The ciphers are those that all of them know.
func encrypt(plain []byte, name string, to openpgp.EntityList, now time.Time) ([]byte, error) {
	config := clock(now)
	config.DefaultCipher = packet.CipherAES256
	var b bytes.Buffer
	w, err := openpgp.Encrypt(&b, to, nil, nil, &openpgp.FileHints{FileName: name, ModTime: now}, config)
	if err != nil {
		return nil, fmt.Errorf("cannot encrypt the archive: %w", err)
	}
	_, err = w.Write(plain)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("cannot encrypt the archive: %w", err)
	}
	return b.Bytes(), nil
}
