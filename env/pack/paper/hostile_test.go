package paper

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"appliance/internal/remedy"
)

// pdfWith is a PDF of one picture.
func pdfWith(dictionary string, data []byte) []byte {
	return fmt.Appendf(nil, "%%PDF-1.4\n1 0 obj\n<< /Subtype /Image %s /Length %d >>\nstream\n%s\nendstream\nendobj\n", dictionary, len(data), data)
}

func deflated(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPicturesThatAreTooLarge(t *testing.T) {
	side := binary.BigEndian.AppendUint32(nil, 60_000)
	head := chunk("IHDR", append(append(side, side...), 8, 0, 0, 0, 0))
	for name, data := range map[string][]byte{
		"PNG":                         append([]byte("\x89PNG\r\n\x1a\n"), head...),
		"PDF":                         pdfWith("/Width 60000 /Height 60000 /BitsPerComponent 8 /Filter /FlateDecode", nil),
		"PDF with numbers beyond all": pdfWith("/Width 2000000000 /Height 2000000000 /BitsPerComponent 8", nil),
	} {
		t.Run(name, func(t *testing.T) {
			var r Reader
			understood, err := r.Add("x", data)
			if !understood || !errors.Is(err, errTooLarge) || remedy.Of(err) == "" {
				t.Errorf("understood: %v, error: %v", understood, err)
			}
		})
	}
}

func TestPDFsThatAreNotRead(t *testing.T) {
	grey := bytes.Repeat([]byte{200}, 100*100)
	for _, tt := range []struct {
		name string
		pdf  []byte
		want string
	}{
		{"JPEG 2000", pdfWith("/Width 100 /Height 100 /Filter /JPXDecode", nil), "is stored as JPXDecode"},
		{"JBIG2", pdfWith("/Width 100 /Height 100 /Filter [ /FlateDecode /JBIG2Decode ]", deflated(t, nil)), "is stored as JBIG2Decode"},
		{"encrypted", pdfWith("/Width 100 /Height 100 /BitsPerComponent 8 /Filter /FlateDecode", grey), "is stored as an encrypted or damaged stream"},
		{"cut short", pdfWith("/Width 100 /Height 100 /BitsPerComponent 8", grey[:5000]), "is stored as 5000 bytes of 8 bits"},
		{"for printers", pdfWith("/Width 100 /Height 100 /BitsPerComponent 8 /Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors 4 >>", nil), "is stored as colours for a printer"},
		{"group 3", pdfWith("/Width 100 /Height 100 /Filter /CCITTFaxDecode /DecodeParms << /K 0 >>", nil), "is stored as a fax of group 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Reader
			_, err := r.Add("x", tt.pdf)
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) || !strings.Contains(remedy.Of(err), "pdftoppm -r 300 -png") {
				t.Errorf("error %v, remedy %q", err, remedy.Of(err))
			}
		})
	}
}

// What a PDF may cost is known before any of its pictures is unpacked, or is bounded while they are looked at.
func TestPDFsThatCostTooMuch(t *testing.T) {
	large := pdfWith("/Width 6000 /Height 8000 /BitsPerComponent 8 /Filter /FlateDecode", deflated(t, make([]byte, 100)))
	tiny := pdfWith("/Width 1 /Height 1 /BitsPerComponent 8", []byte{0})
	for _, tt := range []struct {
		name string
		pdf  []byte
		want string
	}{
		{"large pictures", bytes.Repeat(large, 12), "its pictures are too large together"},
		{"many pictures", bytes.Repeat(tiny, 10_000), "its pictures are too large together"},
		{"corners of codes everywhere", bytes.Repeat(cornersOnly(t), 30), "its pictures are full of what only looks like codes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r Reader
			_, err := r.Add("x", tt.pdf)
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) || remedy.Of(err) != "hand in its pages one by one, scanned with 300 dpi" {
				t.Errorf("error %v, remedy %q", err, remedy.Of(err))
			}
		})
	}
}

// cornersOnly is a PDF of a picture with finder patterns side by side, and nothing between them.
func cornersOnly(t *testing.T) []byte {
	t.Helper()
	const side, step, module = 500, 27, 3
	raster := bytes.Repeat([]byte{255}, side*side)
	for y := range side {
		for x := range side {
			ring := max(abs(x%step/module-4), abs(y%step/module-4)) // modules from the middle
			if ring == 3 || ring < 2 {
				raster[y*side+x] = 0
			}
		}
	}
	return pdfWith(fmt.Sprintf("/Width %d /Height %d /BitsPerComponent 8 /Filter /FlateDecode", side, side), deflated(t, raster))
}

func abs(n int) int { return max(n, -n) }

