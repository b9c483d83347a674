package pack_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"appliance/env/pack"
)

// Pages that were printed and scanned bring the environment back, in whatever order, and so does what zbarimg reads in
// them. Pages without the codes are no loss where there is an archive.
func TestScannedPages(t *testing.T) {
	need(t, "pdftoppm", "zbarimg")
	vault, dir := newKey(t, "vault", 0), t.TempDir()
	outputs := packaged(t, order(file("k", public(t, vault))))
	run(t, "pdftoppm", "-r", "150", "-gray", "-png", save(t, filepath.Join(dir, "e.pdf"), outputs["env.yml.pdf"].Data), filepath.Join(dir, "page"))
	paths, err := filepath.Glob(filepath.Join(dir, "page-*.png"))
	if err != nil || len(paths) != 3 {
		t.Fatalf("%q, %v", paths, err)
	}
	var scans []pack.Input
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		scans = append(scans, file(filepath.Base(path), data))
	}
	const codes = 1 // the page between title and listing
	slices.Reverse(scans)
	for _, test := range []struct {
		name    string
		inputs  []pack.Input
		skipped int
	}{
		{"scans", scans, 0},
		{"what zbarimg reads", []pack.Input{file("codes.txt", []byte(run(t, "zbarimg", "--quiet", paths[codes])))}, 0},
		{"title and archive", []pack.Input{scans[len(scans)-1], file("a.gpg", outputs[archiveName].Data)}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := pack.Recover(test.inputs, pack.Keys{Secret: []pack.Input{file("s", secret(t, vault))}})
			if err != nil || string(found.Document) != document {
				t.Errorf("%q, %v", found.Document, err)
			}
			if len(found.Skipped) != test.skipped {
				t.Errorf("skipped: %v", found.Skipped)
			}
		})
	}
}
