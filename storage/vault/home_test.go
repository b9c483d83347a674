package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/system"
)

// A home as gpg itself has made it, with the old pair, a stranger's key, and a document that only the old pair opens.
func madeBy(t *testing.T, program string) (h *host, old Keys, document []byte) {
	t.Helper()
	need(t, program)
	h, old = newTestHost(t), pair(t, 7)
	must(t, os.Chmod(h.path(), 0o700))
	gpg := gnupg{t, program, h.path(), 0}
	for _, key := range []string{old.Encrypt, old.Sign, newKey(t, "stranger", 1)} {
		gpg.run([]byte(key), "--import")
	}
	endAgents(t, h.path())
	document, _ = gpg.run([]byte("old"), "--trust-model", "always", "--sign", "--encrypt", "--local-user", signUser, "--recipient", encryptUser)
	return h, old, document
}

// Hosts that move to us have a home of gpg 1, or one of gpg 2. Nothing of it is lost to either of them.
func TestAHomeThatGnuPGHasMadeIsTakenOver(t *testing.T) {
	for _, program := range []string{"gpg1", "gpg"} {
		t.Run(program, func(t *testing.T) {
			h, _, document := madeBy(t, program)
			h.make(pair(t, 8))
			if text, _, err := h.open(document); text != "old" || err != nil {
				t.Errorf("we open the old document as %q, %v", text, err)
			}
			for _, gpg := range programs(t, h) {
				gpg.t = t
				if out, said := gpg.run(document, "--decrypt"); string(out) != "old" || !strings.Contains(said, "Good signature") {
					t.Errorf("%s as %d opens the old document as %q: %s", gpg.program, gpg.user, out, said)
				}
				if out, _ := gpg.run(nil, "--with-colons", "--list-secret-keys"); strings.Count(string(out), "\nuid:")+strings.Count(string(out), ":stranger:") < 1 || !strings.Contains(string(out), "stranger") {
					t.Errorf("%s does not have the stranger's key any more: %s", gpg.program, out)
				}
			}
		})
	}
}