func TestOnlySomeAttachedFilesAreTried(t *testing.T) {
	document := []byte("a: 1\n")
	sealed, err := seal(document)
	if err != nil {
		t.Fatal(err)
	}
	file := func(data []byte) []byte {
		return fmt.Appendf(nil, "%%PDF-1.4\n1 0 obj\n<< /Type /EmbeddedFile /Length %d >>\nstream\n%s\nendstream\nendobj\n", len(data), data)
	}
	for others, found := range map[int]bool{maxAttached - 1: true, maxAttached: false} {
		var r Reader
		add(t, &r, "x", append(bytes.Repeat(file([]byte("x")), others), file(sealed)...))
		if got, err := r.Document(); found != (err == nil && bytes.Equal(got, document)) {
			t.Errorf("behind %d others: %q, %v", others, got, err)
		}
	}
}

func TestJPEGsThatCostTooMuch(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 400, 400)), nil); err != nil {
		t.Fatal(err)
	}
	layers := append(bytes.Clone(b.Bytes()), bytes.Repeat([]byte{0xff, 0xda}, maxScans)...)
	for want, data := range map[string][]byte{
		"a JPEG larger than the PDF says":        pdfWith("/Width 1 /Height 1 /Filter /DCTDecode", b.Bytes()),
		"its picture is made of too many layers": layers,
	} {
		var r Reader
		if _, err := r.Add("x", data); err == nil || !strings.HasSuffix(err.Error(), want) || remedy.Of(err) == "" {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestPagesWithoutCodes(t *testing.T) {
	blank := image.NewGray(image.Rect(0, 0, 400, 400))
	var asPNG, asJPEG bytes.Buffer
	if err := errors.Join(png.Encode(&asPNG, blank), jpeg.Encode(&asJPEG, blank, nil)); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"PNG": asPNG.Bytes(), "JPEG": asJPEG.Bytes(), "PDF without pictures": []byte("%PDF-1.4\n%%EOF\n"),
		"PDF of a JPEG": pdfWith("/Width 400 /Height 400 /Filter/DCTDecode", asJPEG.Bytes()),
	} {
		t.Run(name, func(t *testing.T) {
			var r Reader
			add(t, &r, name, data)
			if _, err := r.Document(); err == nil || remedy.Of(err) == "" {
				t.Errorf("error %v", err)
			}
		})
	}
	var r Reader
	if understood, err := r.Add("x", []byte("\x89PNG\r\n\x1a\n")); !understood || err == nil {
		t.Errorf("a PNG cut short: understood: %v, error: %v", understood, err)
	}
}

// A few codes can hold what unpacks to more than a machine has.
func TestABombIsNotUnpacked(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, 2*maxDocument)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	parts, err := split("0123456789ABCDEF", b.Bytes()[:b.Len()/5*5])
	if err != nil {
		t.Fatal(err)
	}
	var r Reader
	for _, p := range parts {
		add(t, &r, "codes", []byte(p.String()))
	}
	if _, err := r.Document(); !errors.Is(err, errDamaged) || !strings.HasSuffix(err.Error(), "unpacked it has more than 4194304 bytes") {
		t.Errorf("error %v", err)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("QR-Code:ENV1-0123456789ABCDEF-001-002-AAAAAAAA\nENV1-0123456789ABCDEF-002-002-AAAAAAAA\r\n"))
	f.Add([]byte("ENV1-0123456789ABCDEF-001-001-" + base32.StdEncoding.EncodeToString([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))))
	f.Fuzz(readsOrRefuses)
}

func FuzzPDF(f *testing.F) {
	small, err := Print(sheet, []byte("a: 1\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Add(pdfWith("/Width 64 /Height 64 /BitsPerComponent 8", make([]byte, 64*64)))
	f.Add(pdfWith("/Width 64 /Height 64 /BitsPerComponent 1 /Decode [1 0]", make([]byte, 64*8)))
	f.Add(pdfWith("/Width 64 /Height 64 /Filter /CCITTFaxDecode /DecodeParms << /K -1 >>", make([]byte, 99)))
	f.Fuzz(readsOrRefuses)
}

// readsOrRefuses holds the reader to giving only documents that have the digest their codes name.
func readsOrRefuses(t *testing.T, data []byte) {
	var r Reader
	if _, err := r.Add("fuzz", data); err != nil {
		return
	}
	if document, err := r.Document(); err == nil && id(document) != r.id {
		t.Errorf("a document %s for codes of %s", id(document), r.id)
	}
}

// Whatever is dark on a picture, looking for codes in it ends.
func FuzzPicture(f *testing.F) {
	f.Add([]byte{0x55, 0xaa, 0x5d, 0x41}, uint8(70))
	f.Fuzz(func(t *testing.T, pattern []byte, width uint8) {
		if len(pattern) == 0 || width < smallest {
			return // no picture
		}
		g := grey{make([]byte, int(width)*200), int(width), 200}
		for i := range g.pixels {
			if pattern[i/8%len(pattern)]>>(i%8)&1 == 1 {
				g.pixels[i] = 255
			}
		}
		var r Reader
		if _, err := r.addPicture(g); err != nil {
			t.Error(err)
		}
	})
}
