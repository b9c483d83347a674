package vault

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"io"
	"testing"
	"time"

	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/system"
)

// forger makes sealed messages of packets of its choice, as everybody can who has the public keys.
type forger struct {
	t       testing.TB
	encrypt *pgppacket.PublicKey
}

func (f forger) seal(packets func(io.Writer)) []byte {
	f.t.Helper()
	key := make([]byte, pgppacket.CipherAES256.KeySize())
	_, err := rand.Read(key)
	must(f.t, err)
	var sealed bytes.Buffer
	must(f.t, pgppacket.SerializeEncryptedKey(&sealed, f.encrypt, pgppacket.CipherAES256, key, nil))
	w, err := pgppacket.SerializeSymmetricallyEncrypted(&sealed, pgppacket.CipherAES256, false, pgppacket.CipherSuite{}, key, nil)
	must(f.t, err)
	packets(w)
	must(f.t, w.Close())
	return sealed.Bytes()
}

// forgerFor knows the public keys of a host that has the first pair.
func forgerFor(t testing.TB, h *host) forger {
	t.Helper()
	found, _ := pair(t, 1).read(h.System.Now())
	part, ok := found.encrypt.entity.EncryptionKey(h.System.Now(), nil)
	if !ok {
		t.Fatal("there is no key that encrypts")
	}
	return forger{t, part.PublicKey}
}

// announce writes that a signature of a key follows after the document.
func (f forger) announce(w io.Writer, key *pgppacket.PublicKey, as pgppacket.SignatureType, digest crypto.Hash) {
	f.t.Helper()
	p := &pgppacket.OnePassSignature{Version: 3, SigType: as, Hash: digest, PubKeyAlgo: key.PubKeyAlgo, KeyId: key.KeyId, IsLast: true}
	must(f.t, p.Serialize(w))
}

// signature signs a document at some time.
func (f forger) signature(key *pgppacket.PrivateKey, at time.Time, text string) *pgppacket.Signature {
	f.t.Helper()
	s := &pgppacket.Signature{Version: 4, SigType: pgppacket.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA256, CreationTime: at, IssuerKeyId: &key.KeyId}
	digest := s.Hash.New()
	_, _ = io.WriteString(digest, text)
	must(f.t, s.Sign(digest, key, nil))
	return s
}

func (f forger) signed(key *pgppacket.PrivateKey, at time.Time, text string) []byte {
	return f.seal(func(w io.Writer) {
		f.announce(w, &key.PublicKey, pgppacket.SigTypeBinary, crypto.SHA256)
		f.literal(w, text)
		must(f.t, f.signature(key, at, text).Serialize(w))
	})
}

// literal writes data as that of a document.
func (f forger) literal(w io.Writer, text string) {
	f.t.Helper()
	inner, err := pgppacket.SerializeLiteral(stays{w}, true, "", 0)
	must(f.t, err)
	_, err = io.WriteString(inner, text)
	must(f.t, err, inner.Close())
}

type stays struct{ io.Writer }

func (stays) Close() error { return nil }

// What a key has signed of itself, or another document, is no signature of this one.
func TestSignaturesOfSomethingElse(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	found, _ := pair(t, 1).read(h.System.Now())
	f := forgerFor(t, h)
	signer := found.sign.entity.PrimaryKey
	open, err := found.sign.block.public()
	must(t, err)
	id, certification := open[1], open[2]
	said := append([]byte{0x99}, binary.BigEndian.AppendUint16(nil, uint16(len(open[0].body)))...) // what a certification signs, RFC 4880 section 5.2.4
	said = append(append(said, open[0].body...), 0xb4)
	said = append(binary.BigEndian.AppendUint32(said, uint32(len(id.body))), id.body...)
	read, err := pgppacket.NewReader(bytes.NewReader(certification.append(nil))).Next()
	must(t, err)
	signature := read.(*pgppacket.Signature)
	if certification.tag != tagSignature || signer.VerifyUserIdSignature(string(id.body), signer, signature) != nil {
		t.Fatal("the key does not begin with a user ID and what it says of it")
	}
	sealed := f.seal(func(w io.Writer) {
		f.announce(w, signer, pgppacket.SigTypeBinary, signature.Hash)
		f.literal(w, string(said))
		_, err := w.Write(certification.append(nil))
		must(t, err)
	})
	if _, _, err := h.open(sealed); reasonOf(err) != Tampered {
		t.Errorf("a document of what the key says of itself: %v", err)
	}
}

