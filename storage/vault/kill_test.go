package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/sweeping"
	"appliance/internal/system"
)

func TestMain(m *testing.M) { os.Exit(sweeping.Main(m, makeUntilKilled)) }

// makeUntilKilled changes the keys of the host below a root.
func makeUntilKilled(v *sweeping.Victim) error {
	h := Home{Owner: 1000, System: system.New(system.Config{Root: v.Setting("root"), Observe: v.Observe})}
	if v.Setting("exchange") == "" {
		h.exchange = noExchange
	}
	return h.Make(context.Background(), Keys{Encrypt: v.Setting("encrypt"), Sign: v.Setting("sign")})
}

func noExchange(string, string) error { return system.ErrNoExchange }

type killSweep struct {
	before   *host // with the old keys, which open the document
	document []byte
	keys     Keys
	exchange bool
}

// copied answers another host that is as the one before.
func (s killSweep) copied(t *testing.T) *host {
	t.Helper()
	h := newTestHost(t)
	must(t, exec.CommandContext(t.Context(), "cp", "-a", s.before.root+"/.", h.root).Run())
	return h
}

// change is what a process of its own does to the keys of a host.
func (s killSweep) change(h *host) map[string]string {
	settings := map[string]string{"root": h.root, "encrypt": s.keys.Encrypt, "sign": s.keys.Sign}
	if s.exchange {
		settings["exchange"] = "possible"
	}
	return settings
}

// check fails unless the home is the old one or the new one, as a whole, and gpg works in it.
func (s killSweep) check(t *testing.T, h *host, before []string) {
	t.Helper()
	if _, err := os.Stat(h.path()); errors.Is(err, os.ErrNotExist) && !s.exchange {
		return // between two renames; the next start puts the new one there
	}
	if h.Generation() == s.before.Generation() {
		if diff := cmp.Diff(before, listed(t, h)); diff != "" {
			t.Errorf("the old home is another one:\n%s", diff)
		}
	} else if why, err := h.untidy().Differs(s.keys); why != "" || err != nil {
		t.Errorf("the new home is not whole: %q, %v", why, err)
	}
	gpg := gnupg{t, "gpg1", h.path(), 0}
	if out, said := gpg.run(s.document, "--no-random-seed-file", "--decrypt"); string(out) != "old" || !strings.Contains(said, "Good signature") {
		t.Errorf("gpg opens the old document as %q: %s", out, said)
	}
}

// untidy is the home for which what lies beside it does not count.
func (h *host) untidy() Home {
	home := h.Home
	root, err := os.MkdirTemp("", "v")
	must(h.t, err)
	h.t.Cleanup(func() { _ = os.RemoveAll(root) })
	must(h.t, os.Mkdir(filepath.Join(root, "data"), 0o755), exec.Command("cp", "-a", h.path(), filepath.Join(root, "data")).Run())
	home.System = system.New(system.Config{Root: root})
	return home
}

// listed is what is in the home, with modes and sizes. What is root's becomes the application's before the new home is in place.
func listed(t *testing.T, h *host) []string {
	t.Helper()
	c, err := readContents(h.path())
	must(t, err)
	var lines []string
	for _, e := range c.entries {
		if e.name != "trustdb.gpg" { // gpg makes it by itself
			lines = append(lines, fmt.Sprintf("%s %s %d", e.name, e.info.Mode(), e.info.Size()))
		}
	}
	return lines
}

func sweeps(t *testing.T) map[string]killSweep {
	need(t, "gpg1")
	predecessor, _, document := madeBy(t, "gpg1")
	ours := newTestHost(t)
	ours.make(pair(t, 1))
	must(t, os.WriteFile(ours.path("gpg-agent.conf"), []byte("max-cache-ttl 1\n"), 0o640), os.Mkdir(ours.path("crls.d"), 0o700))
	sealed := ours.seal("old")
	return map[string]killSweep{
		"the predecessor's home":    {predecessor, document, pair(t, 2), true},
		"rotation":                  {ours, sealed, pair(t, 2), true},
		"rotation without exchange": {ours, sealed, pair(t, 2), false},
	}
}

