package vault

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

// StatusVersion is the version of Status as JSON.
const StatusVersion = 1

// What a status can say of home and environment.
const (
	StateNone    = "none"    // the environment has no keys
	StateGood    = "good"    // they agree
	StateDiffers = "differs" // the next start makes the home anew
	StateRefused = "refused" // the environment's keys cannot be used
)

// Status tells how the vault's keys are doing.
type Status struct {
	Version  int      `json:"version"`
	State    string   `json:"state"`
	Why      string   `json:"why,omitempty"`
	Home     string   `json:"home"`
	Keys     []Key    `json:"keys"` // the environment's, then those that only the home has
	Warnings []string `json:"warnings"`
}

// Status looks at the home, and holds it against the keys of the environment.
func (h Home) Status(k Keys) (Status, error) {
	s := Status{Version: StatusVersion, State: StateNone, Home: HomePath, Keys: []Key{}, Warnings: []string{}}
	have, err := readContents(h.dir())
	if err != nil {
		return s, remedy.With(err, "ask as root")
	}
	now := h.System.Now()
	if !k.None() {
		found, refusals := k.read(now)
		s.State = StateGood
		for _, refusal := range refusals {
			s.State, s.Why = StateRefused, refusal.Error()
		}
		for _, key := range found.all() {
			if key.Fingerprint != "" {
				s.Keys = append(s.Keys, key.Key)
			}
		}
		why, err := h.Differs(k)
		if err != nil {
			return s, err
		}
		if why != "" && s.State == StateGood {
			s.State, s.Why = StateDiffers, why
		}
	}
	have.complete()
	s.Keys = append(s.Keys, others(have, s.Keys)...)
	for _, key := range s.Keys {
		if w, holds := key.warning(now); holds {
			s.Warnings = append(s.Warnings, w.String())
		}
		if !key.InEnv && !k.None() && (hasUser(key.UserIDs, encryptUser) || hasUser(key.UserIDs, signUser)) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("Key %s is only in the home, and a host that is made anew could not open its documents: have it written to a file with `appliance vault export --missing FILE`, and put it into ecs.%s",
				key.Fingerprint, RetiredKeys))
		}
	}
	for _, name := range have.damaged {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s in the home is damaged", name))
	}
	return s, nil
}

// Export writes the public keys in ASCII armor: those that seal, and with retired all that the vault was ever used with here.
func (h Home) Export(to io.Writer, retired bool) error {
	c, err := readContents(h.dir())
	if err != nil {
		return remedy.With(err, "run it as root")
	}
	var data []byte
	for _, user := range []string{encryptUser, signUser} {
		ours := slices.DeleteFunc(slices.Clone(c.public), func(b block) bool { return !hasUser(b.userIDs(), user) || indexOf(c.secret, b) < 0 })
		if len(ours) == 0 {
			return remedy.With(errNoVault, "put ecs."+EncryptKey+" and ecs."+SignKey+" into the environment and start the appliance")
		}
		if !retired {
			ours = ours[:1]
		}
		for _, b := range ours {
			open, err := b.public()
			if err != nil {
				return fmt.Errorf("cannot export the keys of the storage vault: %w", err)
			}
			data = append(data, open.bytes()...)
		}
	}
	return writeArmor(to, openpgp.PublicKeyType, data)
}

func writeArmor(to io.Writer, kind string, data []byte) error {
	w, err := armor.Encode(to, kind, nil)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		_, err = io.WriteString(to, "\n")
	}
	return err
}

// Missing answers the vault's secret keys that only the home has, in ASCII armor: a host that is made anew from the environment would
// not have them.
func (h Home) Missing(k Keys) (texts []string, err error) {
	c, err := readContents(h.dir())
	if err != nil {
		return nil, remedy.With(err, "run it as root")
	}
	c.complete()
	found, _ := k.read(h.System.Now())
	var known []block
	for _, key := range found.all() {
		if len(key.block) > 0 {
			known = append(known, key.block)
		}
	}
	for _, b := range c.secret {
		if indexOf(known, b) >= 0 || !hasUser(b.userIDs(), encryptUser) && !hasUser(b.userIDs(), signUser) {
			continue
		}
		var text strings.Builder
		if err := writeArmor(&text, openpgp.PrivateKeyType, b.untrusted().bytes()); err != nil {
			return nil, err
		}
		texts = append(texts, text.String())
	}
	return texts, nil
}
