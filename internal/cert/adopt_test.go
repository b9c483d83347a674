package cert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appliance/internal/remedy"
)

func TestFilesOfTheApplianceBefore(t *testing.T) {
	h := newHost(t, today)
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	expiredKey, expired := h.ca.pair(lastYear, today.Add(-time.Hour), "a.example")
	signer := newKey(t)
	snakeoil := pemOf(sign(t, h.ca.leaf(signer, lastYear, nextYear, "a.example"), nil, signer, signer))
	for _, test := range []struct {
		name       string
		key, chain []byte
		want       Source
		kept       Source // stored all the same
		aside      bool
	}{
		{"good", key, chain, Adopted, Adopted, false},
		{"expired", expiredKey, expired, SelfSigned, Adopted, false},
		{"self-signed", keyPEM(t, signer), snakeoil, SelfSigned, "", false},
		{"of two kinds", key, expired, SelfSigned, "", true},
		{"a key only", key, nil, SelfSigned, "", true},
		{"no PEM", []byte("x"), []byte("y"), SelfSigned, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, today)
			h.write(links[0].path, test.key)
			if test.chain != nil {
				h.write(links[1].path, test.chain)
				h.write(links[2].path, test.chain)
			}
			dh := []byte(strings.Replace(string(ffdhe2048()), "-----BEGIN", "by the appliance before\n-----BEGIN", 1))
			h.write(dhPath, dh)
			c := h.ensure(plainWish)
			if c.Source != test.want || (test.name == "self-signed") != (string(c.Chain) == string(snakeoil)) {
				t.Errorf("it takes the %s", c)
			}
			var kept Source
			v, err := (&store{h.sys}).look()
			must(t, err)
			for _, g := range v.generations {
				if g.Source != SelfSigned {
					kept = g.Source
				}
			}
			if kept != test.kept {
				t.Errorf("of the files %q is kept", kept)
			}
			if data, err := os.ReadFile(filepath.Join(h.root, foundDir, "server.key.pem")); (err == nil) != test.aside || test.aside && string(data) != string(test.key) {
				t.Errorf("set aside is %q, %v", data, err)
			}
			if data, err := os.ReadFile(filepath.Join(h.root, dhPath)); err != nil || string(data) != string(dh) {
				t.Errorf("the DH parameters are %q, %v", data, err)
			}
			h.settled(plainWish, c)
		})
	}
}

func TestAnotherProgramReplacesOurLinks(t *testing.T) {
	h := newHost(t, today)
	h.lay(Issued, lastYear, nextYear, "a.example")
	h.ensure(withACME(plainWish))
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	must(t, os.Remove(filepath.Join(h.root, links[0].path)), os.Remove(filepath.Join(h.root, links[1].path)))
	h.write(links[0].path, key)
	h.write(links[1].path, chain)
	if c := h.ensure(plainWish); string(c.Chain) != string(chain) {
		t.Errorf("it takes the %s", c)
	}
	must(t, os.Remove(filepath.Join(h.root, links[0].path)), os.Mkdir(filepath.Join(h.root, links[0].path), 0o755))
	if _, err := h.keeper().Ensure(t.Context(), plainWish); err == nil || remedy.Of(err) != "move it out of the way" {
		t.Errorf("with a directory in the way Ensure says %v", err)
	}
}

func TestARestoreThatMadeFilesOfOurLinks(t *testing.T) {
	h := newHost(t, today)
	h.lay(Issued, lastYear, nextYear, "a.example")
	before := h.ensure(withACME(plainWish))
	key, chain := h.files()
	must(t, os.Remove(filepath.Join(h.root, links[0].path)), os.Remove(filepath.Join(h.root, links[1].path)))
	h.write(links[0].path, key)
	h.write(links[1].path, chain)
	c := h.ensure(withACME(plainWish))
	if v, err := (&store{h.sys}).look(); err != nil || len(v.generations) != 1 || c.Source != Issued || c.SHA256 != before.SHA256 {
		t.Errorf("it takes the %s of %d, %v", c, len(v.generations), err)
	}
	h.settled(withACME(plainWish), c)
}
