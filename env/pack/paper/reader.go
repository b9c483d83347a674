package paper

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"appliance/internal/remedy"
)

// Reader puts a document together from what is handed to it, in any order and as often as one likes. The zero value is
// ready. It is not safe for concurrent use.
type Reader struct {
	id       string         // of the document, "" before anything of it was seen
	total    int            // codes it consists of, 0 before one was seen
	data     map[int]string // by index
	whole    bool           // document is all of it, as it was attached to a PDF
	document []byte
	effort   int // spent on pictures since a PDF was begun
}

// Add takes what is in data: a PDF made by Print or by a scanner, a picture of a page (PNG, JPEG, the first page of a
// TIFF), or lines of text as zbarimg prints them. understood is false, without an error, for data of another kind and for
// text without a code. A picture without a code is understood, since not every page has some. Codes of another document
// than before are an error; so is a picture of more than 48 million pixels. name is for errors only.
func (r *Reader) Add(name string, data []byte) (understood bool, err error) {
	understood, err = r.add(data)
	if err != nil {
		return understood, fmt.Errorf("cannot take %s: %w", name, err)
	}
	return understood, nil
}

func (r *Reader) add(data []byte) (understood bool, err error) {
	if isPDF(data) {
		return true, r.addPDF(data)
	}
	img, ok, err := decode(data)
	switch {
	case !ok:
		return r.addText(data)
	case err != nil:
		return true, err
	}
	_, err = r.addPicture(toGrey(img))
	return true, err
}

// addText takes the codes among the lines of text.
func (r *Reader) addText(text []byte) (understood bool, err error) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("QR-Code:"))
		if !bytes.HasPrefix(line, []byte(mark)) {
			continue
		}
		p, ok := parse(string(line))
		if !ok {
			continue
		}
		understood = true
		if err := r.take(p); err != nil {
			return true, err
		}
	}
	return understood, nil
}

// addPicture takes the codes in a picture and says how many there were. A picture that seems to hold more is looked at in
// other ways.
func (r *Reader) addPicture(g grey) (found int, err error) {
	seen := map[part]bool{}
	if min(g.width, g.height) < smallest {
		return 0, nil
	}
	for view := range g.views() {
		matrix, err := view.matrix()
		if err != nil {
			return len(seen), err
		}
		found, effort := texts(matrix)
		r.effort += effort
		for _, text := range found {
			p, ok := parse(text)
			if !ok {
				continue // a code, but none of ours
			}
			if err := r.take(p); err != nil {
				return len(seen), err
			}
			seen[p] = true
		}
		if len(seen) > 0 && r.havePagesOf(seen) {
			break
		}
	}
	return len(seen), nil
}

// havePagesOf says whether no code is missing on the pages that these codes stand on.
func (r *Reader) havePagesOf(seen map[part]bool) bool {
	for p := range seen {
		if len(r.missing()[page(p.index)]) > 0 {
			return false
		}
	}
	return true
}

// take remembers a part.
func (r *Reader) take(p part) error {
	if err := r.belongs(p.id); err != nil {
		return err
	}
	known, seen := r.data[p.index]
	if r.total != 0 && r.total != p.total || seen && known != p.data {
		err := fmt.Errorf("code %d of %d of document %s differs from what was read before", p.index, p.total, p.id)
		return remedy.With(err, "hand in pages that were printed at the same time, or scan this page again")
	}
	if r.data == nil {
		r.data = map[int]string{}
	}
	r.total = p.total
	r.data[p.index] = p.data
	return nil
}

// takeWhole remembers a document that came in one piece.
func (r *Reader) takeWhole(document []byte) error {
	if err := r.belongs(id(document)); err != nil {
		return err
	}
	r.document, r.whole = document, true
	return nil
}

// belongs is the error of mixing two documents.
func (r *Reader) belongs(id string) error {
	if r.id != "" && r.id != id {
		err := fmt.Errorf("it is of document %s, those before are of document %s", id, r.id)
		return remedy.With(err, "hand in the pages of one document; its name stands at the foot of each")
	}
	r.id = id
	return nil
}

// missing lists the codes that were not seen, by the page they stand on.
func (r *Reader) missing() map[int][]int {
	missing := map[int][]int{}
	for index := 1; index <= r.total; index++ {
		if _, seen := r.data[index]; !seen {
			missing[page(index)] = append(missing[page(index)], index)
		}
	}
	return missing
}

// errDamaged is the answer where all codes were read and yet make no document.
var errDamaged = errors.New("cannot put the document together: its codes do not fit to each other")

// Document answers the document, byte for byte as it was printed. Its digest has been compared. Codes that are missing are
// an error that names them and their pages.
func (r *Reader) Document() ([]byte, error) {
	if r.whole {
		return bytes.Clone(r.document), nil
	}
	if r.total == 0 {
		return nil, remedy.With(errors.New("cannot find a code of an environment in what was read"),
			"scan the pages of codes with 300 dpi or more; of a PDF make pictures with `pdftoppm -r 300 -png`")
	}
	if len(r.data) < r.total {
		return nil, remedy.With(fmt.Errorf("cannot put the document together: %s", r.missed()), "scan these pages again, with 300 dpi or more")
	}
	var all strings.Builder
	for index := 1; index <= r.total; index++ {
		all.WriteString(r.data[index])
	}
	document, err := unpack(all.String())
	if err == nil && id(document) != r.id {
		err = fmt.Errorf("they say document %s, the digest is %s", r.id, id(document))
	}
	if err != nil {
		return nil, remedy.With(fmt.Errorf("%w: %w", errDamaged, err), "scan the pages of codes again, or hand in the PDF itself")
	}
	return document, nil
}

// unpack is the way back from the text of all codes.
func unpack(text string) ([]byte, error) {
	sealed, err := base32.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a part of one is missing: %w", err)
	}
	return open(sealed)
}

// missed says in words which codes are missing: "14 of 40 codes are missing: 3, 7 on page 2; all on page 3".
func (r *Reader) missed() string {
	missing := r.missing()
	var places []string
	for number := firstCodePage; number <= page(r.total); number++ {
		indexes := missing[number]
		if len(indexes) == 0 {
			continue
		}
		which := "all"
		if len(indexes) < min(perPage, r.total-(number-firstCodePage)*perPage) {
			which = strings.Trim(strings.ReplaceAll(fmt.Sprint(indexes), " ", ", "), "[]")
		}
		places = append(places, fmt.Sprintf("%s on page %d", which, number))
	}
	return fmt.Sprintf("%d of %d codes are missing: %s", r.total-len(r.data), r.total, strings.Join(places, "; "))
}