// What others have put into the home stays: public keys, files, directories. What an agent has left does not count.
func TestWhatOthersHavePutThereStays(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	must(t, os.WriteFile(h.path("gpg-agent.conf"), []byte("max-cache-ttl 1\n"), 0o640), os.WriteFile(h.path("random_seed"), []byte("seed"), 0o600),
		os.MkdirAll(h.path("openpgp-revocs.d"), 0o750), os.WriteFile(h.path("openpgp-revocs.d", "x.rev"), []byte("rev"), 0o600),
		os.Symlink("random_seed", h.path("link")), os.WriteFile(h.path("pubring.gpg.lock"), []byte("1"), 0o600),
		os.WriteFile(h.path("gpg.conf"), []byte("personal-digest-preferences SHA512\n"), 0o600))
	hung, err := net.Listen("unix", h.path("S.gpg-agent")) // takes connections, and never answers
	must(t, err)
	t.Cleanup(func() { _ = hung.Close() })
	must(t, syscall.Mkfifo(h.path("fifo"), 0o600))
	public, _ := gnupgOf(t, newKey(t, "stranger", 2)).run(nil, "--export")
	ring, err := os.ReadFile(h.path(publicRing))
	must(t, err, os.WriteFile(h.path(publicRing), append(ring, public...), 0o600))

	h.make(pair(t, 2))
	for name, want := range map[string]string{"gpg-agent.conf": "max-cache-ttl 1\n", "random_seed": "seed", "openpgp-revocs.d/x.rev": "rev", "link": "seed",
		"gpg.conf": "personal-digest-preferences SHA512\n# The appliance: what is in this home comes from its environment.\ntrust-model always\n"} {
		if got, err := os.ReadFile(h.path(name)); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(h.path("gpg-agent.conf")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("a file of others is %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"S.gpg-agent", "fifo", "pubring.gpg.lock"} {
		if _, err := os.Lstat(h.path(name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, gpg := range programs(t, h) {
		gpg.t = t
		if out, said := gpg.run(h.seal("new"), "--decrypt"); string(out) != "new" {
			t.Errorf("%s opens %q: %s", gpg.program, out, said)
		}
		if out, _ := gpg.run(nil, "--list-keys", "stranger"); !bytes.Contains(out, []byte("stranger")) {
			t.Errorf("%s does not have the stranger's public key any more", gpg.program)
		}
	}
}

// gnupgOf is a gpg 2 that has the one key.
func gnupgOf(t *testing.T, key string) gnupg {
	t.Helper()
	m := newMaker(t)
	m.run([]byte(key), "--import")
	return m.gnupg
}

func TestASecondStartChangesNothing(t *testing.T) {
	h := newTestHost(t)
	keys := pair(t, 1)
	h.make(keys)
	generation, done := h.Generation(), len(h.effects)
	if why, err := h.Differs(keys); why != "" || err != nil || generation == "" {
		t.Errorf("generation %q differs: %q, %v", generation, why, err)
	}
	if len(h.effects) != done {
		t.Errorf("to look has the effects %q", h.effects[done:])
	}
	least := time.Hour // of many, however busy the machine is
	for range 100 {
		began := time.Now()
		_, _ = h.Differs(keys)
		least = min(least, time.Since(began))
	}
	if least > 20*time.Millisecond { // bench has the number; this is to notice a change of kind
		t.Errorf("to look takes %s", least)
	}
}

func TestWhyTheHomeIsMadeAnew(t *testing.T) {
	keys := pair(t, 1)
	retired := keys
	retired.Retired = []string{newKey(t, encryptUser, 2)}
	agentKey := func(h *host) string {
		files, _ := filepath.Glob(h.path(keyDir, "*.key"))
		return files[0]
	}
	for _, test := range []struct {
		name string
		do   func(h *host) error
		keys Keys
		want string

		mended bool // in place: who has it mounted need not mount it anew
	}{
		{"other keys", func(*host) error { return nil }, pair(t, 2), "the environment has other keys than the application's gpg", false},
		{"one more retired key", func(*host) error { return nil }, retired, "the environment has other keys than the application's gpg", false},
		{"nothing is there", func(h *host) error { return os.RemoveAll(h.path()) }, keys, "the application's gpg does not have the keys of the environment", false},
		{"others can look in", func(h *host) error { return os.Chmod(h.path(), 0o755) }, keys, "its mode is 0755 and should be 0700", true},
		{"a ring is gone", func(h *host) error { return os.Remove(h.path(secretRing)) }, keys, "keys in it are damaged or missing", false},
		{"a ring is cut off", func(h *host) error { return os.Truncate(h.path(publicRing), 700) }, keys, "keys in it are damaged or missing", false},
		{"a key of the agent is gone", func(h *host) error { return os.Remove(agentKey(h)) }, keys, "keys in it are damaged or missing", false},
		{"a key of the agent is cut off", func(h *host) error { return os.Truncate(agentKey(h), 100) }, keys, "keys in it are damaged or missing", false},
		{"the options are gone", func(h *host) error { return os.Remove(h.path(options)) }, keys, "keys in it are damaged or missing", false},
		{"a change was cut off", func(h *host) error { return os.Mkdir(filepath.Join(h.root, "data/.ecs-gpg.vault-new"), 0o700) }, keys, "a change of keys was cut off", true},
		{"there is a comment in a file", func(h *host) error {
			data, _ := os.ReadFile(h.path(options))
			return os.WriteFile(h.path(options), append(data, "# x\n"...), 0o600)
		}, keys, "", false},
		{"no vault is wanted", func(h *host) error { return os.RemoveAll(h.path()) }, Keys{}, "", false},
		{"root has run gpg there", func(h *host) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can")
			}
			return os.WriteFile(h.path("trustdb.gpg"), nil, 0o600)
		}, keys, "trustdb.gpg in it belongs to root, and the application cannot use it", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			h.make(keys)
			must(t, test.do(h))
			if why, err := h.Differs(test.keys); why != test.want || err != nil {
				t.Errorf("it says %q, %v", why, err)
			}
			if test.want == "" {
				return
			}
			before := h.Generation()
			h.make(test.keys)
			if mended := h.Generation() == before; mended != test.mended {
				t.Errorf("the home is the same: %v", mended)
			}
			if text, _, err := h.open(h.seal("new")); text != "new" || err != nil {
				t.Errorf("once it is made, it opens %q, %v", text, err)
			}
		})
	}
}

// Keys that have expired keep no host from starting, and old documents stay readable.
func TestKeysThatHaveExpiredSinceTheyWereInstalled(t *testing.T) {
	m := newMaker(t)
	keys := Keys{Encrypt: m.key(encryptUser, "", "rsa2048", "sign,cert,encr", "30d"), Sign: newKey(t, signUser, 1)}
	h := newTestHost(t)
	h.make(keys)
	document := h.seal("old")
	if warnings := h.Warnings(); len(warnings) != 1 || !strings.Contains(warnings[0].String(), "The vault's key to encrypt expires on ") {
		t.Errorf("warnings: %q", warnings)
	}
	h.Home.System = system.New(system.Config{Root: h.root, Now: func() time.Time { return time.Now().AddDate(0, 0, 31) }})
	if why, err := h.Differs(keys); why != "" || err != nil {
		t.Errorf("once they have expired: %q, %v", why, err)
	}
	must(t, os.Remove(h.path(secretRing)))
	h.make(keys)
	if text, _, err := h.open(document); text != "old" || err != nil {
		t.Errorf("the old document is opened as %q, %v", text, err)
	}
	ring, err := h.Ring()
	must(t, err)
	if err := ring.Seal(t.Context(), new(bytes.Buffer), strings.NewReader("new")); err == nil {
		t.Error("a new document is sealed")
	}
	s, err := h.Status(keys)
	if err != nil || s.State != StateRefused || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "has expired on") {
		t.Errorf("status: %+v, %v", s, err)
	}
	fresh := newTestHost(t)
	fresh.Home.System = system.New(system.Config{Root: fresh.root, Now: func() time.Time { return time.Now().AddDate(0, 0, 31) }})
	if err := fresh.Make(t.Context(), keys); err == nil || !strings.Contains(err.Error(), "cannot use ecs.vault_encrypt: it holds a key that has expired") {
		t.Errorf("on a new host: %v", err)
	}
}

// A subkey that the environment's copy of the key has no longer may be the only one that opens old documents.
func TestASubkeyThatOnlyTheHomeHasStays(t *testing.T) {
	m := newMaker(t)
	before := m.key(encryptUser, "", "rsa2048", "sign,cert", "never")
	fingerprint := m.fingerprint(encryptUser)
	m.run(nil, "--passphrase", "", "--quick-add-key", fingerprint, "rsa2048", "encr", "never")
	first := m.export(encryptUser, "")
	h := newTestHost(t)
	h.make(Keys{Encrypt: first, Sign: newKey(t, signUser, 1)})
	document := h.seal("old")
	m2 := newMaker(t)
	m2.run([]byte(before), "--import")
	m2.run(nil, "--passphrase", "", "--quick-add-key", fingerprint, "rsa2048", "encr", "never")
	h.make(Keys{Encrypt: m2.export(encryptUser, ""), Sign: newKey(t, signUser, 1)})
	for range 2 {
		if text, _, err := h.open(document); text != "old" || err != nil {
			t.Errorf("the old document is opened as %q, %v", text, err)
		}
		for _, gpg := range programs(t, h) {
			gpg.t = t
			if out, said := gpg.run(document, "--decrypt"); string(out) != "old" {
				t.Errorf("%s as %d opens the old document as %q: %s", gpg.program, gpg.user, out, said)
			}
		}
		h.make(Keys{Encrypt: first, Sign: newKey(t, signUser, 1)})
	}
}

// Somebody else who writes into the home while its successor is made loses nothing.
func TestAHomeThatChangesMeanwhile(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	changes := 0
	h.Home.System = system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		if e.Op == "write" && strings.HasSuffix(e.Object, publicRing) && changes < 2 {
			changes++
			return os.WriteFile(h.path("late"), bytes.Repeat([]byte("x"), changes), 0o600)
		}
		return nil
	}})
	h.make(pair(t, 2))
	if data, err := os.ReadFile(h.path("late")); string(data) != "xx" || err != nil {
		t.Errorf("what came late is %q, %v", data, err)
	}
	h.Home.System = system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		if e.Op == "write" && strings.HasSuffix(e.Object, publicRing) {
			changes++
			return os.WriteFile(h.path("late"), bytes.Repeat([]byte("x"), changes), 0o600)
		}
		return nil
	}})
	if err := h.Make(t.Context(), pair(t, 3)); err == nil || !strings.Contains(err.Error(), "somebody else changes them all the time") {
		t.Errorf("when it never ends: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Make(ctx, pair(t, 3)); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it says %v", err)
	}
}

