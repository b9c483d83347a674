package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"appliance/internal/remedy"
)

// note is what the appliance leaves in a home that it has made, so that a start with the same keys need not read them.
type note struct {
	Version    int               `json:"version"`
	Generation string            `json:"generation"` // another one with every home
	Wanted     string            `json:"wanted"`     // digest of the environment's keys
	Files      map[string]string `json:"files"`      // digest of what was written
	Keys       []Key             `json:"keys"`
}

const noteVersion = 1

const noteFiles = 64 // more are not held against the note, but read

// digest is that of the keys as they stand in the environment.
func (k Keys) digest() string {
	h := sha256.New()
	for _, text := range append([]string{k.Encrypt, k.Sign}, k.Retired...) {
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readNote answers what the appliance has noted in the home at dir of the file system; nothing is noted in one that somebody else has made.
func readNote(dir string) (n note, ok bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return n, false
	}
	defer root.Close()
	data, err := readRegular(root, noteName, maxRing)
	if err != nil || json.Unmarshal(data, &n) != nil || n.Version != noteVersion {
		return note{}, false
	}
	return n, true
}

// Generation names the home that is in place now; another one takes its place under another name. "" is one that the appliance has not
// made. Who has the directory mounted sees the old one until it mounts it anew.
func (h Home) Generation() string {
	n, _ := readNote(h.dir())
	return n.Generation
}

// Installed says whether the home was made for these keys: then they were good when it was.
func (h Home) Installed(k Keys) bool {
	n, ok := readNote(h.dir())
	return ok && n.Wanted == k.digest()
}

// Differs says why the home is not what the keys ask for; "" when it is. It changes nothing. Keys that have expired since the home was
// made for them are no reason, and no error.
func (h Home) Differs(k Keys) (why string, err error) {
	if h.interrupted() {
		return "a change of keys was cut off", nil
	}
	if k.None() {
		return "", nil
	}
	dir := h.dir()
	n, ok := readNote(dir)
	switch {
	case !ok:
		return "the application's gpg does not have the keys of the environment", nil
	case n.Wanted != k.digest():
		return "the environment has other keys than the application's gpg", nil
	}
	if why, err := h.exposed(); why != "" || err != nil {
		return why, err
	}
	if n.untouched(dir) {
		return "", nil
	}
	found, refusals := k.read(h.System.Now())
	if err := unreadable(refusals); err != nil {
		return "", err
	}
	if whole, err := h.holds(found); whole || err != nil {
		return "", err
	}
	return "keys in it are damaged or missing", nil
}

// holds says whether the home has what it should have, whatever gpg has noted there beside it.
func (h Home) holds(found keys) (bool, error) {
	dir := h.dir()
	have, err := readContents(dir)
	if err != nil {
		return false, err
	}
	want, err := newDraft(found, have, dir)
	return err == nil && want.holds(have), err
}

// unreadable is the error in refusals of keys that served before: time alone makes none of them unusable for what is there.
func unreadable(refusals []*Refusal) error {
	for _, r := range refusals {
		if r.broken {
			return r
		}
	}
	return nil
}

// exposed says why the home is not the application's alone.
func (h Home) exposed() (why string, err error) {
	info, err := h.System.Stat(HomePath)
	if err != nil {
		return "", fmt.Errorf("cannot look at the keys of the storage vault: %w", err)
	}
	if info.Mode().Perm() != homeMode {
		return fmt.Sprintf("its mode is %04o and should be %04o", info.Mode().Perm(), homeMode), nil
	}
	if h.owner() < 0 {
		return "", nil
	}
	if uid, _, err := h.System.Owner(HomePath); err != nil || uid != h.owner() {
		return fmt.Sprintf("it belongs to user %d and should belong to %d", uid, h.owner()), err
	}
	entries, err := listEntries(h.dir())
	for _, e := range entries {
		if h.unusable(e) {
			return fmt.Sprintf("%s in it belongs to root, and the application cannot use it", e.name), nil
		}
	}
	return "", err
}

// unusable says whether a file is root's and should be the application's. One with another name elsewhere stays root's: the application may
// have put it there.
func (h Home) unusable(e entry) bool {
	linked := !e.info.IsDir() && e.info.Sys().(*syscall.Stat_t).Nlink > 1
	return rootsOwn(e.info) && h.owner() > 0 && e.info.Mode()&fs.ModeSymlink == 0 && !linked
}

// mend gives a home that is good otherwise back to the application. It stays the same for who has it mounted.
func (h Home) mend() error {
	place, err := h.place()
	if err != nil {
		return err
	}
	entries, err := listEntries(h.System.Path(place.home))
	if err != nil {
		return fmt.Errorf("cannot look at the keys of the storage vault: %w", err)
	}
	for _, e := range entries {
		if h.unusable(e) {
			if err := h.System.GiveIn(place.home, e.name, e.info, h.owner()); err != nil {
				return err
			}
		}
	}
	if err := h.System.Chmod(place.home, homeMode); err != nil {
		return err
	}
	return h.give(place.home)
}

// rootsOwn says whether a file is root's: who runs gpg as root in the home leaves some, and an agent that nobody else reaches.
func rootsOwn(info fs.FileInfo) bool { return info.Sys().(*syscall.Stat_t).Uid == 0 }

// owner is -1 where we cannot give anything away.
func (h Home) owner() int {
	if os.Geteuid() != 0 {
		return -1
	}
	return h.Owner
}

// untouched says whether the files are still those that were written.
func (n note) untouched(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil || len(n.Files) > noteFiles {
		return false
	}
	defer root.Close()
	for name, digest := range n.Files {
		data, err := readRegular(root, name, maxRing)
		if err != nil || digestOf(data) != digest {
			return false
		}
	}
	return len(n.Files) > 0
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

var errReplaced = errors.New("somebody else has put another file in its place")

const maxTries = 3 // when somebody else changes the home while its successor is made

// Make puts a home with the keys in place, in one step, once a message that was sealed with them has been opened with what was written.
// Keys that were in the home stay, and so do files of others.
func (h Home) Make(ctx context.Context, k Keys) error {
	if err := h.recover(); err != nil || k.None() {
		return err
	}
	found, refusals := k.read(h.System.Now())
	if len(refusals) > 0 && !h.Installed(k) {
		return refusals[0]
	}
	if err := unreadable(refusals); err != nil {
		return err
	}
	found.over = len(refusals) > 0
	if h.Installed(k) {
		if whole, err := h.holds(found); whole || err != nil {
			return errors.Join(err, h.mend())
		}
	}
	for range maxTries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if changed, err := h.replace(ctx, k, found); !changed || err != nil {
			return err
		}
	}
	return remedy.Passing(remedy.With(errors.New("cannot change the keys of the storage vault: somebody else changes them all the time"),
		"see who works in "+HomePath+", as `fuser -v "+HomePath+"` tells"))
}

// replace makes the home and puts it in place, unless the old one has changed meanwhile.
func (h Home) replace(ctx context.Context, k Keys, found keys) (changed bool, err error) {
	place, err := h.place()
	if err != nil {
		return false, err
	}
	dir := h.System.Path(place.home)
	old, err := readContents(dir)
	if err != nil {
		return false, err
	}
	d, err := newDraft(found, old, dir)
	if err != nil {
		return false, fmt.Errorf("cannot make the keys of the storage vault: %w", err)
	}
	if err := d.addNote(k, found, old); err != nil {
		return false, err
	}
	err = h.write(place, d, old)
	if err == nil {
		err = prove(ctx, h.System.Path(place.fresh), found, h.System.Now)
	}
	if now, changed := readContents(dir); changed != nil || !old.same(now) {
		return true, changed
	}
	if err != nil {
		return false, err
	}
	return false, h.swap(place)
}

func (d *draft) addNote(k Keys, found keys, old contents) error {
	n := note{Version: noteVersion, Generation: rand.Text(), Wanted: k.digest(), Files: map[string]string{}}
	for name, data := range d.files {
		n.Files[name] = digestOf(data)
	}
	for _, key := range found.all() {
		n.Keys = append(n.Keys, key.Key)
	}
	n.Keys = append(n.Keys, others(old, n.Keys)...)
	data, err := json.MarshalIndent(n, "", "  ")
	d.files[noteName] = append(data, '\n')
	return err
}

// others tells of the secret keys that only the home has.
func others(old contents, known []Key) (found []Key) {
	for _, b := range old.secret {
		m, err := readMaterial(b[0])
		if err != nil || slices.ContainsFunc(known, func(k Key) bool { return k.Fingerprint == m.fingerprint() }) {
			continue
		}
		k := key{block: b}
		_ = k.describe() // locked ones are named as well
		k.Use, k.InEnv = UseRetired, false
		k.Fingerprint, k.UserIDs = m.fingerprint(), b.userIDs()
		found = append(found, k.Key)
	}
	return found
}

// write makes the new home beside the old one.
func (h Home) write(p place, d draft, old contents) error {
	if err := h.System.RemoveTree(p.fresh); err != nil { // of a try before
		return err
	}
	if err := h.System.Mkdir(p.fresh, homeMode); err != nil { // root's until all is in it: nobody else can get in
		return err
	}
	names := make([]string, 0, len(d.files))
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	if err := h.directory(path.Join(p.fresh, keyDir)); err != nil {
		return err
	}
	for _, name := range names {
		file := path.Join(p.fresh, name)
		if err := h.System.WriteFile(file, d.files[name], 0o600); err != nil {
			return err
		}
		if err := h.give(file); err != nil {
			return err
		}
	}
	for _, e := range old.entries {
		if to, ok := d.kept[e.name]; ok {
			if err := h.keep(p, e, to); err != nil {
				return p.explain(fmt.Errorf("cannot keep %s of the storage vault's keys: %w", e.name, err))
			}
		}
	}
	return h.give(p.fresh)
}

func (h Home) directory(name string) error {
	if err := h.System.Mkdir(name, homeMode); err != nil {
		return err
	}
	return h.give(name)
}

// give hands what we have made to the application.
func (h Home) give(name string) error {
	if h.owner() < 0 {
		return nil
	}
	return h.System.Chown(name, h.owner(), h.owner())
}

// keep takes over what is not ours: the same file under a second name, so that nothing of it can get lost. What is root's becomes the
// application's, as the predecessor had it.
func (h Home) keep(p place, e entry, as string) error {
	to := path.Join(p.fresh, as)
	if !e.info.IsDir() {
		if err := h.System.LinkIn(p.home, e.name, to); err != nil {
			return err
		}
		switch now, err := h.System.Lstat(to); {
		case err != nil || !os.SameFile(e.info, now):
			return errors.Join(err, errReplaced)
		case h.unusable(e) && now.Sys().(*syscall.Stat_t).Nlink == 2: // its name in the old home, and this one
			return h.give(to)
		}
		return nil
	}
	if err := h.System.Mkdir(to, e.info.Mode().Perm()); err != nil {
		return err
	}
	if h.owner() < 0 || rootsOwn(e.info) {
		return h.give(to)
	}
	owner := e.info.Sys().(*syscall.Stat_t)
	return h.System.Chown(to, int(owner.Uid), int(owner.Gid))
}

// dir is where the home lies in the file system, its own link followed.
func (h Home) dir() string {
	name := h.System.Path(HomePath)
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// below answers a path of the file system as one of the host.
func (h Home) below(name string) (string, error) {
	root, err := filepath.EvalSymlinks(h.System.Root())
	if err != nil {
		return "", err
	}
	rest, err := filepath.Rel(root, name)
	if err != nil || strings.HasPrefix(rest, "..") {
		return "", fmt.Errorf("%s is outside of %s", name, root)
	}
	return path.Join("/", rest), nil
}
