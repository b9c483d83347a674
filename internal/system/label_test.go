package system

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLabelled(t *testing.T) {
	for _, test := range []struct {
		name  string
		blkid string // what it does
		link  bool
		want  []string
		fails bool
	}{
		{"two", "echo /dev/sr0; echo /dev/sdb1", false, []string{"/dev/sr0", "/dev/sdb1"}, false},
		{"none", "exit 2", true, nil, false},
		{"in trouble", "echo no luck >&2; exit 4", true, nil, true},
		{"not there", "", true, []string{"/dev/disk/by-label/cidata"}, false},
		{"not there, and no link", "", false, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			sys, dir := New(Config{Root: t.TempDir()}), t.TempDir()
			if test.blkid != "" {
				must(t, os.WriteFile(filepath.Join(dir, "blkid"), []byte("#!/bin/sh\n[ \"$*\" = '-c /dev/null -o device -t LABEL=cidata' ] || exit 9\n"+test.blkid+"\n"), 0o755))
			}
			t.Setenv("PATH", dir)
			if test.link {
				must(t, sys.Symlink("../../sr0", "/dev/disk/by-label/cidata"))
			}
			got, err := sys.Labelled(t.Context(), "cidata")
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], sys.Root())
			}
			if (err != nil) != test.fails || !slices.Equal(got, test.want) {
				t.Errorf("Labelled = %q, %v", got, err)
			}
		})
	}
}
