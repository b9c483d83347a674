package pack_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/go-cmp/cmp"

	"appliance/env/pack"
	"appliance/internal/disc"
	"appliance/internal/remedy"
)

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarball packs pairs of names and contents.
func tarball(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func iso(t testing.TB, files ...disc.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := disc.WriteISO(&b, "cidata", made(), files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRecover(t *testing.T) {
	vault := newKey(t, "vault", 0)
	keys := pack.Keys{Secret: []pack.Input{file("secret", secret(t, vault))}}
	outputs := packaged(t, order(file("vault.gpg", public(t, vault))))
	archive, seed, pdf := outputs[archiveName].Data, outputs["env-cidata.iso"].Data, outputs["env.yml.pdf"].Data
	other := []byte("#cloud-config\nappliance:\n  domain: other.example.org\n")
	for _, test := range []struct {
		name    string
		inputs  []pack.Input
		origins []string
		skipped int
	}{
		{"archive", []pack.Input{file("a.gpg", archive)}, []string{"a.gpg: env.yml"}, 0},
		{"archive in armor", []pack.Input{file("a.asc", armored(t, "PGP MESSAGE", archive))}, []string{"a.asc: env.yml"}, 0},
		{"image", []pack.Input{file("s.iso", seed)}, []string{"s.iso: user-data"}, 0},
		{"PDF", []pack.Input{file("e.pdf", pdf)}, []string{"e.pdf"}, 0},
		{"env.yml", []pack.Input{file("env.yml", []byte(document))}, []string{"env.yml"}, 0},
		{"all of them", []pack.Input{file("e.pdf", pdf), file("s.iso", seed), file("env.yml", []byte(document)), file("a.gpg", archive)},
			[]string{"s.iso: user-data", "env.yml", "a.gpg: env.yml", "e.pdf"}, 0},
		{"a decrypted archive", []pack.Input{file("a.tar.gz", zip(t, tarball(t, "./env.yml", document)))}, []string{"a.tar.gz: env.yml"}, 0},
		{"an unpacked one", []pack.Input{file("a.tar", tarball(t, "x/y", "z", "../../env.yml", document))}, []string{"a.tar: env.yml"}, 0},
		{"an archive with only the image", []pack.Input{file("a.tar", tarball(t, "env.yml.pdf", string(pdf), "env-cidata.iso", string(seed)))},
			[]string{"a.tar: env-cidata.iso: user-data"}, 0},
		{"an archive with only the PDF", []pack.Input{file("a.tar", tarball(t, "env.yml.pdf", string(pdf)))}, []string{"a.tar: env.yml.pdf"}, 0},
		{"an image with only the PDF", []pack.Input{file("s.iso", iso(t, disc.File{Name: "env.yml.pdf", Data: pdf}))}, []string{"s.iso: env.yml.pdf"}, 0},
		{"an image with zipped user-data", []pack.Input{file("s.iso", iso(t, disc.File{Name: "user-data", Data: zip(t, []byte(document))}))},
			[]string{"s.iso: user-data"}, 0},
		{"what is broken besides", []pack.Input{file("s.iso", seed[:40<<10]), file("a.gpg", archive), file("notes", []byte("hello\n"))},
			[]string{"a.gpg: env.yml"}, 2},
		{"another archive for other keys", []pack.Input{
			file("theirs.gpg", packaged(t, pack.Order{Document: other, Domain: "ecs.example.org", Made: made(),
				Keys: []pack.Input{file("k", public(t, newKey(t, "other", 0)))}})[archiveName].Data),
			file("env.yml", []byte(document))}, []string{"env.yml"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := pack.Recover(test.inputs, keys)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(document, string(found.Document)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.origins, found.Origins); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
			if len(found.Skipped) != test.skipped {
				t.Errorf("skipped: %v", found.Skipped)
			}
		})
	}
}

func TestWhatCannotBeRecovered(t *testing.T) {
	vault := newKey(t, "vault", 0)
	outputs := packaged(t, order(file("vault.gpg", public(t, vault))))
	archive, pdf := outputs[archiveName].Data, outputs["env.yml.pdf"].Data
	other := []byte("#cloud-config\nappliance:\n  domain: other.example.org\n")
	otherPDF := packaged(t, pack.Order{Document: other, Domain: "other.example.org", Made: made()})["env.yml.pdf"].Data
	changed := bytes.Clone(archive)
	changed[len(changed)-40] ^= 1
	onion := []byte(document)
	for range 9 {
		onion = zip(t, onion)
	}
	opens := pack.Keys{Secret: []pack.Input{file("secret", secret(t, vault))}}
	for _, test := range []struct {
		name   string
		inputs []pack.Input
		keys   pack.Keys
		want   string
		remedy string
	}{
		{"nothing", nil, opens, "there is nothing to recover it from", ""},
		{"two documents", []pack.Input{file("a.gpg", archive), file("new.yml", other)}, opens,
			"a.gpg: env.yml and new.yml hold different ones", "hand in only the one that is meant"},
		{"two PDFs", []pack.Input{file("a.pdf", pdf), file("b.pdf", otherPDF)}, opens, "a.pdf and b.pdf hold different ones", "hand in only the one that is meant"},
		{"no key", []pack.Input{file("a.gpg", archive)}, pack.Keys{},
			fmt.Sprintf("a.gpg: cannot decrypt it: no secret key given fits; it is encrypted to [%016X]", vault.Subkeys[0].PublicKey.KeyId),
			"give a file with the secret key as gpg --export-secret-keys writes it"},
		{"a public key", []pack.Input{file("a.gpg", archive)}, pack.Keys{Secret: []pack.Input{file("p", public(t, vault))}}, "no secret key given fits", ""},
		{"a changed archive", []pack.Input{file("a.gpg", changed)}, opens, "a.gpg: cannot decrypt it: ", ""},
		{"a cut archive", []pack.Input{file("a.gpg", archive[:len(archive)-100])}, opens, "a.gpg: cannot decrypt it: ", ""},
		{"an archive of other things", []pack.Input{file("a.tar", tarball(t, "notes", "x"))}, opens, "a.tar: the archive holds no environment", ""},
		{"a directory called env.yml", []pack.Input{file("a.tar", tarball(t, "env.yml/", ""))}, opens, "a.tar: the archive holds no environment", ""},
		{"an image of other things", []pack.Input{file("s.iso", iso(t, disc.File{Name: "notes"}))}, opens, "s.iso: the image holds no environment", ""},
		{"text", []pack.Input{file("notes", []byte("hello\n"))}, opens, "notes: it is neither an archive, an image, a PDF",
			"hand in what env package has made, or scans of the printed pages"},
		{"another kind of cloud-config", []pack.Input{file("c", []byte("#cloud-config-archive\nappliance:\n"))}, opens,
			"c: it is no #cloud-config", "make #cloud-config, and nothing else, its first line"},
		{"packed too often", []pack.Input{file("onion", onion)}, opens, "onion: it is packed too many times", ""},
		{"a bomb", []pack.Input{file("bomb", bytes.Repeat(zip(t, make([]byte, 1<<20)), 65))}, opens, "bomb: cannot unpack it: it has more than 64 MiB", ""},
		{"a document too large", []pack.Input{file("big", []byte("#cloud-config\n#"+strings.Repeat("x", 4<<20)))}, opens, "big: it has 4194319 bytes", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := pack.Recover(test.inputs, test.keys)
			if err == nil || !strings.HasPrefix(err.Error(), "cannot recover the environment: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
			if test.remedy != "" && remedy.Of(err) != test.remedy {
				t.Errorf("remedy = %q, want %q", remedy.Of(err), test.remedy)
			}
		})
	}
}

func TestPassphrases(t *testing.T) {
	open, shut := newKey(t, "open", 0), newKey(t, "shut", 0)
	archive := packaged(t, order(file("k", public(t, open, shut))))[archiveName].Data
	unlocked, closed := file("open", secret(t, open)), file("shut", secret(t, locked(t, shut, "sesame")))
	for _, test := range []struct {
		name    string
		secrets []pack.Input
		answers []string
		want    string // of the error
		asked   int
	}{
		{"an unlocked key asks for none", []pack.Input{unlocked}, nil, "", 0},
		{"nor do both", []pack.Input{closed, unlocked}, nil, "", 0},
		{"right", []pack.Input{closed}, []string{"sesame"}, "", 1},
		{"right at last", []pack.Input{closed}, []string{"pepper", "mustard", "sesame"}, "", 3},
		{"wrong", []pack.Input{closed}, []string{"a", "b", "c", "sesame"}, "no passphrase given fits the locked key ", 3},
		{"none", []pack.Input{closed}, []string{"", "sesame"}, "no passphrase given fits the locked key ", 1},
		{"nobody answers", []pack.Input{closed}, nil, "nobody is here", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			found, err := pack.Recover([]pack.Input{file("a.gpg", archive)}, pack.Keys{Secret: test.secrets, Passphrase: func(key string) ([]byte, error) {
				if asked++; asked > len(test.answers) {
					return nil, errors.New("nobody is here")
				}
				if !strings.Contains(key, "shut@example.org") {
					t.Errorf("asked for %q", key)
				}
				return []byte(test.answers[asked-1]), nil
			}})
			if test.want == "" && (err != nil || string(found.Document) != document) {
				t.Errorf("%q, %v", found.Document, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error = %v, want …%s…", err, test.want)
			}
			if asked != test.asked {
				t.Errorf("asked %d times, want %d", asked, test.asked)
			}
		})
	}
	if _, err := pack.Recover([]pack.Input{file("a.gpg", archive)}, pack.Keys{Secret: []pack.Input{closed}}); remedy.Of(err) == "" {
		t.Errorf("without anybody to ask: %v", err)
	}
}

// Whoever holds two locked keys may know the passphrase of the second only.
func TestTheSecondLockedKey(t *testing.T) {
	first, second := newKey(t, "first", 0), newKey(t, "second", 0)
	archive := file("a.gpg", packaged(t, order(file("k", public(t, first, second))))[archiveName].Data)
	secrets := []pack.Input{file("first", secret(t, locked(t, first, "mustard"))), file("second", secret(t, locked(t, second, "sesame")))}
	for _, test := range []struct {
		name    string
		answers map[string]string // by the name of the key
		want    map[string]int    // how often it was asked for
		fits    bool
	}{
		{"after three wrong ones", map[string]string{"first": "x", "second": "sesame"}, map[string]int{"first": 3, "second": 1}, true},
		{"after an empty answer", map[string]string{"second": "sesame"}, map[string]int{"first": 1, "second": 1}, true},
		{"it is not known either", map[string]string{"second": "x"}, map[string]int{"first": 1, "second": 3}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := map[string]int{}
			found, err := pack.Recover([]pack.Input{archive}, pack.Keys{Secret: secrets, Passphrase: func(key string) ([]byte, error) {
				name := "second"
				if strings.Contains(key, "first@") {
					name = "first"
				}
				asked[name]++
				return []byte(test.answers[name]), nil
			}})
			if test.fits != (err == nil && string(found.Document) == document) {
				t.Errorf("%q, %v", found.Document, err)
			}
			if !test.fits && remedy.Of(err) != "name only the file of that key with --key" {
				t.Errorf("remedy %q of %v", remedy.Of(err), err)
			}
			if diff := cmp.Diff(test.want, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRecover wants no more than that nothing panics, and that what was found is a document.
func FuzzRecover(f *testing.F) {
	vault, err := openpgp.NewEntity("vault", "", "", config(0))
	if err != nil {
		f.Fatal(err)
	}
	keys := pack.Keys{Secret: []pack.Input{file("secret", secret(f, vault))}}
	f.Add([]byte(document))
	f.Add(zip(f, tarball(f, "env.yml", document)))
	f.Add(tarball(f, "env.yml", document))
	f.Add(packaged(f, order(file("k", public(f, vault))))[archiveName].Data[:400])
	f.Add([]byte("%PDF-1.4\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if found, err := pack.Recover([]pack.Input{file("x", data)}, keys); err == nil && len(found.Document) == 0 {
			t.Error("an empty document was found")
		}
	})
}
