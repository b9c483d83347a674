package cert

import (
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheGroupOfRFC7919(t *testing.T) {
	text := ffdhe2048()
	block, _ := pem.Decode(text)
	var group dhGroup
	_, err := asn1.Unmarshal(block.Bytes, &group)
	must(t, err, checkDH(text))
	half := new(big.Int).Rsh(group.P, 1)
	if group.P.BitLen() != 2048 || !group.P.ProbablyPrime(20) || !half.ProbablyPrime(20) || group.G.Int64() != 2 {
		t.Errorf("p is %x, g is %s", group.P, group.G)
	}
	path := filepath.Join(t.TempDir(), "dh")
	must(t, os.WriteFile(path, text, 0o600))
	if said := openssl(t, "dhparam", "-in", path, "-check", "-text", "-noout"); !strings.Contains(said, "ffdhe2048") && !strings.Contains(said, "appear to be ok") {
		t.Errorf("openssl says %s", said)
	}
}

func TestDHParameters(t *testing.T) {
	encode := func(p, g *big.Int) string {
		der, err := asn1.Marshal(dhGroup{p, g})
		must(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: der}))
	}
	odd := func(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits-1), 1) }
	for _, test := range []struct{ name, text, want string }{
		{"of 2048 bits", encode(odd(2048), big.NewInt(5)), ""},
		{"of 4096 bits after its description", "    DH Parameters: (4096 bit)\n" + encode(odd(4096), big.NewInt(2)), ""},
		{"of 1024 bits", encode(odd(1024), big.NewInt(2)), "its DH parameters of 1024 bits are weak"},
		{"negative", encode(new(big.Int).Neg(odd(2048)), big.NewInt(2)), "its DH parameters of 2048 bits are weak"},
		{"a generator of nothing", encode(odd(2048), big.NewInt(1)), "its DH parameters of 2048 bits are weak"},
		{"empty", "", "there are no DH parameters in it"},
		{"torn", encode(odd(2048), big.NewInt(2))[:100], "there are no DH parameters in it"},
		{"no numbers", string(pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: []byte{1, 2, 3}})), "its DH parameters are damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := checkDH([]byte(test.text)); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("checkDH says %q", got)
			}
		})
	}
}

// An operator gives the host DH parameters of its own: stunnel gets them with the certificate that is in place.
func TestOtherDHParameters(t *testing.T) {
	for _, test := range []struct {
		name   string
		source Source
	}{{"of one by the authority", Issued}, {"of an imported one", Imported}, {"of ours", SelfSigned}} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, today)
			w := withACME(plainWish)
			if test.source != SelfSigned {
				h.lay(Adopted, lastYear, nextYear, "a.example")
				h.lay(test.source, lastYear, nextYear, "a.example")
			}
			before, changes := h.ensure(w), h.changes()
			own := "of the operator\n" + string(ffdhe2048())
			h.write(dhPath, []byte(own))
			if why, err := h.keeper().Missing(w); why != "the host has other DH parameters" || err != nil {
				t.Errorf("Missing says %q, %v", why, err)
			}
			k := h.keeper()
			k.Wish(w)
			c, err := k.Ensure(t.Context(), w)
			must(t, err)
			if bundle, err := os.ReadFile(filepath.Join(h.root, links[2].path)); err != nil || string(bundle) != string(before.Chain)+own {
				t.Errorf("stunnel finds %q, %v", bundle, err)
			}
			if c.SHA256 != before.SHA256 || c.Source != test.source || h.changes() != changes+1 { // that of the start
				t.Errorf("it takes the %s, %d changes", c, h.changes()-changes)
			}
			h.settled(w, c)
			if v, err := (&store{h.sys}).look(); err != nil || test.source != SelfSigned && v.reserve() != "1-"+v.generations[1].SHA256[:8] {
				t.Errorf("to fall back to there is %q, %v", v.reserve(), err)
			}
		})
	}
}
