package paper

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"appliance/internal/remedy"
)

// A PDF is read without regard to its pages: whatever stream it holds is looked at, the attached document first, then the
// pictures. So neither the tables of objects nor the page tree are needed, and a damaged file gives what it still has.

const (
	pdfMagic      = "%PDF-"
	magicWithin   = 1024           // bytes from the beginning, as readers allow
	maxDictionary = 16 << 10       // bytes before a stream in which its dictionary is looked for
	maxAttached   = 16             // attached streams tried, each of which may unpack to maxDocument
	maxPDFPixels  = 60 * 9_000_000 // of all pictures together, as they say: 60 pages at 300 dpi
	leastPixels   = 1 << 16        // a picture counts as at least so many, because none costs nothing
	maxPDFEffort  = 6_000          // readings of codes, as texts counts them; 27 worn pages take up to 2500
)

// errTooMuch is the answer to a PDF that would keep the machine busy for longer than paper can.
func errTooMuch(what string) error {
	return remedy.With(errors.New(what), "hand in its pages one by one, scanned with 300 dpi")
}

func isPDF(data []byte) bool {
	return bytes.Contains(data[:min(len(data), magicWithin)], []byte(pdfMagic))
}

// addPDF takes the document attached to a PDF, or else the codes in its pictures.
func (r *Reader) addPDF(pdf []byte) error {
	attached, pixels := 0, 0
	for s := range streams(pdf) {
		switch {
		case s.is("Type", "EmbeddedFile") && attached < maxAttached:
			attached++
			if document, ok := s.attached(); ok {
				return r.takeWhole(document)
			}
		case s.is("Subtype", "Image"):
			pixels += max(leastPixels, min(s.number("Width")*s.number("Height"), maxPixels))
		}
	}
	if pixels > maxPDFPixels {
		return errTooMuch("its pictures are too large together")
	}
	return r.addPictures(pdf)
}

// addPictures takes the codes in the pictures of a PDF. That some cannot be read matters where no code was found at all.
func (r *Reader) addPictures(pdf []byte) error {
	found := 0
	r.effort = 0
	var unread error
	for s := range streams(pdf) {
		if !s.is("Subtype", "Image") {
			continue
		}
		g, err := s.picture()
		if err != nil {
			unread = cmp.Or(unread, err)
		}
		n, err := r.addPicture(g)
		if err != nil {
			return err
		}
		if r.effort > maxPDFEffort {
			return errTooMuch("its pictures are full of what only looks like codes")
		}
		found += n
	}
	if found == 0 {
		return unread
	}
	return nil
}

// stream is one of a PDF, with the dictionary before it as it is written.
type stream struct {
	dictionary string
	data       []byte // as stored, filters and all
}

// streams finds the streams by their keywords.
func streams(pdf []byte) iter.Seq[stream] {
	return func(yield func(stream) bool) {
		const begin, end = "stream", "endstream"
		for at := 0; ; {
			i := bytes.Index(pdf[at:], []byte(begin))
			if i < 0 {
				return
			}
			before := pdf[at : at+i]
			at += i + len(begin)
			if !bytes.HasSuffix(bytes.TrimRight(before, " \r\n\t"), []byte(">>")) {
				continue
			}
			s := stream{dictionary: dictionary(before)}
			body := bytes.TrimPrefix(bytes.TrimPrefix(pdf[at:], []byte("\r")), []byte("\n"))
			length := s.number("Length")
			if length > len(body) || !bytes.Contains(body[length:min(len(body), length+len(end)+2)], []byte(end)) {
				if length = bytes.Index(body, []byte(end)); length < 0 {
					return // nothing can end any more
				}
			}
			s.data = body[:length]
			at = min(len(pdf), len(pdf)-len(body)+length+len(end))
			if !yield(s) {
				return
			}
		}
	}
}

// dictionary is what stands between the last "obj" and the stream.
func dictionary(before []byte) string {
	before = before[max(0, len(before)-maxDictionary):]
	return string(before[bytes.LastIndex(before, []byte("obj"))+1:])
}

// value is what follows the key, to the end of the dictionary.
func (s stream) value(key string) string {
	for rest := s.dictionary; ; {
		_, after, ok := strings.Cut(rest, "/"+key)
		if !ok {
			return ""
		}
		if after != "" && strings.ContainsRune(" \r\n\t/[(<", rune(after[0])) {
			return strings.TrimLeft(after, " \r\n\t")
		}
		rest = after
	}
}

// is says whether the value of key is a name.
func (s stream) is(key, name string) bool {
	rest, ok := strings.CutPrefix(s.value(key), "/"+name)
	return ok && (rest == "" || strings.ContainsRune(" \r\n\t/[(<>", rune(rest[0])))
}

// number is the value of key, 0 where it is none that fits a picture or a file.
func (s stream) number(key string) int {
	value := s.value(key)
	end := strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(value)
	}
	n, err := strconv.ParseUint(value[:end], 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// filters lists how the data was encoded, in the order of decoding.
func (s stream) filters() []string {
	value := s.value("Filter")
	if list, ok := strings.CutPrefix(value, "["); ok {
		value, _, _ = strings.Cut(list, "]")
		return strings.Fields(strings.ReplaceAll(value, "/", " "))
	}
	name := strings.TrimPrefix(value, "/")
	if end := strings.IndexAny(name, " \r\n\t/[(<>"); end >= 0 {
		name = name[:end]
	}
	return strings.Fields(name)
}

// attached answers the document if the stream of an attached file is what Print attaches.
func (s stream) attached() (document []byte, ok bool) {
	sealed := s.data
	if filters := s.filters(); len(filters) > 0 {
		var err error
		if sealed, err = inflate(sealed, maxSealed); err != nil || len(filters) != 1 || filters[0] != flate {
			return nil, false
		}
	}
	if !isSealed(sealed) {
		return nil, false
	}
	document, err := open(sealed)
	return document, err == nil
}

// errEncoding is the answer to pictures that are packed in a way of which there are too many.
func errEncoding(what string) error {
	return remedy.With(fmt.Errorf("a picture in it is stored as %s", what), "turn the pages into pictures with `pdftoppm -r 300 -png` and hand those in")
}
