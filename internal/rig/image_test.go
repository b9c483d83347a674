package rig

import (
	"testing"
	"testing/fstest"
)

func TestImageIsKeyedByContents(t *testing.T) {
	base := Spec{Suite: "trixie", Packages: []string{"podman", "git"}}.image()
	for name, tc := range map[string]struct {
		spec Spec
		same bool
	}{
		"other order":   {Spec{Suite: "trixie", Packages: []string{"git", "podman"}}, true},
		"with a disk":   {Spec{Suite: "trixie", Packages: []string{"git", "podman"}, Disks: []string{"/home"}}, true},
		"fewer":         {Spec{Suite: "trixie", Packages: []string{"git"}}, false},
		"another suite": {Spec{Suite: "bookworm", Packages: []string{"podman", "git"}}, false},
	} {
		if same := tc.spec.image() == base; same != tc.same {
			t.Errorf("%s: same image is %t, want %t", name, same, tc.same)
		}
	}
}

func TestDebianMirror(t *testing.T) {
	for name, tc := range map[string]struct{ file, content, want string }{
		"one line": {"sources.list", "deb http://mirror.example.org/pub/debian/ bookworm main\n", "http://mirror.example.org/pub/debian"},
		"with options": {
			"sources.list.d/a.list", "deb [arch=amd64] https://mirror.example.org/debian trixie main non-free\n", "https://mirror.example.org/debian",
		},
		"stanza": {
			"sources.list.d/debian.sources", "Types: deb\n# http://snapshot.example.org/debian\nURIs: http://mirror.example.org/debian\nSuites: trixie\nComponents: main\n",
			"http://mirror.example.org/debian",
		},
		"commented out":        {"sources.list", "# deb http://mirror.example.org/debian bookworm main\n", fallbackMirror},
		"security alone":       {"sources.list", "deb http://mirror.example.org/debian-security bookworm-security main\n", fallbackMirror},
		"another vendor's":     {"sources.list.d/engine.list", "deb https://vendor.example.org/linux/debian bookworm stable\n", fallbackMirror},
		"another distribution": {"sources.list", "deb http://archive.example.org/ubuntu noble main\n", fallbackMirror},
	} {
		t.Run(name, func(t *testing.T) {
			if got := debianMirror(fstest.MapFS{tc.file: {Data: []byte(tc.content)}}); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
