package vault

import (
	"crypto/sha1" //nolint:gosec // fingerprints and keygrips of version 4 are SHA-1
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Public-key algorithms of RFC 4880 section 9.1.
const (
	algoRSA     = 1 // 2 and 3 are RSA for one use alone
	algoElGamal = 16
	algoDSA     = 17
)

// algorithm says how a kind of key is written, in OpenPGP and by gpg-agent.
type algorithm struct {
	name   string // as gpg-agent calls it
	public string // the numbers of the public key, a letter each
	secret string // those of the secret one after them
	grip   string // what the keygrip is made of, "" for the modulus alone
}

// algorithms are those that are written by their numbers alone; for others, a ring or key file is kept as it is.
var algorithms = map[byte]algorithm{
	algoRSA: {"rsa", "ne", "dpqu", ""}, 2: {"rsa", "ne", "dpqu", ""}, 3: {"rsa", "ne", "dpqu", ""},
	algoElGamal: {"elg", "pgy", "x", "pgy"},
	algoDSA:     {"dsa", "pqgy", "x", "pqgy"},
}

// Why a key's numbers cannot be read.
var (
	errLocked  = errors.New("it is locked by a passphrase")
	errNoParts = errors.New("its secret part is missing")
	errForeign = errors.New("it is of a kind that is not known here")
)

// material is one key packet taken apart.
type material struct {
	algo    byte
	created uint32
	public  []byte            // the body of the public packet
	numbers map[byte]*big.Int // by letter; the secret ones are there for a secret packet
	locked  error             // why the secret ones are not: errLocked or errNoParts; nil for a public packet
}

// readMaterial reads a public or secret key packet of version 4. A secret that is locked is no error.
func readMaterial(p packet) (material, error) {
	m := material{numbers: map[byte]*big.Int{}}
	if len(p.body) < 6 || p.body[0] != 4 {
		return m, errForeign
	}
	m.created, m.algo = binary.BigEndian.Uint32(p.body[1:]), p.body[5]
	algo, ok := algorithms[m.algo]
	if !ok {
		return m, errForeign
	}
	rest, err := m.read(algo.public, p.body[6:])
	if err != nil {
		return m, err
	}
	m.public = p.body[: len(p.body)-len(rest) : len(p.body)-len(rest)]
	if p.tag == tagPublicKey || p.tag == tagPublicSubkey {
		return m, nil
	}
	return m, m.readSecret(algo, rest)
}

// Usages of a secret, RFC 4880 section 5.5.3, and the way gpg writes a secret that is elsewhere.
const (
	secretClear = 0
	secretMD5   = 254 // from here on a string-to-key specifier follows
	s2kGNU      = 101
)

func (m *material) readSecret(algo algorithm, data []byte) error {
	switch {
	case len(data) == 0:
		return errPacket
	case data[0] >= secretMD5 && len(data) > 2 && data[2] == s2kGNU:
		m.locked = errNoParts
		return nil
	case data[0] != secretClear:
		m.locked = errLocked
		return nil
	}
	rest, err := m.read(algo.secret, data[1:])
	if err != nil {
		return err
	}
	var sum uint16
	for _, b := range data[1 : len(data)-len(rest)] {
		sum += uint16(b)
	}
	if len(rest) != 2 || binary.BigEndian.Uint16(rest) != sum {
		return errPacket
	}
	return nil
}

// read takes numbers off data, of the form of RFC 4880 section 3.2: a count of bits and as many bytes as they need.
func (m *material) read(letters string, data []byte) (rest []byte, err error) {
	for _, letter := range []byte(letters) {
		if len(data) < 2 {
			return nil, errPacket
		}
		size := (int(binary.BigEndian.Uint16(data)) + 7) / 8
		if size == 0 || len(data) < 2+size {
			return nil, errPacket
		}
		m.numbers[letter] = new(big.Int).SetBytes(data[2 : 2+size])
		data = data[2+size:]
	}
	return data, nil
}

func appendNumber(to []byte, n *big.Int) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(n.BitLen())), n.Bytes()...)
}

// secretBody is the body of the secret packet, not locked.
func (m material) secretBody() []byte {
	body := append(slices.Clone(m.public), secretClear)
	var secret []byte
	for _, letter := range []byte(algorithms[m.algo].secret) {
		secret = appendNumber(secret, m.numbers[letter])
	}
	var sum uint16
	for _, b := range secret {
		sum += uint16(b)
	}
	return binary.BigEndian.AppendUint16(append(body, secret...), sum)
}