func TestALinkToTheHomeIsFollowed(t *testing.T) {
	h := newTestHost(t)
	must(t, os.MkdirAll(filepath.Join(h.root, "mnt/big"), 0o755), os.Rename(h.path(), filepath.Join(h.root, "mnt/big/keys")), os.Symlink(filepath.Join(h.root, "mnt/big/keys"), h.path()))
	h.make(pair(t, 1))
	h.make(pair(t, 2))
	if target, err := os.Readlink(h.path()); err != nil || target != filepath.Join(h.root, "mnt/big/keys") {
		t.Errorf("the link leads to %s, %v", target, err)
	}
	if text, _, err := h.open(h.seal("x")); text != "x" || err != nil {
		t.Errorf("it opens %q, %v", text, err)
	}
}

func TestStatusAndExport(t *testing.T) {
	h := newTestHost(t)
	if s, err := h.Status(Keys{}); s.State != StateNone || err != nil {
		t.Errorf("without keys: %+v, %v", s, err)
	}
	if err := h.Export(new(bytes.Buffer), false); err == nil {
		t.Error("there are keys to export where there are none")
	}
	h.make(pair(t, 1))
	h.make(pair(t, 2))
	s, err := h.Status(pair(t, 2))
	must(t, err)
	var uses []string
	for _, k := range s.Keys {
		uses = append(uses, k.Use)
	}
	if s.State != StateGood || !slices.Equal(uses, []string{UseEncrypt, UseSign, UseRetired, UseRetired}) || len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0], "is only in the home, and a host") {
		t.Errorf("status: %+v", s)
	}
	missing, err := h.Missing(pair(t, 2))
	must(t, err)
	whole := pair(t, 2)
	whole.Retired = missing
	h.make(whole)
	if s, err := h.Status(whole); len(missing) != 2 || err != nil || s.State != StateGood || len(s.Warnings) > 0 {
		t.Errorf("with the %d keys that were missing: %+v, %v", len(missing), s, err)
	}
	need(t, "gpg")
	for retired, want := range map[bool]int{false: 2, true: 4} {
		var text bytes.Buffer
		must(t, h.Export(&text, retired))
		m := newMaker(t)
		m.run(text.Bytes(), "--import")
		if out, _ := m.run(nil, "--with-colons", "--list-keys"); strings.Count(string(out), "pub:") != want {
			t.Errorf("exported with retired %v: %s", retired, out)
		}
	}
}

