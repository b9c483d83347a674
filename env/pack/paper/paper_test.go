package paper

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/remedy"
)

var sheet = Sheet{Domain: "ecs.example.org", Name: "env.yml", Made: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}

// noise is text that does not compress much: lines of up to 80 printable characters.
func noise(size int) []byte {
	random := rand.New(rand.NewPCG(uint64(size), 1))
	document := make([]byte, size)
	for i := range document {
		if document[i] = byte('!' + random.IntN(94)); i%81 == 80 {
			document[i] = '\n'
		}
	}
	return document
}

// uneven does not compress at all.
func uneven(size int) []byte {
	random := rand.New(rand.NewPCG(uint64(size), 2))
	document := make([]byte, size)
	for i := range document {
		document[i] = byte(random.Uint32())
	}
	return document
}

func printed(t *testing.T, document []byte) []byte {
	t.Helper()
	pdf, err := Print(sheet, document)
	if err != nil {
		t.Fatal(err)
	}
	return pdf
}

// lines are the texts of the document's codes, in an order of chance.
func lines(t *testing.T, document []byte) []string {
	t.Helper()
	sealed, err := seal(document)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := split(id(document), sealed)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(parts))
	for i, place := range rand.New(rand.NewPCG(3, 3)).Perm(len(parts)) {
		texts[i] = parts[place].String()
	}
	return texts
}

func add(t *testing.T, r *Reader, name string, data []byte) {
	t.Helper()
	understood, err := r.Add(name, data)
	if err != nil || !understood {
		t.Fatalf("%s: understood: %v, error: %v", name, understood, err)
	}
}

func comesBack(t *testing.T, r *Reader, document []byte) {
	t.Helper()
	got, err := r.Document()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, document) {
		t.Errorf("%d bytes came back of %d, or other ones", len(got), len(document))
	}
}

func TestDocumentsComeBack(t *testing.T) {
	for _, document := range [][]byte{nil, {'a'}, noise(100), noise(2000), noise(20_000), uneven(20_000), noise(131_199), uneven(131_199)} {
		t.Run(fmt.Sprintf("%d bytes as text", len(document)), func(t *testing.T) {
			var r Reader
			add(t, &r, "zbarimg.txt", []byte("QR-Code:"+strings.Join(lines(t, document), "\nQR-Code:")+"\n"))
			comesBack(t, &r, document)
		})
		if len(document) > 100_000 {
			continue // a second each; the judges print one of them
		}
		t.Run(fmt.Sprintf("%d bytes as PDF", len(document)), func(t *testing.T) {
			var r Reader
			add(t, &r, "env.pdf", printed(t, document))
			comesBack(t, &r, document)
		})
	}
}

func TestTooLargeToPrint(t *testing.T) {
	for _, tt := range []struct {
		name     string
		document []byte
		want     string
	}{
		{"more than can be unpacked", make([]byte, maxDocument+1), "cannot print the document: it has 4194305 bytes, more than 4194304"},
		{"more than fits in codes", uneven(200_000), "cannot print the document: compressed it has 200095 bytes, 190350 fit on paper"},
		{"a listing without end", bytes.Repeat([]byte{'\n'}, 40_000), "cannot print the document: its listing has 646 pages, more than 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Print(sheet, tt.document)
			if err == nil || err.Error() != tt.want || remedy.Of(err) == "" {
				t.Errorf("error %q with remedy %q, want %q", err, remedy.Of(err), tt.want)
			}
		})
	}
}

func TestMissingCodesAreNamedByPage(t *testing.T) {
	document := noise(20_000)
	all := lines(t, document) // 30 or so, on three pages
	total := len(all)
	for _, tt := range []struct {
		name string
		lost func(index int) bool
		want string
	}{
		{"a page", func(i int) bool { return i > 12 && i <= 24 }, fmt.Sprintf("12 of %d codes are missing: all on page 3", total)},
		{"the last page", func(i int) bool { return i > 24 }, fmt.Sprintf("%d of %d codes are missing: all on page 4", total-24, total)},
		{"some", func(i int) bool { return i == 2 || i == 5 || i == 13 }, fmt.Sprintf("3 of %d codes are missing: 2, 5 on page 2; 13 on page 3", total)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Reader
			for _, line := range all {
				if p, ok := parse(line); !ok || !tt.lost(p.index) {
					add(t, &r, "zbarimg.txt", []byte(line))
				}
			}
			_, err := r.Document()
			if want := "cannot put the document together: " + tt.want; err == nil || err.Error() != want || remedy.Of(err) == "" {
				t.Errorf("%v, want %s", err, want)
			}
			add(t, &r, "the rest", []byte(strings.Join(all, "\r\n")))
			comesBack(t, &r, document)
		})
	}
}

