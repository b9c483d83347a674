package source

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"appliance/internal/remedy"
)

const (
	// maxLayers is how deep a document may be wrapped: base64 of gzip of MIME with a part in base64 of gzip is five.
	maxLayers = 6

	// maxInflated bounds what all gzip in one document may inflate to, in limits; each by itself may have one. The other
	// packings do not inflate.
	maxInflated = 4
)

// unpack takes user-data out of whatever it is wrapped in: gzip, base64, MIME, each in any other. The result is YAML text as far as
// the first line tells, with at most limit bytes; empty when there is nothing in it.
func unpack(data []byte, limit int64) ([]byte, error) {
	u := unpacker{limit: limit, left: maxInflated * limit}
	configs, err := u.open(data, layer{})
	switch {
	case err != nil:
		return nil, err
	case len(configs) == 0:
		return nil, nil
	}
	return theAppliance(configs)
}

// unpacker takes one document apart.
type unpacker struct {
	limit int64 // of one layer, in bytes
	left  int64 // that may still be inflated
}

// layer says how data came to be where it is.
type layer struct {
	depth int
	part  bool // of a MIME message: there may be others
	named bool // declared to be a cloud-config
}

func (l layer) within() layer {
	l.depth++
	return l
}

// open answers every document in data. A part that is something else is left aside; alone, that is an error.
func (u *unpacker) open(data []byte, at layer) ([][]byte, error) {
	if at.depth > maxLayers {
		return nil, fmt.Errorf("it is packed in more than %d layers", maxLayers)
	}
	text := trimmed(data)
	switch {
	case len(text) == 0:
		return nil, nil
	case isGzip(data):
		inner, err := u.gunzip(data)
		if err != nil {
			return nil, err
		}
		return u.open(inner, at.within())
	case isConfig(text):
		return [][]byte{data}, nil
	case isMIME(text):
		return u.message(text, at.within())
	case at.part && !at.named:
		return nil, nil
	case isBase64(text):
		inner, err := u.unbase64(text)
		if err != nil {
			return nil, err
		}
		return u.open(inner, at.within())
	}
	if kind := foreignKind(text); kind != "" {
		return nil, remedy.With(fmt.Errorf("it is %s, no #cloud-config", kind),
			"hand in the #cloud-config itself, or a MIME multi-part with one next to it")
	}
	return [][]byte{data}, nil
}

func (u *unpacker) gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(bytes.TrimRight(data, "\r\n"))) // an editor or a form may have ended it with a line
	if err != nil {
		return nil, damaged("gzip", err)
	}
	inner, err := readLimited(r, u.limit)
	u.left -= int64(len(inner))
	switch {
	case remedy.Of(err) != "": // too large
		return nil, err
	case err != nil:
		return nil, damaged("gzip", err)
	case u.left < 0:
		return nil, tooLarge(u.limit)
	}
	return inner, nil
}

func (u *unpacker) unbase64(text []byte) ([]byte, error) {
	inner, err := base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields(text), nil))
	if err != nil {
		return nil, damaged("base64", err)
	}
	return inner, nil
}

// damaged tells that a packing does not open. The position that its reader tells says nothing to an operator.
func damaged(packing string, err error) error {
	what := "damaged, or has something behind its end"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "cut off"
	}
	return remedy.With(fmt.Errorf("it is %s, but %s", packing, what), "hand the document in again, whole")
}

// trimmed is data from its first visible character on, to look at: the document itself keeps what is before.
func trimmed(data []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

func isConfig(text []byte) bool { return firstWord(text) == "#cloud-config" }

func firstWord(text []byte) string {
	end := bytes.IndexAny(text, " \t\r\n")
	if end < 0 {
		end = len(text)
	}
	return string(text[:min(end, 64)])
}

// shortestBase64 is what the shortest environment takes: less is words.
const shortestBase64 = 32

// isBase64 says whether text can only be base64: an environment is a mapping, and its colon is not of that alphabet.
func isBase64(text []byte) bool {
	if len(text) < shortestBase64 {
		return false
	}
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '+', c == '/', c == '=', c == '\r', c == '\n', c == ' ', c == '\t':
		default:
			return false
		}
	}
	return true
}

// foreignKind names user-data that cloud-init would understand and we cannot, and what no user-data at all begins with.
func foreignKind(text []byte) string {
	word := firstWord(text)
	switch {
	case strings.HasPrefix(word, "#!"):
		return "a script"
	case strings.HasPrefix(word, "<"):
		return "HTML or XML"
	case bytes.HasPrefix(text, []byte("## template:")):
		return "a template"
	}
	switch word {
	case "#include", "#include-once", "#cloud-boothook", "#cloud-config-archive", "#cloud-config-jsonp", "#part-handler", "#upstart-job":
		return word
	}
	return ""
}
