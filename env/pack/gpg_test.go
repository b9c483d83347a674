package pack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env/pack"
)

// gnupg answers a way to run gpg 2 with a home of its own. The agent's socket must have a short path.
func gnupg(t *testing.T) func(argv ...string) string {
	need(t, "gpg", "gpgconf", "tar")
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	save(t, filepath.Join(home, "gpg-agent.conf"), []byte("s2k-count 65536\n")) // passphrases need not be safe here, but fast
	t.Cleanup(func() {
		// The test's context has ended by now.
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return func(argv ...string) string {
		return run(t, append([]string{"gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "geheim"}, argv...)...)
	}
}

// Keys made by gpg are encrypted to, gpg opens the archive, tar lists it; and back again with the secret key, which is
// locked by a passphrase.
func TestGnuPG(t *testing.T) {
	gpg, dir := gnupg(t), t.TempDir()
	gpg("--quick-generate-key", "vault <vault@example.org>", "future-default", "default", "never")
	gpg("--quick-generate-key", "old <old@example.org>", "rsa2048", "sign,cert,encr", "never")
	keys := file("keys.asc", []byte(gpg("--armor", "--export", "vault", "old")))

	outputs, err := pack.Package(pack.Order{Document: []byte(document), Domain: "ecs.example.org", Made: time.Now(), Keys: []pack.Input{keys}})
	if err != nil {
		t.Fatal(err)
	}
	sealed := outputs[len(outputs)-1]
	archive := save(t, filepath.Join(dir, sealed.Name), sealed.Data)
	if packets := gpg("--list-packets", archive); strings.Count(packets, ":pubkey enc packet:") != 2 || !strings.Contains(packets, "mdc_method: 2") {
		t.Errorf("packets:\n%s", packets)
	}
	plain := filepath.Join(dir, "plain.tar.gz")
	gpg("--output", plain, "--decrypt", archive)
	if diff := cmp.Diff("env.yml\nenv.yml.pdf\nenv-cidata.iso\n", run(t, "tar", "-tzf", plain)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(document, run(t, "tar", "-xzOf", plain, "env.yml")); diff != "" {
		t.Errorf("env.yml (-want +got):\n%s", diff)
	}

	for _, user := range []string{"vault", "old"} {
		secret := file("secret.asc", []byte(gpg("--armor", "--export-secret-keys", user)))
		var asked []string
		found, err := pack.Recover([]pack.Input{file(sealed.Name, sealed.Data)}, pack.Keys{
			Secret:     []pack.Input{secret},
			Passphrase: func(key string) ([]byte, error) { asked = append(asked, key); return []byte("geheim"), nil },
		})
		if err != nil || string(found.Document) != document {
			t.Errorf("%s: %q, %v", user, found.Document, err)
		}
		if len(asked) != 1 || !strings.Contains(asked[0], user+"@example.org") {
			t.Errorf("asked for %q", asked)
		}
	}
}

// What gpg encrypts, in armor too, is read.
func TestArchivesOfGnuPG(t *testing.T) {
	gpg, dir := gnupg(t), t.TempDir()
	gpg("--quick-generate-key", "vault <vault@example.org>", "future-default", "default", "never")
	save(t, filepath.Join(dir, "env.yml"), []byte(document))
	run(t, "tar", "-C", dir, "-czf", filepath.Join(dir, "e.tar.gz"), "./env.yml")
	secret := file("secret.gpg", []byte(gpg("--export-secret-keys", "vault")))
	for _, form := range []string{"--no-armor", "--armor"} {
		for _, name := range []string{"e.tar.gz", "env.yml"} {
			sealed := filepath.Join(dir, name+form)
			gpg(form, "--trust-model", "always", "--recipient", "vault", "--output", sealed, "--encrypt", filepath.Join(dir, name))
			data, err := os.ReadFile(sealed)
			if err != nil {
				t.Fatal(err)
			}
			found, err := pack.Recover([]pack.Input{file("e", data)}, pack.Keys{
				Secret: []pack.Input{secret}, Passphrase: func(string) ([]byte, error) { return []byte("geheim"), nil },
			})
			if err != nil || string(found.Document) != document {
				t.Errorf("%s %s: %q, %v", name, form, found.Document, err)
			}
		}
	}
}
