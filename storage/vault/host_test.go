package vault

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/env/create"
	"appliance/internal/system"
)

// made are keys that tests share, since making one takes a while.
var made sync.Map

// newKey answers a secret key of a name, the same for the same number.
func newKey(t testing.TB, user string, number int) string {
	t.Helper()
	type id struct {
		user   string
		number int
	}
	if text, ok := made.Load(id{user, number}); ok {
		return text.(string)
	}
	text, err := create.NewOpenPGP(user, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := made.LoadOrStore(id{user, number}, text)
	return first.(string)
}

// pair is the n-th pair of keys.
func pair(t testing.TB, n int) Keys {
	t.Helper()
	return Keys{Encrypt: newKey(t, encryptUser, n), Sign: newKey(t, signUser, n)}
}

// host is a directory that stands for one. Its path is short: gpg's agent listens in the home.
type host struct {
	Home
	t       testing.TB
	root    string
	effects []string
	deny    int // number of the effect, from 1
}

var errDenied = errors.New("denied by the test")

func newTestHost(t testing.TB) *host {
	t.Helper()
	root, err := os.MkdirTemp("", "v")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	h := &host{t: t, root: root}
	h.Home = Home{Owner: 1000, System: system.New(system.Config{Root: root, Observe: func(e system.Effect) error {
		if h.effects = append(h.effects, e.String()); len(h.effects) == h.deny {
			return errDenied
		}
		return nil
	}})}
	must(t, os.MkdirAll(filepath.Join(root, HomePath), 0o755), os.Chmod(root, 0o755))
	return h
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (h *host) path(parts ...string) string {
	return filepath.Join(append([]string{h.root, HomePath}, parts...)...)
}

func (h *host) make(k Keys) {
	h.t.Helper()
	must(h.t, h.Make(h.t.Context(), k))
	if why, err := h.Differs(k); why != "" || err != nil {
		h.t.Fatalf("after Make the home differs: %q, %v", why, err)
	}
}

func (h *host) seal(text string) []byte {
	h.t.Helper()
	ring, err := h.Ring()
	must(h.t, err)
	var sealed bytes.Buffer
	must(h.t, ring.Seal(h.t.Context(), &sealed, strings.NewReader(text)))
	return sealed.Bytes()
}

func (h *host) open(sealed []byte) (string, Opened, error) {
	h.t.Helper()
	ring, err := h.Ring()
	must(h.t, err)
	var plain bytes.Buffer
	opened, err := ring.Open(h.t.Context(), &plain, bytes.NewReader(sealed))
	return plain.String(), opened, err
}

// need skips the test where a program of the host is missing, unless APPLIANCE_TOOLS=require.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("APPLIANCE_TOOLS") == "require" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// gnupg is one of the programs, working in a home.
type gnupg struct {
	t       testing.TB
	program string
	home    string
	user    int // 0: ours
}

func (g gnupg) command(argv ...string) *exec.Cmd {
	argv = append([]string{g.program, "--batch", "--homedir", g.home}, argv...)
	if g.user != 0 {
		argv = append([]string{"setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"}, argv...)
	}
	cmd := exec.CommandContext(g.t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent", "LC_ALL=C")
	return cmd
}

// run gives what the program prints, and what it says.
func (g gnupg) run(in []byte, argv ...string) (out []byte, said string) {
	g.t.Helper()
	out, said, err := g.try(in, argv...)
	if err != nil {
		g.t.Fatalf("%s %q as %d: %v\n%s", g.program, argv, g.user, err, said)
	}
	return out, said
}

func (g gnupg) try(in []byte, argv ...string) (out []byte, said string, err error) {
	cmd := g.command(argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// endAgents ends what gpg 2 has started for a home.
func endAgents(t testing.TB, home string) {
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
}
