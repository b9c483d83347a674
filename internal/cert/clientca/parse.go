package clientca

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"appliance/internal/crl"
)

// What a file may cost. A list of 4 MB revokes some 100 000 certificates; the numbers bound how many signatures are
// checked, and the size of a key how long one takes.
const (
	maxCAs     = 1 << 20 // bytes
	maxCRLs    = 4 << 20 // bytes
	maxEntries = 32
	maxKept    = 2 * maxEntries // lists of ours: of each authority the newest, and one that was newer
	maxRSABits = 8192
)

const (
	certificateBlock = "CERTIFICATE"
	crlBlock         = "X509 CRL"
	goneBlock        = "REMOVED CERTIFICATE" // openssl passes it over
)

// read reads a file of the application; nil is none. A container may have put anything under its name, so it is looked at
// before it is opened, through a handle that cannot be swapped: opening a device may set it off, and a pipe would wait.
func (f Files) read(path string, limit int64) ([]byte, error) {
	handle, err := os.OpenFile(f.System.Path(path), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	info, err := handle.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, errors.New("it is a link, and links are not followed there")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	}
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("it is larger than %d kB", limit>>10)
	case len(data) == 0:
		return nil, errors.New("it is empty")
	}
	return data, nil
}

// ders finds the DER of each object of a kind in PEM text, or in data that is nothing but DER, if there are not too many.
func ders(data []byte, kind string, most int) ([][]byte, error) {
	var found [][]byte
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		for len(data) > 0 {
			var object asn1.RawValue
			rest, err := asn1.Unmarshal(data, &object)
			if err != nil {
				return nil, errors.New("it is neither PEM nor whole DER")
			}
			found, data = append(found, object.FullBytes), rest
		}
		return bounded(found, most)
	}
	begun := bytes.Count(data, []byte("-----BEGIN "+kind+"-----"))
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			found = append(found, block.Bytes)
		}
	}
	if len(found) != begun { // pem passes over what it cannot read
		return nil, errors.New("it is torn: a PEM block in it is not whole")
	}
	return bounded(found, most)
}

func bounded(found [][]byte, most int) ([][]byte, error) {
	if len(found) > most {
		return nil, fmt.Errorf("it holds %d, more than %d", len(found), most)
	}
	return found, nil
}

// parseCAs reads authorities, each once. A certificate that is no authority would be good for its owner alone, and has
// no business there.
func parseCAs(data []byte, kind string) ([]*x509.Certificate, error) {
	found, err := ders(data, kind, maxEntries)
	if err != nil {
		return nil, err
	}
	var cas []*x509.Certificate
	for i, der := range found {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", i+1, err)
		}
		if !ca.BasicConstraintsValid || !ca.IsCA {
			return nil, fmt.Errorf("certificate %d in it is no authority", i+1)
		}
		if key, ok := ca.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return nil, fmt.Errorf("certificate %d in it has a key of more than %d bits", i+1, maxRSABits)
		}
		if !slices.ContainsFunc(cas, ca.Equal) {
			cas = append(cas, ca)
		}
	}
	return cas, nil
}

// parseCRLs reads lists, if they are not more than most.
func parseCRLs(data []byte, most int) ([]*x509.RevocationList, error) {
	found, err := ders(data, crlBlock, most)
	if err != nil {
		return nil, err
	}
	var lists []*x509.RevocationList
	for i, der := range found {
		list, err := crl.Parse(der)
		if err != nil {
			return nil, fmt.Errorf("list %d in it cannot be read: %w", i+1, err)
		}
		for _, extension := range list.Extensions {
			if extension.Critical { // it tells only a part: what has changed, some kinds of certificates (RFC 5280, 5.2)
				return nil, fmt.Errorf("list %d in it is no whole list: it has the extension %s", i+1, extension.Id)
			}
		}
		lists = append(lists, list)
	}
	return lists, nil
}