// Keys of DSA and ElGamal are too old for new documents, but old documents may need them.
func TestOldKindsOfKeysOpenOldDocuments(t *testing.T) {
	m := newMaker(t)
	m.key(encryptUser, "", "dsa2048", "sign,cert", "never")
	m.run(nil, "--passphrase", "", "--quick-add-key", m.fingerprint(encryptUser), "elg2048", "encr", "never")
	sign := newKey(t, signUser, 1)
	m.run([]byte(sign), "--import")
	document, _ := m.run([]byte("old"), "--trust-model", "always", "--sign", "--encrypt", "--local-user", signUser, "--recipient", encryptUser)
	h := newTestHost(t)
	keys := pair(t, 1)
	keys.Retired = []string{m.export(encryptUser, "")}
	h.make(keys)
	if text, _, err := h.open(document); text != "old" || err != nil {
		t.Errorf("we open the old document as %q, %v", text, err)
	}
	for _, gpg := range programs(t, h) {
		gpg.t = t
		if out, said := gpg.run(document, "--decrypt"); string(out) != "old" {
			t.Errorf("%s as %d opens the old document as %q: %s", gpg.program, gpg.user, out, said)
		}
	}
}

// Links that the application has made in its home lead us nowhere else: nothing of the host is read into the home, or given away.
func TestLinksInTheHomeLeadNowhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give away")
	}
	h := newTestHost(t)
	h.make(pair(t, 1))
	secret := filepath.Join(h.root, "shadow")
	must(t, os.WriteFile(secret, []byte("secret\n"), 0o600), os.Remove(h.path(options)), os.Symlink(secret, h.path(options)),
		os.Remove(h.path(noteName)), os.Symlink("/dev/zero", h.path(noteName)), os.Symlink(secret, h.path("random_seed")), os.Link(secret, h.path("linked")),
		os.RemoveAll(h.path(keyDir)), os.Symlink(h.root, h.path(keyDir)))
	h.make(pair(t, 2))
	info, err := os.Stat(secret)
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("it now belongs to %d, %s", stat.Uid, info.Mode())
	}
	for _, name := range []string{options, publicRing, noteName} {
		if data, err := os.ReadFile(h.path(name)); err != nil || bytes.Contains(data, []byte("secret")) {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(h.root, "*.key")); len(found) > 0 {
		t.Errorf("keys were written to %q", found)
	}
}

