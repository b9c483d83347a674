package clientca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/system"
)

func TestGoodFiles(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	yesterday := now.AddDate(0, 0, -1)
	crlf := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")) }
	for _, test := range []struct {
		name     string
		ca, crl  []byte
		cas      [][]byte
		revoked  []int64
		warnings string // a part of them
	}{
		{"one of each", one.pem(), one.list(1, yesterday, 7), [][]byte{one.pem()}, []int64{7}, ""},
		{"an empty list", one.pem(), one.list(1, yesterday), [][]byte{one.pem()}, nil, ""},
		{"several", slices.Concat(one.pem(), two.pem()), slices.Concat(one.list(1, yesterday, 7), two.list(1, yesterday, 8)), [][]byte{one.pem(), two.pem()}, []int64{7, 8}, ""},
		{"the same twice", slices.Concat(one.pem(), one.pem()), one.list(1, yesterday, 7), [][]byte{one.pem()}, []int64{7}, ""},
		{"text around, and other blocks", slices.Concat([]byte("Certificate:\n  Data: x\n"), one.pem(), pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: []byte("x")})),
			slices.Concat([]byte("# list\n"), one.list(1, yesterday, 7)), [][]byte{one.pem()}, []int64{7}, ""},
		{"line ends of Windows", crlf(one.pem()), crlf(one.list(1, yesterday, 7)), [][]byte{one.pem()}, []int64{7}, ""},
		{"DER", one.cert.Raw, one.der(1, yesterday, 7), [][]byte{one.pem()}, []int64{7}, ""},
		{"two lists in DER", slices.Concat(one.cert.Raw, two.cert.Raw), slices.Concat(one.der(1, yesterday, 7), two.der(1, yesterday, 8)), [][]byte{one.pem(), two.pem()}, []int64{7, 8}, ""},
		{"of two lists of one authority the newer counts", one.pem(), slices.Concat(one.list(2, yesterday, 7, 8), one.list(1, yesterday, 7)), [][]byte{one.pem()}, []int64{7, 8}, ""},
		{"an expired list still revokes", one.pem(), one.list(1, now.AddDate(-2, 0, 0), 7), [][]byte{one.pem()}, []int64{7}, "should have been renewed on 2025-05-01"},
		{"local time taken for universal", one.pem(), one.list(1, now.Add(14*time.Hour), 7), [][]byte{one.pem()}, []int64{7}, ""},
		{"no list at all", one.pem(), nil, [][]byte{one.pem()}, nil, "there is no list in /data/ecs-ca/crl.pem"},
		{"an expired authority", newAuthority(t, "old", func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }).pem(), nil, nil, nil, `"CN=old": the authority in /data/ecs-ca/ca.cert.pem has expired on 2026-04-30`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, nil)
			h.write(CAFile, test.ca)
			if test.crl != nil {
				h.write(CRLFile, test.crl)
			}
			b, warnings := h.load()
			if test.cas != nil && !bytes.Equal(bytes.Join(test.cas, nil), b.CAs) || b.Placeholder {
				t.Errorf("the authorities are\n%s", b.CAs)
			}
			if diff := cmp.Diff(test.revoked, revoked(t, b)); diff != "" {
				t.Errorf("revoked (-want +got):\n%s", diff)
			}
			if (test.warnings == "") != (warnings == "") || !strings.Contains(warnings, test.warnings) {
				t.Errorf("warnings: %s", warnings)
			}
			if again, _ := h.Load(); !cmp.Equal(again, b) {
				t.Error("the second time it is another one")
			}
		})
	}
}

// The application replaces both files one after the other: until both fit, the old ones are in force.
func TestAnotherAuthorityComesWhole(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	for _, order := range [][]string{{CAFile, CRLFile}, {CRLFile, CAFile}} {
		h := newHost(t, nil)
		h.write(CAFile, one.pem())
		h.write(CRLFile, one.list(5, now, 7))
		before, _ := h.load()
		fresh := map[string][]byte{CAFile: two.pem(), CRLFile: two.list(1, now, 9)}
		h.write(order[0], fresh[order[0]])
		if half, _ := h.load(); !cmp.Equal(half, before) {
			t.Errorf("%s first: half of the new pair is in force", order[0])
		}
		h.write(order[1], fresh[order[1]])
		b, warnings := h.load()
		if diff := cmp.Diff([]int64{9}, revoked(t, b)); diff != "" || warnings != "" || !bytes.Equal(b.CAs, two.pem()) {
			t.Errorf("%s first: the new pair is not in force: %s %s", order[0], diff, warnings)
		}
	}
}

func TestADamagedLastGoodOneIsMadeAnew(t *testing.T) {
	one := newAuthority(t, "one")
	h := newHost(t, nil)
	h.write(CAFile, one.pem())
	h.write(CRLFile, one.list(5, now, 7))
	want, _ := h.load()
	h.write(GoodFile, want.CAs[:100])
	if got, warnings := h.load(); !cmp.Equal(got, want) || !strings.Contains(warnings, "cannot use "+GoodFile) {
		t.Errorf("the warnings are: %s", warnings)
	}
	if _, warnings := h.load(); warnings != "" {
		t.Errorf("it was not made anew: %s", warnings)
	}
	for name, mode := range map[string]fs.FileMode{GoodFile: 0o600, path.Dir(GoodFile): 0o700, path.Dir(path.Dir(GoodFile)): 0o755} { // there lies the site's chain too
		if info, err := os.Stat(h.path(name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestKeepIsQuietWhenNothingChanges(t *testing.T) {
	var effects []string
	h := newHost(t, func(e system.Effect) error { effects = append(effects, e.String()); return nil })
	first, _ := h.load()
	if !first.Placeholder || len(first.CRLs) == 0 {
		t.Fatalf("without any file: %+v", first)
	}
	effects = nil
	if second, warnings := h.load(); !cmp.Equal(first, second) || warnings != "" || len(effects) != 0 {
		t.Errorf("the second time: %v, warnings %q", effects, warnings)
	}
	if _, warnings := (Files{h.System.Reader()}).Load(); len(warnings) != 0 {
		t.Errorf("a host that may not be changed: %v", warnings)
	}
}
