package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"appliance/env/pack/paper"
	"appliance/env/yaml11"
	"appliance/internal/disc"
	"appliance/internal/remedy"
)

// maxLayers bounds how often one thing is packed in another: message, gzip, tar, image, gzip are five.
const maxLayers = 6

// Found is a recovered environment.
type Found struct {
	Document []byte
	Origins  []string // what held it, such as "backup.gpg: env.yml"; all have the same
	Skipped  []error  // inputs that could not be used, each named
}

// Recover finds the environment in inputs of any kind and in any order: archives (encrypted or not), seed images, PDFs,
// pictures of their pages, text lines that zbarimg has read from them, and env.yml itself.
//
// An input that cannot be used does no harm as long as another one holds the whole document. Whole documents that differ
// are an error. The document is not validated.
func Recover(inputs []Input, keys Keys) (Found, error) {
	r := recovery{keys: keys}
	for _, in := range inputs {
		if err := r.add(in, 0); err != nil {
			r.skip(in.Name, err)
		}
	}
	for _, p := range r.prints {
		name := strings.Join(p.names, ", ")
		if document, err := p.reader.Document(); err != nil {
			r.skip(name, err)
		} else {
			r.whole = append(r.whole, Input{name, document})
		}
	}
	return r.result()
}

// recovery collects what inputs hold.
type recovery struct {
	keys    Keys
	whole   []Input // whole documents
	prints  []*printed
	skipped []error
}

// printed is what was handed in of one printed document.
type printed struct {
	names  []string
	reader paper.Reader
}

func (r *recovery) skip(name string, err error) {
	r.skipped = append(r.skipped, fmt.Errorf("%s: %w", name, err))
}

func (r *recovery) result() (Found, error) {
	if len(r.whole) == 0 {
		if len(r.skipped) == 0 {
			return Found{}, errors.New("cannot recover the environment: there is nothing to recover it from")
		}
		return Found{}, fmt.Errorf("cannot recover the environment: %w", errors.Join(r.skipped...))
	}
	found := Found{Document: r.whole[0].Data, Skipped: r.skipped}
	for _, other := range r.whole {
		if !bytes.Equal(other.Data, found.Document) {
			err := fmt.Errorf("cannot recover the environment: %s and %s hold different ones", r.whole[0].Name, other.Name)
			return Found{}, remedy.With(err, "hand in only the one that is meant")
		}
		found.Origins = append(found.Origins, other.Name)
	}
	return found, nil
}

// add opens one input, layer by layer.
func (r *recovery) add(in Input, layers int) error {
	if layers > maxLayers {
		return errors.New("it is packed too many times")
	}
	inner := in
	var err error
	switch {
	case isMessage(in.Data):
		inner.Data, err = r.keys.decrypt(in.Data)
	case bytes.HasPrefix(in.Data, []byte("\x1f\x8b")):
		inner.Data, err = gunzip(in.Data)
	case isTar(in.Data):
		inner, err = member(in)
	case isImage(in.Data):
		inner, err = onImage(in)
	case strings.HasPrefix(firstLine(in.Data), cloudConfig+"-"):
		return errLonger()
	case isDocument(in):
		return r.addDocument(in)
	default:
		return r.addPaper(in)
	}
	if err != nil {
		return err
	}
	return r.add(inner, layers+1)
}

func (r *recovery) addDocument(in Input) error {
	if len(in.Data) > yaml11.MaxSize {
		return fmt.Errorf("it has %d bytes, more than an environment may have", len(in.Data))
	}
	r.whole = append(r.whole, in)
	return nil
}

// addPaper adds a PDF, a page or codes to the print they belong to. Those of another document are refused by its reader
// and begin a print of their own, so that two whole ones are noticed.
func (r *recovery) addPaper(in Input) error {
	var err error
	for _, p := range append(slices.Clip(r.prints), &printed{}) {
		var understood bool
		understood, err = p.reader.Add("it", in.Data) // whoever skips the input names it
		switch {
		case err != nil:
			continue
		case !understood:
			err := errors.New("it is neither an archive, an image, a PDF, a picture, a text of codes nor an environment")
			return remedy.With(err, "hand in what env package has made, or scans of the printed pages")
		case len(p.names) == 0:
			r.prints = append(r.prints, p)
		}
		p.names = append(p.names, in.Name)
		return nil
	}
	return err
}

func isTar(data []byte) bool {
	const magic = 257
	return len(data) > magic && bytes.HasPrefix(data[magic:], []byte("ustar"))
}

func member(in Input) (Input, error) {
	name, data, err := unpack(in.Data, documentName, seedName, paperName)
	return Input{in.Name + ": " + name, data}, err
}

// isImage recognises iso9660 by its first descriptor, and FAT by the jump and the signature of its boot sector.
func isImage(data []byte) bool {
	const descriptor = 16*2048 + 1
	if len(data) > descriptor && bytes.HasPrefix(data[descriptor:], []byte("CD001")) {
		return true
	}
	return len(data) >= 512 && (data[0] == 0xeb || data[0] == 0xe9) && bytes.Equal(data[510:512], []byte{0x55, 0xaa})
}

func onImage(in Input) (Input, error) {
	image, err := disc.Open(bytes.NewReader(in.Data), int64(len(in.Data)))
	if err != nil {
		return Input{}, err
	}
	for _, name := range []string{"user-data", paperName} {
		data, err := image.ReadFile(name, maxArchive)
		if err == nil {
			return Input{in.Name + ": " + name, data}, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Input{}, err
		}
	}
	return Input{}, errors.New("the image holds no environment")
}

// isDocument recognises an environment: text for cloud-init, or a YAML mapping with an appliance in it. Lines of zbarimg
// are YAML too.
func isDocument(in Input) bool {
	if firstLine(in.Data) == cloudConfig {
		return true
	}
	document, err := yaml11.Parse(in.Name, in.Data)
	return err == nil && document.Has("appliance")
}