// An application that puts a link in the place of a directory while we are at work gets nothing of the host into its home.
func TestLinksThatAreMadeMeanwhileLeadNowhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give away")
	}
	h := newTestHost(t)
	h.make(pair(t, 1))
	secret := filepath.Join(h.root, "data/etc/key")
	must(t, os.Mkdir(filepath.Dir(secret), 0o700), os.WriteFile(secret, []byte("secret"), 0o600), os.Mkdir(h.path("sub"), 0o700), os.WriteFile(h.path("sub", "key"), nil, 0o600))
	done := false
	h.Home.System = system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
		if !done && e.Op == "link" && strings.HasSuffix(e.Object, "sub/key") {
			done = true
			return errors.Join(os.Rename(h.path("sub"), h.path("was")), os.Symlink("../etc", h.path("sub")))
		}
		return nil
	}})
	h.make(pair(t, 2))
	info, err := os.Stat(secret)
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); !done || stat.Uid != 0 || stat.Nlink != 1 {
		t.Errorf("it now belongs to %d and has %d names", stat.Uid, stat.Nlink)
	}
}

// Directories where gpg has files, and in places that are not kept, keep no host from starting, and nothing in them is lost.
func TestDirectoriesInPlacesOfFiles(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	want := map[string]string{}
	for name, to := range map[string]string{"x.lock": "x.lock", options: options + ".before", noteName: noteName + ".before", keybox: keybox + ".before", keyDir + "/sub": keyDir + "/sub", "d/e": "d/e"} {
		must(t, os.RemoveAll(h.path(name)), os.MkdirAll(h.path(name), 0o700), os.WriteFile(h.path(name, "theirs"), []byte(name), 0o600))
		want[to] = name
	}
	must(t, os.Remove(h.path(secretRing)), os.Symlink("theirs", h.path(secretRing)))
	for n := 2; n <= 3; n++ { // what was put aside stays
		h.make(pair(t, n))
		for to, text := range want {
			if data, err := os.ReadFile(h.path(to, "theirs")); string(data) != text || err != nil {
				t.Errorf("%s is %q, %v", to, data, err)
			}
		}
		if target, err := os.Readlink(h.path(secretRing + ".before")); target != "theirs" || err != nil {
			t.Errorf("the link is %q, %v", target, err)
		}
	}
	if text, _, err := h.open(h.seal("x")); text != "x" || err != nil {
		t.Errorf("it opens %q, %v", text, err)
	}
}