// Signed as text, a line may end in one way or the other; a document that was signed byte by byte is another one with other line ends.
func TestASignatureOfBytesIsNoneOfText(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	found, _ := pair(t, 1).read(h.System.Now())
	f, signer := forgerFor(t, h), found.sign.entity.PrivateKey
	signature := f.signature(signer, h.System.Now(), "one\r\ntwo\r\n")
	for _, test := range []struct {
		text string
		as   pgppacket.SignatureType
		want Reason
	}{
		{"one\r\ntwo\r\n", pgppacket.SigTypeBinary, ""},
		{"one\r\ntwo\r\n", pgppacket.SigTypeText, Tampered},
		{"one\ntwo\n", pgppacket.SigTypeText, Tampered},
		{"one\ntwo\n", pgppacket.SigTypeBinary, Tampered},
	} {
		sealed := f.seal(func(w io.Writer) {
			f.announce(w, &signer.PublicKey, test.as, signature.Hash)
			f.literal(w, test.text)
			must(t, signature.Serialize(w))
		})
		if _, _, err := h.open(sealed); reasonOf(err) != test.want || test.want == "" && err != nil {
			t.Errorf("%q, announced as %d: %v", test.text, test.as, err)
		}
	}
}

// A clock that has lost the time makes no document bad, and no host unable to start.
func TestAHostWhoseClockHasLostTheTime(t *testing.T) {
	h, past := newTestHost(t), newTestHost(t)
	h.make(pair(t, 1))
	past.Home.System = system.New(system.Config{Root: past.root, Now: func() time.Time { return time.Unix(0, 0) }})
	past.make(pair(t, 1))
	if text, _, err := past.open(h.seal("of today")); text != "of today" || err != nil {
		t.Errorf("a document of today is opened as %q, %v", text, err)
	}
}

// Signatures of parts that were not to sign at their time, or ever.
func TestWhoWasNotToSign(t *testing.T) {
	m := newMaker(t)
	m.run(nil, "--quiet", "--passphrase", "", "--faked-system-time", "20200101T000000", "--quick-generate-key", signUser, "rsa2048", "cert", "2020-03-01")
	m.run(nil, "--quiet", "--passphrase", "", "--faked-system-time", "20200101T000000", "--quick-add-key", m.fingerprint(signUser), "rsa2048", "sign", "2020-02-01")
	good := m.export(signUser, "")
	k, err := readKey(good)
	must(t, err)
	primary, sub := k.entity.PrivateKey, k.entity.Subkeys[0].PrivateKey
	must(t, k.entity.Subkeys[0].Revoke(pgppacket.KeyCompromised, "", nil))
	var revoked, text bytes.Buffer
	must(t, k.entity.SerializePrivateWithoutSigning(&revoked, nil), writeArmor(&text, openpgp.PrivateKeyType, revoked.Bytes()))
	for _, test := range []struct {
		name, key string
		part      *pgppacket.PrivateKey
		day       int // of 2020
		want      Reason
	}{
		{"a part that signs", good, sub, 10, ""},
		{"before it was made", good, sub, -1, Tampered},
		{"after its end", good, sub, 40, Tampered},
		{"after the end of all", good, sub, 80, Tampered},
		{"a part that signs keys alone", good, primary, 10, Tampered},
		{"a part that was stolen", text.String(), sub, 10, Tampered},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			keys := pair(t, 1)
			keys.Retired = []string{test.key}
			h.make(keys)
			sealed := forgerFor(t, h).signed(test.part, time.Date(2020, 1, 1+test.day, 0, 0, 0, 0, time.UTC), "text")
			if _, _, err := h.open(sealed); reasonOf(err) != test.want || test.want == "" && err != nil {
				t.Errorf("it says %v", err)
			}
		})
	}
}
