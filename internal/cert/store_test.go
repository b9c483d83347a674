package cert

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/remedy"
)

func TestWhatOtherProgramsFind(t *testing.T) {
	h := newHost(t, time.Time{})
	w := Wish{Names: []string{"a.example", "192.0.2.1"}}
	c := h.ensure(w)
	text := openssl(t, "x509", "-noout", "-text", "-in", filepath.Join(h.root, links[1].path))
	for _, want := range []string{"DNS:a.example, IP Address:192.0.2.1", "CA:FALSE", "TLS Web Server Authentication", "CN = a.example", "prime256v1"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not see %q in\n%s", want, text)
		}
	}
	openssl(t, "verify", "-x509_strict", "-partial_chain", "-trusted", filepath.Join(h.root, links[1].path), filepath.Join(h.root, links[1].path))
	if bundle, err := os.ReadFile(filepath.Join(h.root, links[2].path)); err != nil || string(bundle) != string(c.Chain)+string(ffdhe2048()) {
		t.Errorf("stunnel finds %q, %v", bundle, err)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o755, "/current": 0o755, "/current/key.pem": 0o600, "/current/chain.pem": 0o644, "/current/chain.dhparam.pem": 0o644, "/current/made.json": 0o644} {
		if info, err := os.Stat(filepath.Join(h.root, storeDir+name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", storeDir+name, info.Mode(), err)
		}
	}
	moved := filepath.Join(t.TempDir(), "elsewhere") // as a container sees it
	must(t, os.Rename(filepath.Join(h.root, etcDir), moved))
	if chain, err := os.ReadFile(filepath.Join(moved, "server.cert.pem")); err != nil || string(chain) != string(c.Chain) {
		t.Errorf("elsewhere the certificate is %q, %v", chain, err)
	}
}

func TestADamagedGenerationFallsBack(t *testing.T) {
	for _, test := range []struct {
		name, file, data string
	}{
		{"a torn key", "key.pem", "-----BEGIN"},
		{"an empty chain", "chain.pem", ""},
		{"a note that is no JSON", "made.json", "\x00\x00"},
		{"a note of something else", "made.json", "{}"},
		{"another file for stunnel", "chain.dhparam.pem", "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, today)
			w := withACME(plainWish)
			h.lay(Issued, lastYear, nextYear, "a.example")
			before := h.ensure(w)
			h.lay(Issued, lastYear, nextYear, "a.example")
			newer := h.ensure(w)
			h.write(filepath.Join(currentDir, test.file), []byte(test.data))
			c := h.ensure(w)
			if c.SHA256 != before.SHA256 || newer.SHA256 == before.SHA256 {
				t.Errorf("it takes the %s", c)
			}
			if said := h.warnings(); len(said) != 1 || !strings.Contains(said[0], "/data/etc/cert/2-") || strings.Contains(said[0], "BEGIN") {
				t.Errorf("the warnings are %q", said)
			}
			h.settled(w, c)
			if said := h.warnings(); len(said) != 0 {
				t.Errorf("later warnings are %q", said)
			}
		})
	}
}

func TestAnotherProgramWritesThroughOurLinks(t *testing.T) {
	h := newHost(t, today)
	h.ensure(plainWish)
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	h.write(links[0].path, key) // as cp does
	h.write(links[1].path, chain)
	c := h.ensure(plainWish)
	if c.Source != Adopted || string(c.Key) != string(key) || string(c.Chain) != string(chain) {
		t.Errorf("it takes the %s", c)
	}
	if said := h.warnings(); len(said) != 1 || !strings.HasSuffix(said[0], "another pair has been written over it") {
		t.Errorf("the warnings are %q", said)
	}
	h.settled(plainWish, c)
}

func TestWhatCannotBeReadIsNotTakenAway(t *testing.T) {
	h := newHost(t, today)
	h.ensure(plainWish)
	place := filepath.Join(h.root, currentDir, keyFile)
	must(t, os.Remove(place), os.Mkdir(place, 0o755)) // reading it fails for another reason than that it is not there
	if _, err := h.keeper().Ensure(t.Context(), plainWish); err == nil || !remedy.MayPass(err) {
		t.Errorf("Ensure says %v", err)
	}
	if why, err := h.keeper().Missing(plainWish); err == nil {
		t.Errorf("Missing says %q", why)
	}
	if !h.sys.Exists(filepath.Join(currentDir, chainFile)) {
		t.Error("it has been taken away")
	}
}

func TestEverythingIsDamaged(t *testing.T) {
	h := newHost(t, today)
	h.ensure(plainWish)
	must(t, os.Remove(filepath.Join(h.root, currentDir, "key.pem")))
	h.write(dhPath, []byte("x"))
	c := h.ensure(plainWish)
	h.settled(plainWish, c)
}

func TestTwoGenerationsAreKept(t *testing.T) {
	h := newHost(t, today)
	w := withACME(plainWish)
	for range 5 {
		h.lay(Issued, lastYear, nextYear, "a.example")
	}
	h.ensure(w)
	entries, err := filepath.Glob(filepath.Join(h.root, storeDir, "*-*"))
	must(t, err)
	for i := range entries {
		entries[i] = filepath.Base(entries[i])[:2]
	}
	if diff := cmp.Diff([]string{"4-", "5-"}, entries); diff != "" {
		t.Error(diff)
	}
}
