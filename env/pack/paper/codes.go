package paper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"appliance/internal/remedy"
)

const (
	// maxDocument bounds what is printed and what is unpacked, in bytes.
	maxDocument = 4 << 20
	// maxCodes bounds what is printed: 27 pages of codes, 190 kB that do not compress.
	maxCodes = 324
	// perCode is how many base32 characters a code carries beside its head: what version 20 holds at level M.
	perCode = 940
	// perPage is how many codes stand on a page, perRow how many beside each other.
	perPage, perRow = 12, 3
	// firstCodePage is the page that the first codes stand on: the one after the title.
	firstCodePage = 2

	mark     = "ENV1" // what a code begins with; the digit is the version of the format
	idLength = 16     // hexadecimal digits
)

// id names a document: the first 16 digits of its SHA-256, in the upper case that a QR code packs well.
func id(document []byte) string {
	return fmt.Sprintf("%X", sha256.Sum256(document))[:idLength]
}

// seal compresses the document. The comment in the gzip header makes the length a multiple of five bytes, so that base32
// needs no padding, for which a QR code has no character.
func seal(document []byte) ([]byte, error) {
	comment := mark
	for {
		sealed, err := compress(document, comment)
		if err != nil || len(sealed)%5 == 0 {
			return sealed, err
		}
		comment += strings.Repeat(".", 5-len(sealed)%5)
	}
}

func compress(document []byte, comment string) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("cannot compress the document: %w", err)
	}
	w.Comment = comment
	_, err = w.Write(document)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("cannot compress the document: %w", err)
	}
	return b.Bytes(), nil
}

// open is the way back from seal, bounded by maxDocument.
func open(sealed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(sealed))
	if err != nil {
		return nil, fmt.Errorf("it is not compressed: %w", err)
	}
	document, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if len(document) > maxDocument {
		return nil, fmt.Errorf("unpacked it has more than %d bytes", maxDocument)
	}
	return document, nil
}

// isSealed says whether data begins like what seal makes.
func isSealed(data []byte) bool {
	r, err := gzip.NewReader(bytes.NewReader(data))
	return err == nil && strings.HasPrefix(r.Comment, mark)
}

// part is what one code says.
type part struct {
	id           string
	index, total int // index counts from 1
	data         string
}

// split cuts the sealed document into parts of about the same size.
func split(id string, sealed []byte) ([]part, error) {
	data := base32.StdEncoding.EncodeToString(sealed)
	total := (len(data) + perCode - 1) / perCode
	if total > maxCodes {
		err := fmt.Errorf("cannot print the document: compressed it has %d bytes, %d fit on paper", len(sealed), maxCodes*perCode*5/8)
		return nil, remedy.With(err, advice)
	}
	size := (len(data) + total - 1) / total
	parts := make([]part, 0, total)
	for ; len(data) > size; data = data[size:] {
		parts = append(parts, part{id, len(parts) + 1, total, data[:size]})
	}
	return append(parts, part{id, len(parts) + 1, total, data}), nil
}

// String is the text of the code: ENV1-0123456789ABCDEF-003-017-DATA. The fields before the data have a fixed width, so
// that sort(1) puts the codes of a document in order.
func (p part) String() string {
	return fmt.Sprintf("%s-%s-%03d-%03d-%s", mark, p.id, p.index, p.total, p.data)
}

// parse reads the text of one code; ok is false for what is none.
func parse(text string) (p part, ok bool) {
	fields := strings.Split(text, "-")
	if len(fields) != 5 || fields[0] != mark || len(fields[1]) != idLength || len(fields[4]) > 2*perCode {
		return part{}, false
	}
	index, err1 := strconv.ParseUint(fields[2], 10, 10)
	total, err2 := strconv.ParseUint(fields[3], 10, 10)
	if err1 != nil || err2 != nil || index < 1 || index > total || total > maxCodes {
		return part{}, false
	}
	if strings.Trim(fields[1], "0123456789ABCDEF") != "" || strings.Trim(fields[4], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return part{}, false
	}
	return part{fields[1], int(index), int(total), fields[4]}, true
}

// page is the one that the code with this index stands on.
func page(index int) int { return firstCodePage + (index-1)/perPage }
