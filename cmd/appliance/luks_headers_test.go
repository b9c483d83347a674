package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/go-cmp/cmp"
)

// Without the header of its device, nobody opens an encrypted volume again, whatever he knows: the archive that brings the
// passphrase back brings its backup too, and nothing that lies in the clear does.
func TestHeadersOfEncryptedVolumesAreInTheArchive(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	kept := filepath.Join(root, "var/lib/appliance/storage")
	header := bytes.Repeat([]byte("LUKS header "), 1<<18)
	must(t, os.MkdirAll(kept, 0o700))
	for name, data := range map[string][]byte{"luks-1111.header": header, "luks-2222.header": []byte("another"), "luks-3333.header.new": []byte("half of one"), "journal.json": []byte("{}")} {
		must(t, os.WriteFile(filepath.Join(kept, name), data, 0o600))
	}
	key, err := openpgp.NewEntity("ada", "", "ada@example.org", nil)
	must(t, err)
	var public bytes.Buffer
	must(t, key.Serialize(&public))
	must(t, os.WriteFile(filepath.Join(dir, "ada.gpg"), public.Bytes(), 0o600))
	for setup, want := range map[string][]string{
		"{crypt: {/dev/vdb: {password: geheim}}}": {"env.yml", "env.yml.pdf", "env-cidata.iso", "luks-1111.header", "luks-2222.header"},
		"{format: {/dev/vdb: {fstype: ext4}}}":    {"env.yml", "env.yml.pdf", "env-cidata.iso"},
	} {
		t.Run(setup, func(t *testing.T) {
			out := t.TempDir()
			file := filepath.Join(out, "env.yml")
			must(t, os.WriteFile(file, []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage:\n    setup: "+setup+"\n"), 0o600))
			if stdout, stderr, status := appliance(t, root, "", "env", "package", file, "--key", filepath.Join(dir, "ada.gpg")); status != 0 {
				t.Fatalf("status %d: %s%s", status, stdout, stderr)
			}
			archives, err := filepath.Glob(filepath.Join(out, "*.gpg"))
			if must(t, err); len(archives) != 1 {
				t.Fatalf("there are the archives %q", archives)
			}
			names, members := unsealed(t, archives[0], key)
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("the archive (-want +got):\n%s", diff)
			}
			if len(want) > 3 && !bytes.Equal(members["luks-1111.header"], header) {
				t.Error("the header is not as it was")
			}
			for _, clear := range []string{"env.yml.pdf", "env-cidata.iso"} {
				data, err := os.ReadFile(filepath.Join(out, clear))
				if must(t, err); bytes.Contains(data, header[:64]) {
					t.Errorf("the header is in %s", clear)
				}
			}
		})
	}
}

func unsealed(t *testing.T, file string, key *openpgp.Entity) (names []string, members map[string][]byte) {
	t.Helper()
	sealed, err := os.Open(file)
	must(t, err)
	defer sealed.Close()
	message, err := openpgp.ReadMessage(sealed, openpgp.EntityList{key}, nil, nil)
	must(t, err)
	zipped, err := gzip.NewReader(message.UnverifiedBody)
	must(t, err)
	packed, members := tar.NewReader(zipped), map[string][]byte{}
	for {
		h, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return names, members
		}
		must(t, err)
		names = append(names, h.Name)
		members[h.Name], err = io.ReadAll(packed)
		must(t, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