// Killed at each effect, the host has its old keys or its new ones, gpg works with them, old documents can be read, and the next start
// gets the new ones and leaves nothing behind.
func TestKillSweep(t *testing.T) {
	for name, s := range sweeps(t) {
		t.Run(name, func(t *testing.T) {
			count := s.copied(t)
			effects, err := sweeping.Count(t.Context(), s.change(count))
			must(t, err)
			if effects < 40 {
				t.Fatalf("there are %d effects", effects)
			}
			first, stride := sweeping.Points(6)
			t.Cleanup(func() {
				if !t.Failed() {
					fmt.Printf("kill sweep of the vault, %s: SIGKILL at every %d. of %d effects, and gone on\n", name, stride, effects)
				}
			})
			before := listed(t, s.before)
			for n := first; n <= effects; n += stride {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel()
					h := s.copied(t)
					must(t, sweeping.Kill(t.Context(), n, s.change(h)))
					s.check(t, h, before)
					s.goOn(t, h)
				})
			}
		})
	}
}

// goOn is the next start.
func (s killSweep) goOn(t *testing.T, h *host) {
	t.Helper()
	if !s.exchange {
		h.exchange = noExchange
		must(t, os.MkdirAll(h.path(), 0o700)) // as the layout does before us
	}
	if why, err := h.Differs(s.keys); why != "" || err != nil {
		must(t, err, h.Make(t.Context(), s.keys))
	}
	if why, err := h.Differs(s.keys); why != "" || err != nil {
		t.Errorf("after the next start it differs: %q, %v", why, err)
	}
	for want, sealed := range map[string][]byte{"old": s.document, "new": h.seal("new")} {
		if text, _, err := h.open(sealed); text != want || err != nil {
			t.Errorf("after the next start %q is opened as %q, %v", want, text, err)
		}
	}
	must(t, h.Forget())
	entries, err := os.ReadDir(filepath.Dir(h.path()))
	must(t, err)
	for _, e := range entries {
		if e.Name() != "ecs-gpg" {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// An effect that is denied, as by a full disk, is an error, and the old home or the new one is in place all the same.
func TestKillSweepByDenial(t *testing.T) {
	for name, s := range sweeps(t) {
		t.Run(name, func(t *testing.T) {
			before := listed(t, s.before)
			count := s.copied(t)
			count.exchange = s.deniedExchange()
			count.make(s.keys)
			first, stride := sweeping.Points(6)
			for n := first; n <= len(count.effects); n += stride {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel()
					h := s.copied(t)
					h.deny, h.exchange = n, s.deniedExchange()
					if err := h.Make(t.Context(), s.keys); !errors.Is(err, errDenied) {
						t.Fatalf("denied %s, it says %v", h.effects[n-1], err)
					}
					h.deny = 0
					s.check(t, h, before)
					s.goOn(t, h)
				})
			}
		})
	}
}

func (s killSweep) deniedExchange() func(string, string) error {
	if s.exchange {
		return nil
	}
	return noExchange
}

// What is made in the gap between two renames, where two names cannot be exchanged, is not lost.
func TestWhatIsMadeInTheGapIsKept(t *testing.T) {
	h := newTestHost(t)
	h.make(pair(t, 1))
	document := h.seal("old")
	must(t, h.Forget())
	h.Home.exchange = func(a, b string) error {
		must(t, os.Rename(h.path(), filepath.Join(h.root, "data/.ecs-gpg.vault-old")), os.WriteFile(filepath.Join(h.root, "data/.ecs-gpg.vault-swap"), nil, 0o600),
			os.Mkdir(h.path(), 0o700), os.WriteFile(h.path("theirs"), []byte("theirs"), 0o600))
		return system.ErrNoExchange
	}
	h.make(pair(t, 2))
	if data, err := os.ReadFile(h.path() + ".found-1/theirs"); !bytes.Equal(data, []byte("theirs")) || err != nil {
		t.Errorf("it is %q, %v", data, err)
	}
	if text, _, err := h.open(document); text != "old" || err != nil {
		t.Errorf("the old document is opened as %q, %v", text, err)
	}
}
