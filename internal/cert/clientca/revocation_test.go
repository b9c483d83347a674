package clientca

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/system"
)

func TestWhatIsRevokedStaysRevoked(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	day := func(n int) time.Time { return now.AddDate(0, 0, n-100) }
	unnumbered := func(at time.Time, serials ...int64) []byte {
		// crypto/x509 makes no list without a number, others do: the number is the same here.
		return one.list(1, at, serials...)
	}
	for _, test := range []struct {
		name     string
		ca       []byte
		before   []byte
		now      []byte // nil: no file
		revoked  []int64
		warnings string
	}{
		{"a higher number replaces", one.pem(), one.list(5, day(5), 7), one.list(6, day(6), 8), []int64{8}, ""},
		{"a lower number counts beside", one.pem(), one.list(5, day(5), 7), one.list(4, day(6), 8), []int64{7, 8}, "it is older than one seen before"},
		{"the same number made later replaces", one.pem(), unnumbered(day(5), 7), unnumbered(day(6), 8), []int64{8}, ""},
		{"the same number made before counts beside", one.pem(), unnumbered(day(5), 7), unnumbered(day(4), 8), []int64{7, 8}, "it is older than one seen before"},
		{"a list that is gone counts on", one.pem(), one.list(5, day(5), 7), nil, []int64{7}, "it is not there any more"},
		{"a list of two that is left out counts on", slices.Concat(one.pem(), two.pem()), slices.Concat(one.list(5, day(5), 7), two.list(1, day(5), 9)), one.list(6, day(6), 7), []int64{7, 9}, "it is not there any more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, nil)
			h.write(CAFile, test.ca)
			h.write(CRLFile, test.before)
			if _, warnings := h.load(); warnings != "" {
				t.Fatalf("before: %s", warnings)
			}
			if err := os.Remove(h.path(CRLFile)); err != nil {
				t.Fatal(err)
			}
			if test.now != nil {
				h.write(CRLFile, test.now)
			}
			for range 2 {
				b, warnings := h.load()
				if diff := cmp.Diff(test.revoked, revoked(t, b)); diff != "" {
					t.Errorf("revoked (-want +got):\n%s", diff)
				}
				if (test.warnings == "") != (warnings == "") || !strings.Contains(warnings, test.warnings) {
					t.Errorf("warnings: %s", warnings)
				}
			}
		})
	}
}

// An application that goes on stepping back must not fill the disk with lists that all count.
func TestSteppingBackIsBounded(t *testing.T) {
	one := newAuthority(t, "one")
	h := newHost(t, nil)
	h.write(CAFile, one.pem())
	for n := int64(20); n > 0; n-- {
		h.write(CRLFile, one.list(n, now.AddDate(0, 0, -1), n))
		b, _ := h.load()
		if lists := bytes.Count(b.CRLs, []byte("BEGIN X509 CRL")); lists > 2 {
			t.Fatalf("%d lists are in force", lists)
		}
		if !slices.Contains(revoked(t, b), 20) || !slices.Contains(revoked(t, b), n) {
			t.Fatalf("at %d are revoked: %d", n, revoked(t, b))
		}
	}
}

