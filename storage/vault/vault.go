// Package vault keeps the OpenPGP keys with which the application seals documents: it checks those of the environment, makes
// the GnuPG home that the application's gpg works in (1.4, 2.2 and 2.4, without a prompt), and seals, opens and verifies documents as the
// application does. Keys that are no longer in use stay in the home, so that old documents stay readable.
//
// The host needs no gpg for it. How gpg keeps its files: doc/DETAILS, agent/keyformat.txt and kbx/keybox-blob.c of GnuPG; RFC 4880.
package vault

import (
	"strings"
	"time"

	"appliance/internal/system"
)

// Where things lie.
const (
	HomePath  = "/data/ecs-gpg"           // the GnuPG home
	StorePath = "/data/ecs-storage-vault" // the sealed documents
)

// The keys of the environment, and the user IDs that the application looks for them by.
const (
	EncryptKey  = "vault_encrypt"
	SignKey     = "vault_sign"
	RetiredKeys = "vault_retired"

	encryptUser = "ecs_mediaserver"
	signUser    = "ecs_authority"
)

// Keys are the texts of the environment: armored OpenPGP secret keys.
type Keys struct {
	Encrypt, Sign string
	Retired       []string // the newest first
}

// None says whether the environment asks for no vault.
func (k Keys) None() bool { return k.Encrypt == "" && k.Sign == "" }

// Key tells of one key. It has nothing secret.
type Key struct {
	Use         string     `json:"use"` // "encrypt", "sign" or "retired"
	Fingerprint string     `json:"fingerprint"`
	UserIDs     []string   `json:"user_ids"`
	Algorithm   string     `json:"algorithm"` // such as "rsa2048"
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires,omitempty"`
	InEnv       bool       `json:"in_env"` // else only the home has it
}

// The uses of a key.
const (
	UseEncrypt = "encrypt"
	UseSign    = "sign"
	UseRetired = "retired"
)

// Home is the GnuPG home of a host.
type Home struct {
	System *system.System
	Owner  int // numeric user and group that the application runs as

	exchange func(a, b string) error // in the place of the system's, for tests
}

// hasUser says whether a key has the user ID of a role: the bare name, as gpg 1 makes it, or "name <name>" as gpg 2 does.
func hasUser(ids []string, user string) bool {
	for _, id := range ids {
		if id = strings.TrimSpace(id); id == user || id == user+" <"+user+">" {
			return true
		}
	}
	return false
}