func TestWhatDoesNotBelongTogether(t *testing.T) {
	one, other := noise(2000), noise(2001)
	changed, _ := parse(lines(t, one)[0])
	changed.data = changed.data[1:] + "A"
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"a page of another document", []byte(lines(t, other)[0]), fmt.Sprintf("it is of document %s, those before are of document %s", id(other), id(one))},
		{"the PDF of another document", printed(t, other), fmt.Sprintf("it is of document %s, those before are of document %s", id(other), id(one))},
		{"another text for the same code", []byte(changed.String()),
			fmt.Sprintf("code %d of %d of document %s differs from what was read before", changed.index, changed.total, id(one))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Reader
			add(t, &r, "codes", []byte(strings.Join(lines(t, one), "\n")))
			_, err := r.Add("x", tt.data)
			if want := "cannot take x: " + tt.want; err == nil || err.Error() != want || remedy.Of(err) == "" {
				t.Errorf("%v, want %s", err, want)
			}
			comesBack(t, &r, one)
		})
	}
}

func TestCodesThatLie(t *testing.T) {
	document := noise(500)
	p, _ := parse(lines(t, document)[0])
	p.id = "0123456789ABCDEF"
	var r Reader
	add(t, &r, "codes", []byte(p.String()))
	_, err := r.Document()
	if err == nil || !strings.Contains(err.Error(), "the digest is "+id(document)) {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsNoCode(t *testing.T) {
	good := lines(t, []byte("a: 1\n"))[0]
	for name, text := range map[string]string{
		"an environment":      "#cloud-config\nappliance: {}\n",
		"nothing":             "",
		"another version":     strings.Replace(good, "ENV1", "ENV2", 1),
		"number beyond count": strings.Replace(good, "-001-001-", "-002-001-", 1),
		"number zero":         strings.Replace(good, "-001-001-", "-000-001-", 1),
		"count beyond bound":  strings.Replace(good, "-001-001-", "-001-999-", 1),
		"other letters":       good + "1",
		"a field too many":    good + "-A",
		"a short name":        strings.Replace(good, "ENV1-", "ENV1-0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			var r Reader
			if understood, err := r.Add("x", []byte(text)); understood || err != nil {
				t.Errorf("understood: %v, error: %v", understood, err)
			}
			if _, err := r.Document(); err == nil || remedy.Of(err) == "" {
				t.Errorf("error %v with remedy %q", err, remedy.Of(err))
			}
		})
	}
}

func TestListing(t *testing.T) {
	has := func(r rune) bool { return r < 0x3000 }
	plain := func(text string) span { return span{text, false} }
	box := func(text string) span { return span{text, true} }
	for _, tt := range []struct {
		name, document string
		want           []row
	}{
		{"nothing", "", nil},
		{"two lines", "a: ä\n\n", []row{{1, []span{plain("a: ä")}}, {2, nil}}},
		{"a long line", "0123456789abcdef\n", []row{{1, []span{plain("0123456789")}}, {0, []span{plain("abcdef")}}}},
		{"tab", "a\tb\n", []row{{1, []span{plain("a"), box("U+0009"), plain("b")}}}},
		{"blanks at the end", "a b \n", []row{{1, []span{plain("a b"), box("U+0020")}}}},
		{"carriage return", "ab\r\n", []row{{1, []span{plain("ab"), box("U+000D")}}}},
		{"hard blank", "a\u00a0b\n", []row{{1, []span{plain("a"), box("U+00A0"), plain("b")}}}},
		{"not in the font", "漢\n", []row{{1, []span{box("U+6F22")}}}},
		{"no text", "\xff\n", []row{{1, []span{box("0xFF")}}}},
		{"a box is not parted", "12345\t\n", []row{{1, []span{plain("12345")}}, {0, []span{box("U+0009")}}}},
		{"no end", "a", []row{{1, []span{plain("a")}}, {0, []span{box("no line end")}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, rows([]byte(tt.document), 10, has), cmp.AllowUnexported(row{}, span{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEverythingStandsOnItsPage(t *testing.T) {
	long := Sheet{Domain: strings.Repeat("w", 253), Name: "漢" + strings.Repeat("W", 200), Made: sheet.Made}
	p, err := newPrinter(long, noise(1000), maxCodes)
	if err != nil {
		t.Fatal(err)
	}
	p.title()
	if y := p.pdf.GetY(); y > footLine-3.5 || p.pdf.PageNo() != firstCodePage-1 {
		t.Errorf("the title ends at %.0f mm on page %d", y, p.pdf.PageNo())
	}
	p.pdf.SetFont(mono, "", listingSize)
	if width := p.pdf.GetStringWidth(strings.Repeat("m", charsPerRow)); width > right-left-numberWidth {
		t.Errorf("a row of the listing is %.0f mm wide", width)
	}
	if last := top + (perColumn-1)*cellStep + symbolSide + 2; last > footLine-3.5 {
		t.Errorf("the last codes end at %.0f mm", last)
	}
	if last := top + float64(rowsPerPage)*listingStep; last > footLine-3.5 {
		t.Errorf("the listing ends at %.0f mm", last)
	}
}
