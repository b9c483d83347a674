package vault

import (
	"errors"
	"fmt"
	"slices"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// expected says why a message cannot have been sealed here, as far as that is known before it is read.
func expected(message *openpgp.MessageDetails) error {
	err := bad(Unsigned, "it has no signature, or one of a kind that is not trusted any more")
	for _, c := range message.SignatureCandidates {
		if err = known(c); err == nil {
			return nil
		}
	}
	return err
}

func known(c *openpgp.SignatureCandidate) error {
	switch {
	case c.SignedByEntity == nil:
		return bad(UnknownSigner, "it is signed by key %016X, which is not here", c.IssuerKeyId)
	case !signs(c.SignedByEntity):
		return bad(WrongSigner, "it is signed by %s, and should be by %s", nameOf(c.SignedByEntity), signUser)
	}
	return nil
}

// judge holds the signatures of a message that has been read to its end against who may sign documents. One good one is enough.
func (r *Ring) judge(message *openpgp.MessageDetails, n int64) (Opened, error) {
	err := expected(message)
	for _, c := range message.SignatureCandidates {
		if known(c) != nil {
			continue
		}
		signed := r.verify(c)
		if signed == nil {
			return Opened{n, fmt.Sprintf("%X", c.SignedByEntity.PrimaryKey.Fingerprint), c.CorrespondingSig.CreationTime.UTC(),
				fmt.Sprintf("%X", message.DecryptedWith.Entity.PrimaryKey.Fingerprint)}, nil
		}
		err = bad(Tampered, "the signature of %s is not good: %v", nameOf(c.SignedByEntity), signed)
	}
	return Opened{}, err
}

// verify says what is wrong with a signature. The library gives up on one that is older than all that the key states of itself today, as it is
// once a key was prolonged, and on one that is newer than a clock which has lost the time: gpg knows both for good.
func (r *Ring) verify(c *openpgp.SignatureCandidate) error {
	sig, config := c.CorrespondingSig, r.lenient()
	if errors.Is(c.SignatureError, pgp.ErrSignatureExpired) && sig != nil && sig.CreationTime.After(r.now()) {
		return nil // the library says so last, when all else is good
	}
	if c.SignatureError == nil || c.SignedBy != nil || c.SignedByEntity == nil || !announced(c) {
		return c.SignatureError
	}
	key, able := c.SignedByEntity.SigningKeyById(stated(c.SignedByEntity, c.IssuerKeyId, sig.CreationTime), c.IssuerKeyId, config)
	switch {
	case !able:
		return c.SignatureError
	case config.RejectHashAlgorithm(sig.Hash) || config.RejectMessageHashAlgorithm(sig.Hash):
		return fmt.Errorf("its digest is %s", sig.Hash)
	case sig.CreationTime.Before(key.PublicKey.CreationTime):
		return pgp.ErrSignatureOlderThanKey
	case sig.SigExpired(later(r.now(), sig.CreationTime)):
		return pgp.ErrSignatureExpired
	case slices.ContainsFunc(sig.Notations, func(n *pgppacket.Notation) bool { return n.IsCritical }):
		return errors.New("it says something that must be understood, and is not")
	}
	return key.PublicKey.VerifySignature(c.Hash, sig)
}

// announced says whether the signature is what stood before the document, by which the digest was made: what the key has signed of itself, or
// as text, would else count for a document that looks like it.
func announced(c *openpgp.SignatureCandidate) bool {
	sig := c.CorrespondingSig
	return sig != nil && c.Hash != nil && sig.Version == 4 && c.OPSVersion == 3 && c.SigType == sig.SigType && c.HashAlgorithm == sig.Hash &&
		c.PubKeyAlgo == sig.PubKeyAlgo && sig.IssuerKeyId != nil && *sig.IssuerKeyId == c.IssuerKeyId
}

// stated is the time of a signature, or the first one after it at which the key's newest statements of itself hold.
func stated(e *openpgp.Entity, id uint64, signed time.Time) time.Time {
	if self, err := e.PrimarySelfSignature(time.Time{}, nil); err == nil {
		signed = later(signed, self.CreationTime)
	}
	for _, sub := range e.Subkeys {
		if binding, err := sub.LatestValidBindingSignature(time.Time{}, nil); err == nil && sub.PublicKey.KeyId == id {
			signed = later(signed, binding.CreationTime)
		}
	}
	return signed
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