// whole says whether the secret numbers are there.
func (m material) whole() bool {
	secret := algorithms[m.algo].secret
	return secret != "" && m.numbers[secret[0]] != nil
}

// fingerprint is that of RFC 4880 section 12.2, in capital letters of hex.
func (m material) fingerprint() string {
	head := binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(m.public)))
	return hash(head, m.public)
}

// grip is the name that gpg-agent gives the key.
func (m material) grip() string {
	algo := algorithms[m.algo]
	if algo.grip == "" {
		return hash(signed(m.numbers['n']))
	}
	var parts [][]byte
	for _, letter := range []byte(algo.grip) {
		number := signed(m.numbers[letter])
		parts = append(parts, fmt.Appendf(nil, "(1:%c%d:", letter, len(number)), number, []byte(")"))
	}
	return hash(parts...)
}

// bits is the length of the key.
func (m material) bits() int { return m.numbers[algorithms[m.algo].public[0]].BitLen() }

// signed writes a number as gpg-agent does: with a zero before it where it would else look negative.
func signed(n *big.Int) []byte {
	b := n.Bytes()
	if n.BitLen()%8 == 0 {
		return append([]byte{0}, b...)
	}
	return b
}

func hash(parts ...[]byte) string {
	h := sha1.New() //nolint:gosec // as above
	for _, part := range parts {
		h.Write(part)
	}
	return fmt.Sprintf("%X", h.Sum(nil))
}

// keyFile is the file in which gpg-agent keeps the secret key: a canonical S-expression, not locked.
func (m material) keyFile() []byte {
	algo := algorithms[m.algo]
	numbers := sexp{atom(algo.name)}
	for _, letter := range []byte(algo.public + algo.secret) {
		numbers = append(numbers, sexp{atom(string(letter)), atom(signed(m.numbers[letter]))})
	}
	return sexp{atom("private-key"), numbers}.append(nil)
}

// unlockedBy adds to a public key the secret numbers of gpg-agent's file for it. It answers false where they are not there in clear.
func (m material) unlockedBy(file []byte) (material, bool) {
	algo, ok := algorithms[m.algo]
	expression, err := readKeyFile(file)
	if err != nil || !ok {
		return m, false
	}
	value := expression.find("private-key").find(algo.name).number
	if imported := expression.find("protected-private-key").find(algo.name).find("protected"); len(imported) == 3 {
		value = imported.asImported(algo)
	}
	full := material{algo: m.algo, created: m.created, public: m.public, numbers: map[byte]*big.Int{}}
	for i, letter := range []byte(algo.public + algo.secret) {
		number, ok := value(letter)
		if !ok {
			return m, false
		}
		full.numbers[letter] = new(big.Int).SetBytes(number)
		if i < len(algo.public) && full.numbers[letter].Cmp(m.numbers[letter]) != 0 {
			return m, false // of another key
		}
	}
	return full, true
}

// number answers one of the numbers of a key by its letter.
func (s sexp) number(letter byte) ([]byte, bool) { return s.find(string(letter)).value() }

// asImported answers the numbers of a key as gpg-agent keeps it between import and first use: in the order of OpenPGP, each after a word
// that says whether it is in clear.
func (s sexp) asImported(algo algorithm) func(letter byte) ([]byte, bool) {
	list, _ := s[2].(sexp)
	numbers := list.find("openpgp-private-key").find("skey")
	return func(letter byte) ([]byte, bool) {
		i := 2 * strings.IndexByte(algo.public+algo.secret, letter)
		if len(numbers) != 1+2*len(algo.public+algo.secret) || numbers[1+i] != node(atom("_")) {
			return nil, false
		}
		value, ok := numbers[2+i].(atom)
		return []byte(value), ok
	}
}

// fingerprintOf is the fingerprint of a key packet whatever its algorithm is; "" for an old version.
func fingerprintOf(p packet) string {
	if m, err := readMaterial(p); err == nil {
		return m.fingerprint()
	}
	if p.tag != tagPublicKey && p.tag != tagPublicSubkey || len(p.body) < 6 || p.body[0] != 4 {
		sum := sha1.Sum(p.body) //nolint:gosec // no fingerprint, but a name for it
		return hex.EncodeToString(sum[:])
	}
	return hash(binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(p.body))), p.body)
}
