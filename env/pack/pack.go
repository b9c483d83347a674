// Package pack puts an environment into forms that outlive the host, and gets it back from them: a PDF to print, a seed
// image to boot with, and an archive of both that only the holders of some OpenPGP keys can open.
//
// The environment holds all secrets of an appliance. Everything here happens in memory, and no function of this package
// writes a file: what is to be written, and whether others could read it, is told to the caller.
package pack

import (
	"time"

	"appliance/env/pack/paper"
	"appliance/internal/disc"
)

// Names of the parts, as the predecessor had them.
const (
	documentName = "env.yml"
	paperName    = "env.yml.pdf"
	seedName     = "env-cidata.iso"
)

// Input is a file that was read: a key, or something to recover the environment from.
type Input struct {
	Name string // for messages
	Data []byte
}

// Output is a file to be written, with mode 0600.
type Output struct {
	Name  string // without a directory
	Data  []byte
	Clear bool // whoever reads it has the secrets of the environment
}

// Order is what Package is to work on.
type Order struct {
	Document []byte    // an env.yml that is valid by its schema
	Domain   string    // of the appliance
	MetaData []byte    // for the seed; nil for those of MetaData
	Keys     []Input   // files with OpenPGP public keys, armored or binary, one or many in each
	Beside   []Input   // further files, for the archive alone
	Made     time.Time // printed, and part of the archive's name; its location counts
}

// Package answers the PDF and the seed image, and, if there are keys, the archive of the document and these two, which
// everyone with one of the keys can open. A key that cannot be encrypted to is an error that names it.
func Package(o Order) ([]Output, error) {
	keys, err := readRecipients(o.Keys, o.Made)
	if err != nil {
		return nil, err
	}
	pdf, err := paper.Print(paper.Sheet{Domain: o.Domain, Name: documentName, Made: o.Made}, o.Document)
	if err != nil {
		return nil, err
	}
	metaData := o.MetaData
	if metaData == nil {
		metaData = MetaData(o.Domain, o.Document)
	}
	seed, err := Seed(o.Made, o.Document, metaData, disc.File{Name: paperName, Data: pdf})
	if err != nil {
		return nil, err
	}
	outputs := []Output{{paperName, pdf, true}, {seedName, seed, true}}
	if len(keys) == 0 {
		return outputs, nil
	}
	files := append([]Output{{documentName, o.Document, true}}, outputs...)
	for _, more := range o.Beside {
		files = append(files, Output{more.Name, more.Data, true})
	}
	packed, err := archive(o.Made, files)
	if err != nil {
		return nil, err
	}
	name := o.Domain + ".env." + o.Made.Format("2006-01-02_15.04") + ".tar.gz"
	sealed, err := encrypt(packed, name, keys, o.Made)
	if err != nil {
		return nil, err
	}
	return append(outputs, Output{Name: name + ".gpg", Data: sealed}), nil
}
