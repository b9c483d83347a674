package vault

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Files of a GnuPG home.
const (
	publicRing   = "pubring.gpg"
	secretRing   = "secring.gpg"       // of gpg 1.4 alone
	keybox       = "pubring.kbx"       // of gpg 2, which prefers it to pubring.gpg
	commonConf   = "common.conf"       // of gpg 2.4: it may say that keys are in a database
	options      = "gpg.conf"          // of both
	migratedMark = ".gpg-v21-migrated" // gpg 2 need not take over what is in secring.gpg
	keyDir       = "private-keys-v1.d" // of gpg 2's agent, a file a key
	noteName     = ".appliance-vault.json"
	maxRing      = 64 << 20 // and of all key files together
)

// contents is what is in a home.
type contents struct {
	entries  []entry // parents first
	public   []block
	secret   []block
	keyFiles map[string][]byte // by keygrip
	keyBytes int64             // of them
	options  string
	damaged  []string // files that could be read in part only
}

// entry is one file, directory or link.
type entry struct {
	name string // within the home
	info fs.FileInfo
}

// listEntries lists the home at dir of the file system; none is an empty one.
func listEntries(dir string) (entries []entry, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	err = walk(root, func(name string, info fs.FileInfo, err error) error {
		if err != nil {
			return fmt.Errorf("cannot read the directory %s of %s: %w", name, dir, err)
		}
		entries = append(entries, entry{name, info})
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return entries, err
}

// readContents reads the home at dir of the file system.
func readContents(dir string) (contents, error) {
	c := contents{keyFiles: map[string][]byte{}}
	var err error
	c.entries, err = listEntries(dir)
	if len(c.entries) == 0 || err != nil {
		return c, err
	}
	root, err := os.OpenRoot(dir) // links that the application has made lead nowhere else
	if err != nil {
		return c, fmt.Errorf("cannot read the keys of the storage vault: %w", err)
	}
	defer root.Close()
	for _, e := range c.entries {
		if err == nil && e.info.Mode().IsRegular() {
			err = c.take(root, e)
		}
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the keys of the storage vault: %w", err)
	}
	return c, nil
}

var errNoFile = errors.New("it is no file, or too large")

// readRegular reads a file of a directory that somebody else may write to: nothing outside of it, nothing that never ends.
func readRegular(root *os.Root, name string, most int64) ([]byte, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, errors.Join(err, errNoFile)
	}
	return io.ReadAll(io.LimitReader(file, most))
}

// take reads a file that holds keys. What is damaged in it is no error: the file itself is kept.
func (c *contents) take(root *os.Root, e entry) error {
	parent, name := path.Split(e.name)
	isKeyFile := parent == keyDir+"/" && strings.HasSuffix(name, ".key")
	if !isKeyFile && !slices.Contains([]string{publicRing, secretRing, keybox, options}, e.name) {
		return nil
	}
	most := int64(maxRing)
	if isKeyFile {
		most = min(maxKeyFile, maxRing-c.keyBytes)
	}
	data, err := readRegular(root, e.name, most)
	if errors.Is(err, errNoFile) {
		c.damaged = append(c.damaged, e.name)
		return nil
	}
	if err != nil {
		return err
	}
	var blocks []block
	switch e.name {
	case options:
		c.options = string(data)
		return nil
	case publicRing:
		blocks, err = splitBlocks(data)
		c.public = append(c.public, blocks...)
	case keybox:
		blocks, err = readKeybox(data)
		c.public = append(c.public, blocks...)
	case secretRing:
		c.secret, err = splitBlocks(data)
	default:
		c.keyFiles[strings.TrimSuffix(name, ".key")] = data
		c.keyBytes += int64(len(data))
	}
	if err != nil {
		c.damaged = append(c.damaged, e.name)
	}
	return nil
}

// same says whether nobody has changed the home since.
func (c contents) same(later contents) bool {
	return slices.EqualFunc(c.entries, later.entries, func(a, b entry) bool {
		return a.name == b.name && os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
	})
}

// passing says whether an entry holds no data: sockets of agents, which may not answer, and locks.
func (e entry) passing() bool {
	kind, base := e.info.Mode().Type(), path.Base(e.name)
	lock := strings.HasSuffix(base, ".lock") || strings.HasPrefix(base, ".#lk")
	return kind&^(fs.ModeDir|fs.ModeSymlink) != 0 || kind != fs.ModeDir && lock
}

// written says whether what has the entry's name in a home that we make is of ours.
func (d draft) written(e entry) bool {
	_, ours := d.files[e.name]
	return ours || slices.Contains([]string{publicRing, secretRing, options, migratedMark, keyDir, noteName}, e.name)
}

// aside says whether a file would keep gpg from the rings that we write, so that it gets another name.
func (c contents) aside(dir string, e entry) bool {
	switch e.name {
	case keybox:
		return true
	case commonConf:
		root, err := os.OpenRoot(dir)
		if err != nil {
			return true
		}
		defer root.Close()
		text, err := readRegular(root, e.name, maxRing)
		return err != nil || strings.Contains(string(text), "use-keyboxd")
	}
	return false
}
