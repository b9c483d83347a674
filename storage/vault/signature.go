package vault

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// judge holds the signatures of a message that has been read to its end against who may sign documents. One good one is enough.
func (r *Ring) judge(message *openpgp.MessageDetails, n int64) (Opened, error) {
	if !message.IsSigned {
		return Opened{}, bad(Unsigned, "it has no signature, or one of a kind that is not trusted any more")
	}
	err := bad(Unsigned, "it has no signature that can be read")
	for _, c := range message.SignatureCandidates {
		switch signed := verify(c); {
		case c.SignedByEntity == nil:
			err = bad(UnknownSigner, "it is signed by key %016X, which is not here", c.IssuerKeyId)
		case signed != nil:
			err = bad(Tampered, "the signature of %s is not good: %v", nameOf(c.SignedByEntity), signed)
		case !signs(c.SignedByEntity):
			err = bad(WrongSigner, "it is signed by %s, and should be by %s", nameOf(c.SignedByEntity), signUser)
		default:
			return Opened{n, fmt.Sprintf("%X", c.SignedByEntity.PrimaryKey.Fingerprint), c.CorrespondingSig.CreationTime.UTC(),
				fmt.Sprintf("%X", message.DecryptedWith.Entity.PrimaryKey.Fingerprint)}, nil
		}
	}
	return Opened{}, err
}

// verify says what is wrong with a signature. The library looks for a statement of the key about itself that is older than the
// signature, and a key that was prolonged has only a newer one: there we check what counts.
func verify(c *openpgp.SignatureCandidate) error {
	if c.SignatureError == nil || c.SignedBy != nil || c.SignedByEntity == nil || c.CorrespondingSig == nil {
		return c.SignatureError
	}
	part := partOf(c.SignedByEntity, c.IssuerKeyId)
	sig := c.CorrespondingSig
	switch {
	case part == nil || c.Hash == nil:
		return c.SignatureError
	case sig.Hash == crypto.MD5:
		return errors.New("its digest is MD5")
	case sig.CreationTime.Before(part.CreationTime):
		return errors.New("it is older than the key")
	case c.SignedByEntity.Revoked(sig.CreationTime):
		return errors.New("the key was revoked")
	case c.SignedByEntity.PrimaryKey.KeyId != c.IssuerKeyId && !bound(c.SignedByEntity, c.IssuerKeyId):
		return c.SignatureError
	}
	return part.VerifySignature(c.Hash, sig)
}

func partOf(e *openpgp.Entity, id uint64) *pgppacket.PublicKey {
	if e.PrimaryKey.KeyId == id {
		return e.PrimaryKey
	}
	for _, sub := range e.Subkeys {
		if sub.PublicKey.KeyId == id {
			return sub.PublicKey
		}
	}
	return nil
}

// bound says whether the key has stated, at whatever time, that a subkey signs for it.
func bound(e *openpgp.Entity, id uint64) bool {
	for _, sub := range e.Subkeys {
		if sub.PublicKey.KeyId == id {
			sig, err := sub.LatestValidBindingSignature(time.Time{}, nil)
			return err == nil && sig.FlagSign
		}
	}
	return false
}
