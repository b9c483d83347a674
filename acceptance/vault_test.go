package acceptance

import (
	"fmt"
	"strings"
	"time"

	"appliance/env/create"
)

// gpg is what the application does, as its user, in the home of its keys.
func (b *box) gpg(args ...string) (stdout, stderr string) {
	b.t.Helper()
	argv := append([]string{"setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "HOME=/nonexistent", "gpg", "--homedir", "/data/ecs-gpg", "--batch"}, args...)
	stdout, stderr, code := b.Try(b.t.Context(), argv...)
	if code != 0 {
		b.t.Fatalf("gpg %q ends with %d: %s", args, code, stderr)
	}
	return stdout, stderr
}

// vaultKeys makes a pair, as it stands in an environment.
func (b *box) vaultKeys() (encrypt, sign string) {
	b.t.Helper()
	encrypt, err := create.NewOpenPGP("ecs_mediaserver", time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	if sign, err = create.NewOpenPGP("ecs_authority", time.Now()); err != nil {
		b.t.Fatal(err)
	}
	return encrypt, sign
}

const (
	vaultStore = "/data/ecs-storage-vault/"
	byUs       = ", sealed by us"
)

// vaulted has gpg 2.4 work in a home that it has made itself, which becomes ours, and in those that come after it.
func vaulted(b *box) {
	if version, _ := b.gpg("--version"); !strings.HasPrefix(version, "gpg (GnuPG) 2.4.") {
		b.t.Fatalf("this is %s", version)
	}
	for user, usage := range map[string]string{"ecs_mediaserver": "cert,sign,encr", "ecs_authority": "cert,sign"} { // what is sealed to such a key is authenticated by OCB
		b.gpg("--passphrase", "", "--quick-generate-key", user, "rsa2048", usage, "never")
	}
	documents := map[string]string{"of the predecessor": b.gpgSeals("of the predecessor")}
	encrypt, sign := b.vaultKeys()
	block := func(text string) string {
		return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	b.env("ecs:\n  vault_encrypt: " + block(encrypt) + "  vault_sign: " + block(sign))
	for n, change := range []string{"", "appliance vault rotate --yes", "appliance vault rotate --yes"} {
		b.Run("sh", "-c", change)
		b.Run("appliance", "reload")
		b.awaitHealthy()
		text := fmt.Sprintf("after %d changes", n)
		documents[text] = b.gpgSeals(text)
		documents[text+byUs] = fmt.Sprintf("%s%d", vaultStore, n)
		b.Run("appliance", "vault", "seal", "/run/plain", documents[text+byUs])
		b.opensAll(documents)
	}
	b.Eventually(time.Minute, "nothing but the home in use", func() bool { return !strings.Contains(b.Run("ls", "-A", "/data"), ".ecs-gpg") })
	b.t.Log(b.Run("appliance", "vault", "status")) // which ends with 3 where gpg has left something that is to be mended
}

// gpgSeals puts a text into the vault as the application does.
func (b *box) gpgSeals(text string) (file string) {
	b.t.Helper()
	file = fmt.Sprintf("%s%d.gpg", vaultStore, time.Now().UnixNano())
	b.WriteFile("/run/plain", []byte(text), 0o644)
	b.gpg("--sign", "--encrypt", "--trust-model", "always", "--local-user", "ecs_authority", "--recipient", "ecs_mediaserver", "--output", file, "/run/plain")
	return file
}

// opensAll has every document opened by gpg and by us.
func (b *box) opensAll(documents map[string]string) {
	b.t.Helper()
	for text, file := range documents {
		want := strings.TrimSuffix(text, byUs)
		if out, said := b.gpg("--decrypt", file); out != want || !strings.Contains(said, `Good signature from "ecs_authority"`) {
			b.t.Errorf("gpg opens %q as %q: %s", text, out, said)
		}
		if out := b.Run("appliance", "vault", "open", file); out != want {
			b.t.Errorf("we open %q as %q", text, out)
		}
	}
	if out := b.Run("appliance", "vault", "verify"); !strings.Contains(out, fmt.Sprintf("%d of %d documents are good", len(documents), len(documents))) {
		b.t.Errorf("verify says %s", out)
	}
}