// What an operator takes out of the file of authorities because it is not to be trusted any more goes, whatever the other
// file says of it; its list must not count as one of a stranger.
func TestAnAuthorityThatIsTakenOut(t *testing.T) {
	one, two, three := newAuthority(t, "one"), newAuthority(t, "two"), newAuthority(t, "three")
	yesterday := now.AddDate(0, 0, -1)
	for _, test := range []struct {
		name    string
		ca      []byte
		cas     []byte // in force then
		revoked []int64
		refused bool
	}{
		{"one of two", one.pem(), one.pem(), []int64{7}, false},
		{"one of two, and another has come", slices.Concat(one.pem(), three.pem()), slices.Concat(one.pem(), two.pem()), []int64{7, 8}, true},
		{"all of them for another", three.pem(), slices.Concat(one.pem(), two.pem()), []int64{7, 8}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, nil)
			h.write(CAFile, one.pem(), two.pem())
			h.write(CRLFile, one.list(1, yesterday, 7), two.list(1, yesterday, 8))
			h.load()
			h.write(CAFile, test.ca)
			for range 2 {
				b, warnings := h.load()
				if diff := cmp.Diff(test.revoked, revoked(t, b)); diff != "" || !bytes.Equal(b.CAs, test.cas) {
					t.Errorf("in force are\n%s revoked (-want +got): %s", b.CAs, diff)
				}
				if test.refused != strings.Contains(warnings, "is of an authority that is not in") {
					t.Errorf("warnings: %s", warnings)
				}
			}
			if test.refused {
				return
			}
			h.write(CRLFile, one.list(2, now, 7, 9), two.list(2, now, 8)) // the application goes on writing both
			if b, warnings := h.load(); !cmp.Equal([]int64{7, 9}, revoked(t, b)) || warnings != "" {
				t.Errorf("later are revoked %d, warnings: %s", revoked(t, b), warnings)
			}
			h.write(CRLFile, one.list(3, now, 7, 9), three.list(1, now))
			if _, warnings := h.load(); !strings.Contains(warnings, "list 2 in it is of an authority that is not in") {
				t.Errorf("a stranger's list is passed over: %s", warnings)
			}
			h.write(CRLFile, one.list(4, now, 7, 9), two.list(3, now, 10))
			h.write(CAFile, one.pem(), two.pem()) // and is trusted again
			if b, warnings := h.load(); !cmp.Equal([]int64{7, 9, 10}, revoked(t, b)) || warnings != "" {
				t.Errorf("again are revoked %d, warnings: %s", revoked(t, b), warnings)
			}
		})
	}
}

// Each authority may have two lists in force, and what we keep must be read again: else nobody would be revoked any more.
func TestListsOfAsManyAuthoritiesAsThereMayBe(t *testing.T) {
	h := newHost(t, nil)
	var cas, lists, older []byte
	var want []int64
	for i := range int64(maxEntries) {
		a := newAuthority(t, "authority "+string(rune('a'+i)))
		cas = append(cas, a.pem()...)
		lists = append(lists, a.list(5, now.AddDate(0, 0, -2), 100+i)...)
		older = append(older, a.list(4, now.AddDate(0, 0, -3), 200+i)...)
		want = append(want, 100+i, 200+i)
	}
	slices.Sort(want)
	h.write(CAFile, cas)
	h.write(CRLFile, lists)
	h.load()
	h.write(CRLFile, older)
	for range 3 {
		b, warnings := h.load()
		if diff := cmp.Diff(want, revoked(t, b)); diff != "" {
			t.Errorf("revoked (-want +got):\n%s", diff)
		}
		if strings.Contains(warnings, GoodFile+", the authority") {
			t.Errorf("what was kept is not read: %s", warnings)
		}
	}
}

// openssl writes lists of the first version where its configuration names no crlnumber.
func TestAListOfTheFirstVersion(t *testing.T) {
	var files [2][]byte
	for i, name := range []string{"ca.pem", "crl.pem"} {
		data, err := os.ReadFile("../../crl/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = data
	}
	h := newHost(t, nil)
	h.System = system.New(system.Config{Root: h.root, Now: func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }})
	h.write(CAFile, files[0])
	h.write(CRLFile, files[1])
	for range 2 {
		b, warnings := h.load()
		if diff := cmp.Diff([]int64{0x5eed77}, revoked(t, b)); diff != "" || b.Placeholder || warnings != "" {
			t.Errorf("revoked (-want +got):\n%s placeholder: %v, warnings: %s", diff, b.Placeholder, warnings)
		}
	}
	h.write(CAFile, newAuthority(t, "another").pem())
	if _, warnings := h.load(); !strings.Contains(warnings, "list 1 in it is of an authority that is not in") {
		t.Errorf("warnings: %s", warnings)
	}
}
