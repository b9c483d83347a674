package vault

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programs are the gpg of the host, both as the application and as root.
func programs(t *testing.T, h *host) (all []gnupg) {
	t.Helper()
	need(t, "gpg", "gpg1", "gpgconf")
	endAgents(t, h.path())
	for _, program := range []string{"gpg1", "gpg"} {
		users := []int{0}
		if _, err := exec.LookPath("setpriv"); err == nil && os.Geteuid() == 0 {
			users = []int{1000, 0}
		}
		for _, user := range users {
			all = append(all, gnupg{t, program, h.path(), user})
		}
	}
	return all
}

// Every gpg works in the home without a prompt, in both directions, for new documents and for those from before two rotations.
func TestEveryGnuPGWorksInTheHome(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	oldest := h.seal("the oldest")
	h.make(pair(t, 2))
	old := h.seal("old")
	third := pair(t, 3)
	third.Retired = []string{newKey(t, encryptUser, 2), newKey(t, signUser, 2)}
	h.make(third)
	for _, gpg := range programs(t, h) {
		t.Run(fmt.Sprintf("%s as %d", gpg.program, gpg.user), func(t *testing.T) {
			gpg.t = t
			for text, sealed := range map[string][]byte{"the oldest": oldest, "old": old, "new": h.seal("new")} {
				out, said := gpg.run(sealed, "--decrypt")
				if string(out) != text || !strings.Contains(said, `Good signature from "ecs_authority"`) {
					t.Errorf("it opens %q as %q and says\n%s", text, out, said)
				}
			}
			sealed, _ := gpg.run([]byte("from gpg"), "--sign", "--encrypt", "--local-user", signUser, "--recipient", encryptUser)
			text, opened, err := h.open(sealed)
			if text != "from gpg" || err != nil {
				t.Fatalf("what it seals is opened as %q, %v", text, err)
			}
			want, _ := third.read(h.System.Now())
			if opened.Signer != want.sign.Fingerprint || opened.Recipient != want.encrypt.Fingerprint {
				t.Errorf("%+v, and the keys of the environment are %s and %s", opened, want.sign.Fingerprint, want.encrypt.Fingerprint)
			}
		})
	}
	if why, err := h.Differs(third); why != "" || err != nil {
		t.Errorf("after gpg has worked in it the home differs: %q, %v", why, err)
	}
}
