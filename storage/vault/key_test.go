package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/remedy"
)

// maker makes keys with gpg 2 in a home of its own.
type maker struct {
	gnupg
	t testing.TB
}

func newMaker(t testing.TB) maker {
	t.Helper()
	need(t, "gpg", "gpgconf")
	home, err := os.MkdirTemp("", "m")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	endAgents(t, home)
	must(t, os.WriteFile(filepath.Join(home, "gpg-agent.conf"), []byte("s2k-count 65536\n"), 0o600)) // fast, not safe
	return maker{gnupg{t, "gpg", home, 0}, t}
}

func (m maker) key(user, passphrase, algorithm, usage, expire string) string {
	m.t.Helper()
	m.run(nil, "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-generate-key", user, algorithm, usage, expire)
	return m.export(user, passphrase)
}

func (m maker) export(user, passphrase string) string {
	m.t.Helper()
	out, _ := m.run(nil, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--armor", "--export-secret-keys", user)
	return string(out)
}

// fingerprint is that of the key that was made last.
func (m maker) fingerprint(user string) string {
	m.t.Helper()
	out, _ := m.run(nil, "--with-colons", "--list-keys", user)
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	m.t.Fatalf("no fingerprint in %s", out)
	return ""
}

func refused(k Keys, now time.Time) (lines []string) {
	for _, r := range k.Check(now) {
		lines = append(lines, fmt.Sprintf("%s: %v; %s", r.Key, r.Err, remedy.Of(r)))
	}
	return lines
}

const again = "put in the whole of what `gpg --armor --export-secret-keys` prints for it, from BEGIN to END"

func TestKeysThatCannotBeUsedAreRefused(t *testing.T) {
	encrypt, sign := newKey(t, encryptUser, 1), newKey(t, signUser, 1)
	half := encrypt[:len(encrypt)/2]
	const end = "\n-----END PGP PRIVATE KEY BLOCK-----\n"
	damaged := strings.Replace(encrypt, "\n\n", "\n\nAAAA", 1)
	for _, test := range []struct {
		name string
		keys Keys
		want []string
	}{
		{"good", Keys{Encrypt: encrypt, Sign: sign}, nil},
		{"one of two", Keys{Sign: sign}, []string{"vault_encrypt: is missing: ecs.vault_sign is nothing without it; give both keys of the storage vault, or none"}},
		{"swapped", Keys{Encrypt: sign, Sign: encrypt}, []string{
			`vault_encrypt: holds the key of "ecs_authority", and should hold that of ecs_mediaserver; it is the key for ecs.vault_sign: the two are swapped`,
			`vault_sign: holds the key of "ecs_mediaserver", and should hold that of ecs_authority; it is the key for ecs.vault_encrypt: the two are swapped`}},
		{"no key", Keys{Encrypt: "e", Sign: sign}, []string{"vault_encrypt: holds no OpenPGP key in ASCII armor; " + again}},
		{"cut off", Keys{Encrypt: half, Sign: sign}, []string{"vault_encrypt: holds a key that is cut off: it has no END line; " + again}},
		{"cut off inside", Keys{Encrypt: half + end, Sign: sign}, []string{"vault_encrypt: holds a key that is cut off or damaged; " + again}},
		{"cut off inside, a letter later", Keys{Encrypt: encrypt[:len(half)+1] + end, Sign: sign}, []string{"vault_encrypt: holds a key that is cut off or damaged; " + again}},
		{"damaged", Keys{Encrypt: damaged, Sign: sign}, []string{"vault_encrypt: holds a key that is cut off or damaged; " + again}},
		{"two keys one after the other", Keys{Encrypt: encrypt + sign, Sign: sign}, []string{
			"vault_encrypt: holds 2 blocks of ASCII armor, and should hold one; put in one key; others that open old documents belong into ecs.vault_retired"}},
		{"10 MB", Keys{Encrypt: encrypt + strings.Repeat("A", 10<<20), Sign: sign}, []string{
			fmt.Sprintf("vault_encrypt: has %d bytes, which no key has: at most 262144 are read; put in one secret key, as `gpg --armor --export-secret-keys` prints it", len(encrypt)+10<<20)}},
		{"a retired one that is damaged", Keys{Encrypt: encrypt, Sign: sign, Retired: []string{newKey(t, signUser, 2), half}}, []string{
			"vault_retired[1]: holds a key that is cut off: it has no END line; " + again}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, refused(test.keys, time.Now())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Keys as an operator's gpg makes them.
func TestKeysOfGnuPGThatCannotBeUsedAreRefused(t *testing.T) {
	m, sign := newMaker(t), newKey(t, signUser, 1)
	const fresh = "make a new pair, as `appliance vault rotate` does"
	both := m.key(encryptUser, "", "rsa2048", "sign,cert,encr", "never")
	public, _ := m.run(nil, "--armor", "--export", encryptUser)
	two := m.key("another", "", "rsa2048", "default", "never") // exported together
	twoInOne, _ := m.run(nil, "--armor", "--export-secret-keys")
	expired := newMaker(t)
	expired.run(nil, "--quiet", "--passphrase", "", "--faked-system-time", "20200101T000000", "--quick-generate-key", encryptUser, "rsa2048", "sign,cert,encr", "2020-02-01")
	revoked := newMaker(t)
	revoked.key(encryptUser, "", "rsa2048", "sign,cert,encr", "never")
	certificate, err := os.ReadFile(filepath.Join(revoked.home, "openpgp-revocs.d", revoked.fingerprint(encryptUser)+".rev"))
	must(t, err)
	revoked.run([]byte(strings.Replace(string(certificate), ":-----BEGIN", "-----BEGIN", 1)), "--import")
	for _, test := range []struct {
		name, key string
		want      []string
	}{
		{"one key for all", both, nil},
		{"name and address", newMaker(t).key(encryptUser+" <"+encryptUser+">", "", "rsa3072", "sign,cert,encr", "never"), nil},
		{"public", string(public), []string{"vault_encrypt: holds a public key alone; put in the secret key, as `gpg --armor --export-secret-keys` prints it"}},
		{"another's", two, []string{`vault_encrypt: holds the key of "another", and should hold that of ecs_mediaserver; put in the key with the user ID ecs_mediaserver`}},
		{"two in one armor", string(twoInOne), []string{"vault_encrypt: holds 2 keys, and should hold one; put in one key; others that open old documents belong into ecs.vault_retired"}},
		{"a passphrase", newMaker(t).key(encryptUser, "geheim", "rsa2048", "sign,cert,encr", "never"), []string{
			"vault_encrypt: holds a key that is locked by a passphrase, which nobody is there to enter; take the passphrase off with `gpg --edit-key ID passwd`, and export the key again"}},
		{"expired", expired.export(encryptUser, ""), []string{"vault_encrypt: holds a key that has expired; prolong it with `gpg --edit-key ID expire` and export it again, or " + fresh}},
		{"revoked", revoked.export(encryptUser, ""), []string{"vault_encrypt: holds a key that was revoked; " + fresh}},
		{"for signatures alone", newMaker(t).key(encryptUser, "", "rsa2048", "sign,cert", "never"), []string{
			"vault_encrypt: holds a key that cannot encrypt: no valid part of it is for that; add such a part with `gpg --edit-key ID addkey` and export the key again, or " + fresh}},
		{"weak", newMaker(t).key(encryptUser, "", "rsa1024", "sign,cert,encr", "never"), []string{
			"vault_encrypt: holds a key that is too weak: a part of it is rsa1024, and RSA of 2048 bits is the least; " + fresh}},
		{"DSA", newMaker(t).key(encryptUser, "", "dsa2048", "sign,cert", "never"), []string{
			"vault_encrypt: holds a key that is too weak: a part of it is dsa2048, and RSA of 2048 bits is the least; " + fresh}},
		{"a curve", newMaker(t).key(encryptUser, "", "ed25519", "sign,cert", "never"), []string{
			"vault_encrypt: holds a key of a kind that not every gpg of applications can use; make an RSA key"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, refused(Keys{Encrypt: test.key, Sign: sign}, time.Now())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A host whose clock has lost the time starts with keys that seem to be made in the future.
func TestAKeyOfTheFutureIsGood(t *testing.T) {
	if got := refused(pair(t, 1), time.Unix(0, 0)); got != nil {
		t.Error(got)
	}
}
