// Package clientca looks after the authority that certificates of visitors are checked with, and its lists of revoked
// ones. Both are files that the application writes, from a container, whenever it likes: they are taken as hostile input,
// and whatever is wrong with them leaves the last good ones in force.
package clientca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Where the application puts its files, by the names of the predecessor.
const (
	Dir     = "/data/ecs-ca"
	CAFile  = Dir + "/ca.cert.pem"
	CRLFile = Dir + "/crl.pem"
)

// GoodFile holds the last good ones, authorities first, for the next start and for a web server of the host. It is always
// whole, and only root reads and writes it.
const GoodFile = "/data/etc/cert/clients/bundle.pem"

// Bundle is what certificates of visitors are checked with. It is never without an authority.
type Bundle struct {
	CAs  []byte // PEM
	CRLs []byte // PEM; each is signed by one of CAs; what any of them revokes is revoked
	Gone []byte // PEM of a kind that nobody trusts; authorities that were taken out while their lists still lie about
	// Placeholder says that the authority is one whose key nobody has: no certificate can be good.
	Placeholder bool
}

// Files are the application's files on a host.
type Files struct{ System *system.System }

// Load reads the application's files and answers what is in force, with warnings for the operator. It changes nothing:
// Keep makes the answer the last good one.
//
// A file that is missing, torn, too large, of somebody else or not even a file leaves in force what was good before. Where
// nothing was, the answer is a placeholder: rather nobody is let in than somebody whose certificate was revoked.
func (f Files) Load() (Bundle, []error) {
	good, err := f.good()
	var warnings []error
	if err != nil {
		warnings = append(warnings, err)
	}
	now, more := f.fresh(good)
	warnings = append(warnings, more...)
	if now.empty() {
		now = good
	}
	if now.empty() {
		if now, err = newPlaceholder(f.System.Now()); err != nil { // no random numbers: nothing else works either
			return Bundle{}, append(warnings, err)
		}
	}
	return now.bundle(), warnings
}

// Keep makes b the last good one, durably. Doing it twice is the same as once.
func (f Files) Keep(b Bundle) error {
	if f.kept(b) {
		return nil
	}
	if err := f.System.Mkdir(path.Dir(GoodFile), 0o700); err != nil {
		return err
	}
	return f.System.WriteFile(GoodFile, b.text(), 0o600)
}

func (f Files) kept(b Bundle) bool {
	have, err := f.System.ReadFile(GoodFile)
	return err == nil && bytes.Equal(have, b.text())
}

func (b Bundle) text() []byte { return slices.Concat(b.CAs, b.CRLs, b.Gone) }

// material is a bundle as parsed.
type material struct {
	cas  []*x509.Certificate
	crls []*x509.RevocationList
	gone []*x509.Certificate // that were taken out, and whose lists still lie about
}

func (m material) empty() bool { return len(m.cas) == 0 }

func (m material) placeholder() bool {
	return len(m.cas) == 1 && isPlaceholder(m.cas[0].Subject)
}

func (m material) bundle() Bundle {
	var cas, crls, gone bytes.Buffer
	for _, ca := range m.cas {
		_ = pem.Encode(&cas, &pem.Block{Type: certificateBlock, Bytes: ca.Raw}) // a buffer takes everything
	}
	for _, list := range m.crls {
		_ = pem.Encode(&crls, &pem.Block{Type: crlBlock, Bytes: list.Raw})
	}
	for _, ca := range m.gone {
		_ = pem.Encode(&gone, &pem.Block{Type: goneBlock, Bytes: ca.Raw})
	}
	return Bundle{CAs: cas.Bytes(), CRLs: crls.Bytes(), Gone: gone.Bytes(), Placeholder: m.placeholder()}
}

// good reads the last good one; it is empty where there has never been one.
func (f Files) good() (material, error) {
	data, err := f.System.ReadFile(GoodFile)
	if errors.Is(err, fs.ErrNotExist) {
		return material{}, nil
	}
	var m material
	if err == nil {
		m.cas, err = parseCAs(data, certificateBlock)
	}
	if err == nil {
		m.gone, err = parseCAs(data, goneBlock)
	}
	if err == nil {
		m.crls, err = parseCRLs(data, maxKept)
	}
	if err != nil {
		return material{}, remedy.With(fmt.Errorf("cannot use %s, the authority for client certificates that was last good: %w", GoodFile, err),
			"remove it; it is made anew from the files of the application")
	}
	return m, nil
}

// fresh is what the application's files say now. It is empty where they do not say anything good.
func (f Files) fresh(good material) (material, []error) {
	had := !good.empty() && !good.placeholder()
	refuse := func(err error, file, remark string) (material, []error) {
		after := "; nobody's certificate is good until it can be used"
		if had {
			after = "; the last good one stays in force"
		}
		return material{}, []error{remedy.With(fmt.Errorf("cannot use %s: %w%s", file, err, after), remark)}
	}
	cas, err := f.cas()
	switch {
	case err != nil:
		return refuse(err, CAFile, "let the application write it again, or put the authority there as PEM")
	case len(cas) == 0 && had:
		return refuse(errors.New("it is not there any more"), CAFile,
			"let the application write it again, or remove "+GoodFile+" too if client certificates are to be no good any more")
	case len(cas) == 0:
		return material{}, nil
	}
	crls, err := f.crls()
	crls, left := withoutGone(crls, cas, gone(cas, good))
	var lists []signed
	if err == nil {
		lists, err = check(cas, crls, f.System.Now())
	}
	if err != nil {
		return refuse(err, CRLFile, "let the application write it again, or put a list there that is signed by the authority in "+CAFile)
	}
	m, warnings := join(cas, lists, attribute(cas, good.crls))
	m.gone = left
	return m, append(warnings, aged(m, f.System.Now())...)
}

// cas reads the authorities, without placeholders. None and no error: there is no file, or nothing else in it.
func (f Files) cas() ([]*x509.Certificate, error) {
	data, err := f.read(CAFile, maxCAs)
	if err != nil || data == nil {
		return nil, err
	}
	cas, err := parseCAs(data, certificateBlock)
	if err == nil && len(cas) == 0 {
		err = errors.New("there is no certificate in it")
	}
	real := cas[:0]
	for _, ca := range cas {
		if !isPlaceholder(ca.Subject) {
			real = append(real, ca)
		}
	}
	return real, err
}

// crls reads the lists, without those of placeholders.
func (f Files) crls() ([]*x509.RevocationList, error) {
	data, err := f.read(CRLFile, maxCRLs)
	if err != nil || data == nil {
		return nil, err
	}
	lists, err := parseCRLs(data, maxEntries)
	if err == nil && len(lists) == 0 {
		err = errors.New("there is no list in it")
	}
	real := lists[:0]
	for _, list := range lists {
		if !isPlaceholder(list.Issuer) {
			real = append(real, list)
		}
	}
	return real, err
}
