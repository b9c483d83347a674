package pack_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/go-cmp/cmp"

	"appliance/env/pack"
)

const document = "#cloud-config\nappliance:\n  domain: ecs.example.org\necs:\n  settings: |\n    SECRET_KEY = 'zażółć'\n"

func order(keys ...pack.Input) pack.Order {
	return pack.Order{Document: []byte(document), Domain: "ecs.example.org", Made: made(), Keys: keys}
}

// packaged packages the document and answers the outputs by their names.
func packaged(t testing.TB, o pack.Order) map[string]pack.Output {
	t.Helper()
	outputs, err := pack.Package(o)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]pack.Output{}
	for _, o := range outputs {
		byName[o.Name] = o
	}
	return byName
}

const archiveName = "ecs.example.org.env.2026-11-23_04.05.tar.gz.gpg"

func TestPackage(t *testing.T) {
	vault := newKey(t, "vault", 0)
	for _, test := range []struct {
		name  string
		order pack.Order
		want  map[string]bool // clear
	}{
		{"without keys", order(), map[string]bool{"env.yml.pdf": true, "env-cidata.iso": true}},
		{"with a key", order(file("vault.gpg", public(t, vault))), map[string]bool{"env.yml.pdf": true, "env-cidata.iso": true, archiveName: false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]bool{}
			for name, o := range packaged(t, test.order) {
				got[name] = o.Clear
				if !o.Clear && (bytes.Contains(o.Data, []byte("SECRET_KEY")) || bytes.Contains(o.Data, []byte("\x1f\x8b\x08"))) {
					t.Errorf("%s is not encrypted", name)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("outputs and whether they are clear (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBePackaged(t *testing.T) {
	good, revoked, signing := newKey(t, "vault", 0), newKey(t, "lost", 0), newKey(t, "signing", 0)
	if err := revoked.Revoke(packet.KeyCompromised, "", config(0)); err != nil {
		t.Fatal(err)
	}
	signing.Subkeys = nil
	for _, test := range []struct {
		name  string
		order pack.Order
		want  string
	}{
		{"expired key", order(file("old.gpg", public(t, good, newKey(t, "old", time.Hour)))), "old <old@example.org>: openpgp: key expired"},
		{"revoked key", order(file("lost.gpg", public(t, revoked))), "lost <lost@example.org>: openpgp: signature made by revoked key"},
		{"key to sign with", order(file("signing.gpg", public(t, signing))), "signing <signing@example.org>: it has no valid part that encrypts"},
		{"no key", order(file("keys.txt", nil)), "cannot read the keys in keys.txt: there is none"},
		{"text for a key", order(file("keys.txt", []byte("vault@example.org\n"))), "cannot read the keys in keys.txt: "},
		{"one of two keys cut off", order(file("keys.gpg", cut(public(t, good, good)))), "cannot read the keys in keys.gpg: key 2: "},
		{"broken armor", order(file("k.asc", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx"))), "cannot read the keys in k.asc: "},
		{"not for cloud-init", pack.Order{Document: []byte("appliance: {}\n"), Domain: "x", Made: made()}, "cannot make a seed: cloud-init would pass over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := pack.Package(test.order)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
		})
	}
}

func cut(data []byte) []byte { return data[:len(data)-20] }

// Every key of every file can open the archive, however the files are written.
func TestKeyFiles(t *testing.T) {
	one, two, three := newKey(t, "one", 0), newKey(t, "two", 0), newKey(t, "three", 0)
	text := append(armored(t, openpgp.PublicKeyType, public(t, one)), "and another\n"...)
	text = append(text, armored(t, openpgp.PublicKeyType, public(t, two))...)
	archive := packaged(t, order(file("armored", text), file("binary", public(t, three, one))))[archiveName]
	if got := recipients(t, archive.Data); got != 3 {
		t.Errorf("it is encrypted %d times", got)
	}
	for _, key := range []*openpgp.Entity{one, two, three} {
		found, err := pack.Recover([]pack.Input{file("a", archive.Data)}, pack.Keys{Secret: []pack.Input{file("key", secret(t, key))}})
		if err != nil || string(found.Document) != document {
			t.Errorf("%v: %q, %v", key.Identities, found.Document, err)
		}
	}
}

// recipients counts the keys that a message is encrypted to.
func recipients(t *testing.T, message []byte) (count int) {
	t.Helper()
	packets := packet.NewReader(bytes.NewReader(message))
	for {
		p, err := packets.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := p.(*packet.EncryptedKey); !ok {
			return count
		}
		count++
	}
}
