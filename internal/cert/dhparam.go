package cert

import (
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"

	"appliance/internal/remedy"
)

const minDHBits = 2048 // below it OpenSSL 3 and browsers refuse (Logjam, 2015)

// ffdhe2048 answers the group of RFC 7919 section A.1 as PEM: p = 2^2048 - 2^1984 + (⌊2^1918 e⌋ + 560316) 2^64 - 1, g = 2.
// Everybody may use the same group, and making one of our own would take minutes on a small host.
func ffdhe2048() []byte {
	const guard = 64 // bits against the rounding of the series
	e, term := new(big.Int), new(big.Int).Lsh(big.NewInt(1), 1918+guard)
	for k := int64(1); term.Sign() > 0; k++ { // e is the sum of 1/k!
		e.Add(e, term)
		term.Quo(term, big.NewInt(k))
	}
	p := e.Rsh(e, guard)
	p.Add(p, big.NewInt(560316)).Lsh(p, 64).Sub(p, big.NewInt(1))
	p.Add(p, new(big.Int).Lsh(big.NewInt(1), 2048)).Sub(p, new(big.Int).Lsh(big.NewInt(1), 1984))
	der, err := asn1.Marshal(dhGroup{p, big.NewInt(2)})
	if err != nil {
		panic(err) // two numbers
	}
	return pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: der})
}

// dhGroup is DHParameter of PKCS #3; a third number may follow.
type dhGroup struct{ P, G *big.Int }

// checkDH says whether text holds a group that other programs will take.
func checkDH(text []byte) error {
	found, _ := pem.Decode(text)
	if found == nil || found.Type != "DH PARAMETERS" {
		return errors.New("there are no DH parameters in it")
	}
	var group struct {
		P, G   *big.Int
		Length int `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(found.Bytes, &group); err != nil || len(rest) > 0 {
		return errors.New("its DH parameters are damaged")
	}
	if bits := group.P.BitLen(); bits < minDHBits || group.P.Bit(0) == 0 || group.G.Cmp(big.NewInt(1)) <= 0 || group.G.Cmp(group.P) >= 0 {
		return fmt.Errorf("its DH parameters of %d bits are weak", bits)
	}
	return nil
}

// readDH answers the DH parameters of the host where there are good ones, else the ones to put there.
func (s *store) readDH() (params []byte, stands bool, err error) {
	params, err = s.sys.ReadFile(dhPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ffdhe2048(), false, nil
	case err != nil:
		return nil, false, remedy.With(fmt.Errorf("cannot read %s: %w", dhPath, err), "move it out of the way")
	case checkDH(params) != nil:
		return ffdhe2048(), false, nil
	}
	return params, true, nil
}
