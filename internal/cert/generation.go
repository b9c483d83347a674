package cert

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// Names of the files of a generation.
const (
	keyFile    = "key.pem"
	chainFile  = "chain.pem"
	bundleFile = "chain.dhparam.pem" // for stunnel, which wants both in one file
	madeFile   = "made.json"
)

const (
	madeFormat  = "appliance-certificate"
	madeVersion = 1
)

// made is what a generation knows about itself. Within a version fields are only added.
type made struct {
	Format    string            `json:"format"`
	Version   int               `json:"version"`
	Source    Source            `json:"source"`
	Authority string            `json:"authority,omitempty"`
	Made      time.Time         `json:"made"`
	Forced    bool              `json:"forced,omitempty"` // somebody wanted it in place of what was imported before
	SHA256    map[string]string `json:"sha256"`           // of the other files
}

// generation is a pair that lies in the store.
type generation struct {
	pair
	dh       []byte // what stands after the chain for stunnel
	made     time.Time
	forced   bool
	sequence uint64
	dir      string // its name, "12-0f3a5c77"
}

// same says whether g is p from the same source.
func (g generation) same(p pair) bool { return g.Source == p.Source && g.holds(p) }

// holds says whether g has the key and chain of p.
func (g generation) holds(p pair) bool {
	return bytes.Equal(g.Key, p.Key) && bytes.Equal(g.Chain, p.Chain)
}

// dirName names a generation so that people see which is newer and which certificate it is.
func dirName(sequence uint64, p pair) string { return fmt.Sprintf("%d-%.8s", sequence, p.SHA256) }

// sequenceOf answers the number in the name of a generation.
func sequenceOf(dir string) (uint64, bool) {
	number, id, ok := strings.Cut(dir, "-")
	sequence, err := strconv.ParseUint(number, 10, 62) // room to count on
	return sequence, ok && err == nil && id != "" && strconv.FormatUint(sequence, 10) == number
}

var (
	errDamaged = errors.New("not what was put there")
	errAltered = errors.New("another pair has been written over it")
)

// read answers the generation in a directory of the store, if it is as it was made. With errAltered it answers what is there
// instead.
func (s *store) read(dir string) (generation, error) {
	text, err := s.sys.ReadFile(path.Join(storeDir, dir, madeFile))
	if err != nil {
		return generation{}, err
	}
	var m made
	if err := json.Unmarshal(text, &m); err != nil || m.Format != madeFormat {
		return generation{}, fmt.Errorf("%w: %s", errDamaged, madeFile)
	}
	files, wrong := map[string][]byte{}, ""
	for _, name := range []string{bundleFile, chainFile, keyFile} {
		data, err := s.sys.ReadFile(path.Join(storeDir, dir, name))
		if err != nil {
			return generation{}, err
		}
		if digest(data) != m.SHA256[name] {
			wrong = name
		}
		files[name] = data
	}
	p, err := decode(files[keyFile], files[chainFile])
	switch {
	case err != nil:
		return generation{}, fmt.Errorf("%w: %s: %w", errDamaged, cmp.Or(wrong, chainFile), err)
	case wrong == bundleFile:
		return generation{}, fmt.Errorf("%w: %s", errDamaged, wrong)
	case wrong != "":
		return generation{pair: p}, errAltered
	}
	p.Source, p.Authority = m.Source, m.Authority
	sequence, _ := sequenceOf(dir)
	return generation{pair: p, dh: bytes.TrimPrefix(files[bundleFile], files[chainFile]), made: m.Made, forced: m.Forced, sequence: sequence, dir: dir}, nil
}

// files answers what a generation consists of.
func (g generation) files() (map[string][]byte, error) {
	files := map[string][]byte{keyFile: g.Key, chainFile: g.Chain, bundleFile: append(bytes.Clone(g.Chain), g.dh...)}
	m := made{Format: madeFormat, Version: madeVersion, Source: g.Source, Authority: g.Authority, Made: g.made, Forced: g.forced, SHA256: map[string]string{}}
	for name, data := range files {
		m.SHA256[name] = digest(data)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	files[madeFile] = append(text, '\n')
	return files, err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
