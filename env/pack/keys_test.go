package pack_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/env/pack"
)

// born is when the keys of the tests were made, made when things are packaged.
func born() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
func made() time.Time { return time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC) }

func config(lifetime time.Duration) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, KeyLifetimeSecs: uint32(lifetime / time.Second), Time: born}
}

// newKey makes a key, with the named user, that has an end of its life if lifetime is not 0.
func newKey(t testing.TB, user string, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(user, "", user+"@example.org", config(lifetime))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t testing.TB, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, key := range keys {
		if err := key.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func secret(t testing.TB, key *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := key.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func locked(t testing.TB, key *openpgp.Entity, passphrase string) *openpgp.Entity {
	t.Helper()
	if err := key.EncryptPrivateKeys([]byte(passphrase), &packet.Config{S2KConfig: &s2k.Config{S2KCount: 1 << 16}}); err != nil {
		t.Fatal(err)
	}
	return key
}

func file(name string, data []byte) pack.Input { return pack.Input{Name: name, Data: data} }
