package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func answerTo(name string) string { return name + "." + strings.Repeat("a", 43) }

func (h *host) challenges() map[string]string {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.root, ChallengeDir))
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			all[entry.Name()] = entry.Type().String()
			continue
		}
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o644 {
			h.t.Errorf("%s: %v, %v", entry.Name(), info.Mode(), err)
		}
		all[entry.Name()] = h.get(filepath.Join(ChallengeDir, entry.Name()))
	}
	return all
}

func TestChallengesAreTheFilesAndNoOthers(t *testing.T) {
	h := newHost(t)
	if err := h.Challenges(nil); err != nil || len(h.effects) != 0 {
		t.Errorf("nothing to answer: %v, %v", h.effects, err)
	}
	for _, want := range []map[string]string{
		{"one": answerTo("one"), "t-w_o": answerTo("t-w_o")},
		{"t-w_o": answerTo("t-w_o"), "three": answerTo("three")},
		{"three": "three." + strings.Repeat("b", 43)}, // of another account
		{},
	} {
		for range 2 {
			if err := h.Challenges(want); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, h.challenges()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.effects = nil
		if err := h.Challenges(want); err != nil || len(h.effects) != 0 {
			t.Errorf("the same again: %v, %v", h.effects, err)
		}
	}
}

func TestWhatIsNoAnswerStays(t *testing.T) {
	h := newHost(t)
	kept := map[string]string{"README": "of an operator", ".hidden": answerTo(".hidden"), "other": answerTo("another")}
	for name, text := range kept {
		h.set(filepath.Join(ChallengeDir, name), text)
	}
	h.set(filepath.Join(ChallengeDir, "left"), answerTo("left"))
	h.set("/secret", answerTo("link"))
	dir := filepath.Join(h.root, ChallengeDir)
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644),
		os.Symlink(filepath.Join(h.root, "secret"), filepath.Join(dir, "link")),
		os.Mkdir(filepath.Join(dir, "directory"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	kept["pipe"], kept["link"], kept["directory"] = "p---------", "L---------", "d---------"
	if err := h.Challenges(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, h.challenges()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A token that something else has the place of gets it all the same, and the link's target is not written to.
	if err := h.Challenges(map[string]string{"link": answerTo("link") /* as in the target */}); err != nil {
		t.Fatal(err)
	}
	if got := h.challenges()["link"]; got != answerTo("link") {
		t.Errorf("the link is %q", got)
	}
}

func TestChallengesThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"":             answerTo(""),
		"../etc":       answerTo("../etc"),
		"a/b":          answerTo("a/b"),
		".":            answerTo("."),
		"no-dot":       "no-dot",
		"other":        answerTo("another"),
		"two\nlines":   answerTo("two\nlines"),
		"html":         "html.<script>" + strings.Repeat("a", 35),
		"short":        "short.aaaa",
		"a" + longText: answerTo("a" + longText),
	} {
		h := newHost(t)
		if err := h.Challenges(map[string]string{name: answer}); err == nil || len(h.effects) != 0 {
			t.Errorf("%q with %q: %v, %v", name, answer, h.effects, err)
		}
	}
}

var longText = strings.Repeat("a", 200)
