package paper

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// title draws the first page: what this is, and how to get the document back.
func (p *printer) title() {
	p.page("environment")
	p.pdf.SetXY(left, top+4)
	p.paragraph(22, "Environment of an appliance")
	p.pdf.Ln(4)
	for _, fact := range p.facts() {
		p.pdf.SetFont(prose, "", 9.5)
		p.pdf.CellFormat(24, 5, fact[0], "", 0, "L", false, 0, "")
		p.pdf.SetFont(mono, "", 8.5)
		p.pdf.CellFormat(0, 5, fact[1], "", 1, "L", false, 0, "")
	}
	p.pdf.Ln(3)
	p.notice("This paper holds every secret of the appliance: whoever reads it can take its place. Keep it in a safe.")
	for _, s := range p.instructions() {
		p.pdf.Ln(3.4)
		p.paragraph(12, s.heading)
		p.pdf.Ln(.6)
		for block := range strings.SplitSeq(s.text, "\n\n") {
			p.block(block)
		}
	}
}

// facts are the lines below the title.
func (p *printer) facts() [][2]string {
	lines := 0
	for _, r := range p.rows {
		lines = max(lines, r.number)
	}
	last := page(p.codes)
	listing := "none: the file is empty"
	if n := p.listingPages(); n > 0 {
		listing = pages(last+1, last+n)
	}
	return [][2]string{
		{"Appliance", p.sheet.Domain},
		{"File", fmt.Sprintf("%s, %d bytes, %d lines", p.sheet.Name, len(p.document), lines)},
		{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(p.document))},
		{"Printed", p.sheet.Made.Format("2006-01-02 15:04 UTC")},
		{"Codes", fmt.Sprintf("%d, on %s", p.codes, pages(firstCodePage, last))},
		{"Listing", listing},
	}
}

// pages names a range of pages.
func pages(first, last int) string {
	if first == last {
		return fmt.Sprintf("page %d", first)
	}
	return fmt.Sprintf("pages %d to %d", first, last)
}

type section struct{ heading, text string }

// instructions say how to read the paper back. Paragraphs are parted by an empty line; one that is indented is typed in as
// it stands, and a test does so.
func (p *printer) instructions() []section {
	return []section{{"With the program", `
Scan the pages of codes with 300 dpi or more. Hand the program this PDF, a PDF of the scans, or pictures of the pages (PNG, JPEG, TIFF), in any order and any way up:

  appliance env recover scan.pdf

  appliance env recover page-*.png`}, {"With the tools of any Linux system", `
pdftoppm is in the package poppler-utils and zbarimg in zbar-tools; the others are there. Pages that were scanned as pictures need no pdftoppm. zbarimg overlooks a code now and then, so it is given every page twice. What it prints, kept in a file, will also do for the program above, which tells what is missing.

  pdftoppm -r 300 -png scan.pdf page
  zbarimg -q --raw -Sdisable -Sqrcode.enable page-*.png page-*.png |
    grep ^` + mark + "-" + id(p.document) + `- | sort -u | cut -d- -f5 |
    tr -d '\n' | base32 -d | gunzip > env.yml
  sha256sum env.yml

The last line has to print the SHA-256 that stands above. The PDF as a file, unlike the paper, has the document attached: pdfdetach -saveall brings out a .gz file of it.`}, {"What a code says", `
A code is the text ` + mark + `-DOCUMENT-NUMBER-COUNT-DATA. ` + mark + ` is the version of this format, DOCUMENT the first 16 digits of the file's SHA-256, the same in all codes and at the foot of all pages. NUMBER goes from 001 to COUNT. The DATA of all codes, put together in the order of their numbers, is base32 (RFC 4648, without padding) of the file compressed with gzip (RFC 1952). The codes are QR codes (ISO/IEC 18004) in alphanumeric mode, error correction level M.`}, {"By hand", `
The listing can be typed in again. The line numbers and the arrow ` + goesOn + `, where a long line goes on, are not part of the file. A grey box stands for one character that could not be seen: U+0009 is a tab, U+0020 a blank at the end of a line, 0xFF a byte that is no text. "no line end" says that the last line ends without one.`}}
}

func (p *printer) block(text string) {
	text = strings.Trim(text, "\n")
	if !strings.HasPrefix(text, "  ") {
		p.paragraph(9.5, text)
		return
	}
	p.pdf.Ln(1)
	p.pdf.SetFont(mono, "", 8.5)
	p.pdf.SetFillColor(tint, tint, tint)
	for line := range strings.Lines(text) {
		p.pdf.CellFormat(0, 4.4, strings.TrimSuffix(line, "\n"), "", 1, "L", true, 0, "")
	}
	p.pdf.Ln(1)
}

func (p *printer) paragraph(size float64, text string) {
	p.pdf.SetFont(prose, "", size)
	p.pdf.MultiCell(0, size*point*1.38, text, "", "L", false)
}

func (p *printer) notice(text string) {
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(.4)
	p.pdf.SetFont(prose, "", 10)
	p.pdf.CellFormat(0, 9, text, "1", 1, "C", false, 0, "")
}
