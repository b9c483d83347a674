package clientca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// placeholderName tells a placeholder from the authority of an application.
const placeholderName = "appliance: placeholder until there is an authority"

func isPlaceholder(name pkix.Name) bool { return name.CommonName == placeholderName }

const placeholderYears = 10

// newPlaceholder makes an authority that never signs a certificate, for its key is not kept, and its empty list.
func newPlaceholder(now time.Time) (material, error) {
	made, err := makePlaceholder(now)
	if err != nil {
		return material{}, fmt.Errorf("cannot make a placeholder for the authority of client certificates: %w", err)
	}
	return made, nil
}

func makePlaceholder(now time.Time) (m material, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return m, err
	}
	start := now.Add(-skew) // of a host whose clock is put right later
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: placeholderName},
		NotBefore: start, NotAfter: now.AddDate(placeholderYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return m, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return m, err
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: start, NextUpdate: template.NotAfter}
	if der, err = x509.CreateRevocationList(rand.Reader, list, ca, key); err != nil {
		return m, err
	}
	if list, err = x509.ParseRevocationList(der); err != nil {
		return m, err
	}
	return material{cas: []*x509.Certificate{ca}, crls: []*x509.RevocationList{list}}, nil
}

// etc is where web servers look for the application's files.
const etc = "/data/etc/"

// Missing says which of the files a web server wants is not there for it; "" is none.
func (f Files) Missing() (string, error) {
	var missing []string
	for _, file := range []string{CAFile, CRLFile} {
		if alien, err := f.alien(file); err != nil {
			return "", err
		} else if alien || !f.System.Exists(file) {
			missing = append(missing, file)
		}
		if link := etc + path.Base(file); !f.System.Exists(link) {
			missing = append(missing, link)
		}
	}
	if inForce, _ := f.Load(); !f.kept(inForce) {
		missing = append(missing, GoodFile+" as it should be")
	}
	if len(missing) == 0 {
		return "", nil
	}
	return "missing: " + strings.Join(missing, ", "), nil
}

// Dummy puts placeholders where the application has not written its files yet, links to them, and makes
// what is in force the last good one: a web server that names any of these can start. It replaces nothing of the
// application, whose user may replace what it writes.
func (f Files) Dummy() error {
	made, err := newPlaceholder(f.System.Now())
	if err != nil {
		return err
	}
	bundle := made.bundle()
	if err := f.place(CAFile, bundle.CAs); err != nil {
		return err
	}
	if err := f.place(CRLFile, bundle.CRLs); err != nil {
		return err
	}
	inForce, _ := f.Load() // whoever takes it into force says what is wrong with it
	return f.Keep(inForce)
}

func (f Files) place(file string, data []byte) error {
	// Relative, so that it leads to the same file in a container that sees /data as /app.
	if link := etc + path.Base(file); !f.System.Exists(link) {
		if err := f.System.Symlink("../"+path.Base(Dir)+"/"+path.Base(file), link); err != nil {
			return err
		}
	}
	if !f.System.Exists(file) {
		err := f.System.WriteNewFile(file, data, 0o644)
		if errors.Is(err, fs.ErrExist) { // the application was quicker
			return nil
		}
		if err != nil {
			return err
		}
	}
	alien, err := f.alien(file)
	if err != nil || !alien {
		return err
	}
	owner, group, err := f.System.Owner(Dir)
	if err != nil {
		return err
	}
	if err := f.System.Observe("chown", file); err != nil {
		return err
	}
	if err := os.Lchown(f.System.Path(file), owner, group); err != nil { // never what a link leads to
		return fmt.Errorf("cannot set the owner of %s: %w", file, err)
	}
	return nil
}

// alien says whether a file is a placeholder that the owner of the directory cannot write to: he was to get it, but that
// was cut off. Files of an operator keep their owner.
func (f Files) alien(file string) (bool, error) {
	if os.Geteuid() != 0 {
		return false, nil // only root gives away
	}
	info, err := os.Lstat(f.System.Path(file))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at %s: %w", file, err)
	}
	owner, _, err := f.System.Owner(Dir)
	if err != nil || !info.Mode().IsRegular() || int(info.Sys().(*syscall.Stat_t).Uid) == owner {
		return false, err
	}
	data, err := f.read(file, maxCRLs)
	if err != nil || data == nil {
		return false, nil //nolint:nilerr // then it is none of ours, and Load says what is wrong with it
	}
	cas, _ := parseCAs(data, certificateBlock)
	lists, _ := parseCRLs(data, maxEntries)
	return len(cas) == 1 && isPlaceholder(cas[0].Subject) || len(lists) == 1 && isPlaceholder(lists[0].Issuer), nil
}
