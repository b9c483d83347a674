// Package paper prints an environment and reads it back: a PDF with a listing that a person can read and with QR codes,
// from which the file can be had again byte for byte - from the PDF itself, from scans of its pages, or from what zbarimg
// has read - in any order.
//
// The document is compressed with gzip, written in base32 and cut into codes that say of themselves which document they
// belong to, which of how many they are, and in which version of the format. Base32 rather than the denser base45, because
// every system has the program to decode it.
package paper

import (
	"bytes"
	"fmt"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"appliance/internal/remedy"
)

// Sheet is what stands on the pages beside the document.
type Sheet struct {
	Domain string    // of the appliance
	Name   string    // of the file
	Made   time.Time // printed in UTC
}

// advice is the way out for a document that is too large.
const advice = "make env.yml smaller, or use the encrypted archive alone"

// Print answers a PDF of A4 pages, which also fit on Letter: a title page that says how to get the document back, pages of
// QR codes, and the listing. The compressed document is attached to it. A document that has more than 4 MiB, more than 190 kB
// when it is compressed, or more than 500 pages of listing is an error.
func Print(s Sheet, document []byte) ([]byte, error) {
	if len(document) > maxDocument {
		return nil, remedy.With(fmt.Errorf("cannot print the document: it has %d bytes, more than %d", len(document), maxDocument), advice)
	}
	sealed, err := seal(document)
	if err != nil {
		return nil, err
	}
	parts, err := split(id(document), sealed)
	if err != nil {
		return nil, err
	}
	p, err := newPrinter(s, document, len(parts))
	if err != nil {
		return nil, err
	}
	p.pdf.SetAttachments([]fpdf.Attachment{{Content: sealed, Filename: s.Name + ".gz", Description: "the file itself, compressed"}})
	p.title()
	if err := p.symbols(parts); err != nil {
		return nil, err
	}
	p.listing()
	var b bytes.Buffer
	if err := p.pdf.Output(&b); err != nil {
		return nil, fmt.Errorf("cannot write the PDF: %w", err)
	}
	return b.Bytes(), nil
}