// One key that is damaged in a keybox hides none of the others.
func TestAKeyboxThatIsDamagedInOnePlace(t *testing.T) {
	m := newMaker(t)
	for n := range 3 {
		m.run([]byte(newKey(t, encryptUser, n+1)), "--import")
	}
	data, err := os.ReadFile(filepath.Join(m.home, keybox))
	must(t, err)
	whole, err := readKeybox(data)
	must(t, err)
	second := bytes.Index(data, whole[1].bytes()[:200])
	if len(whole) != 3 || second < 0 {
		t.Fatalf("it has %d keys, the second at %d", len(whole), second)
	}
	data[second] = 0
	found, err := readKeybox(data)
	if err == nil || len(found) != 2 || !sameKey(found[0], whole[0]) || !sameKey(found[1], whole[2]) {
		t.Errorf("%d keys are found, %v", len(found), err)
	}
}

// An application that runs has its home mounted, which is another directory once keys have changed. It goes on with that until it is made anew.
func TestWhoHasTheOldHomeGoesOnWithIt(t *testing.T) {
	need(t, "gpg1")
	for _, exchange := range []func(string, string) error{nil, noExchange} {
		h := newTestHost(t)
		h.make(pair(t, 1))
		document := h.seal("old")
		mounted, err := os.Open(h.path())
		must(t, err)
		defer mounted.Close()
		old := fmt.Sprintf("/proc/%d/fd/%d/", os.Getpid(), mounted.Fd())
		h.exchange = exchange
		h.make(pair(t, 2))
		if out, said := (gnupg{t, "gpg1", old, 0}).run(document, "--decrypt"); string(out) != "old" || !h.Outlived() {
			t.Errorf("it opens its document as %q: %s", out, said)
		}
		h.make(pair(t, 3))
		if out, said := (gnupg{t, "gpg1", old, 0}).run(document, "--decrypt"); string(out) != "old" {
			t.Errorf("after another change it opens its document as %q: %s", out, said)
		}
		must(t, h.Forget())
		if left, err := os.ReadDir(filepath.Dir(h.path())); len(left) != 1 || err != nil || h.Outlived() {
			t.Errorf("beside the home there is %v, %v", left, err)
		}
		if text, _, err := h.open(document); text != "old" || err != nil {
			t.Errorf("the new home opens it as %q, %v", text, err)
		}
	}
}

// What the application can write into the note of its home does not get into the log.
func TestTheNoteOfAHomeSaysNothingOfItsOwn(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	note := strings.NewReplacer(`"use": "encrypt"`, `"use": "\n<0>kernel: panic", "expires": "2020-01-01T00:00:00Z"`, `"use": "sign"`, `"use": "sign", "expires": "2020-01-01T00:00:00Z"`)
	data, err := os.ReadFile(h.path(noteName))
	must(t, err, os.WriteFile(h.path(noteName), []byte(note.Replace(string(data))), 0o600))
	if warnings := h.Warnings(); len(warnings) != 1 || !strings.HasPrefix(warnings[0].Text, "The vault's key to sign has expired on 2020-01-01") {
		t.Errorf("warnings: %q", warnings)
	}
}
