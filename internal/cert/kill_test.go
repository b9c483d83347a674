package cert

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/system"
)

// These make the test binary a process that renews the certificate of the host below a root, and is killed at an effect.
const (
	killRoot      = "APPLIANCE_TEST_CERT_ROOT"
	killDirectory = "APPLIANCE_TEST_CERT_DIRECTORY"
	killTrust     = "APPLIANCE_TEST_CERT_TRUST"
	killAt        = "APPLIANCE_TEST_CERT_KILL" // 0: never; then it says how many there are
)

func TestMain(m *testing.M) {
	if root := os.Getenv(killRoot); root != "" {
		os.Exit(renewUntilKilled(root))
	}
	os.Exit(m.Run())
}

// renewUntilKilled is what appliance cert renew does, in a process that has just started.
func renewUntilKilled(root string) int {
	at, _ := strconv.Atoi(os.Getenv(killAt))
	effects := 0
	sys := system.New(system.Config{Root: root, Observe: func(system.Effect) error {
		if effects++; effects == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it is on its way
		}
		return nil
	}})
	w := Wish{Names: []string{"a.example.org"}, ACME: &acme.Settings{Directory: os.Getenv(killDirectory), CABundle: os.Getenv(killTrust)}}
	k := realKeeper(sys)
	_, err := k.Ensure(context.Background(), w)
	if err == nil {
		_, err = k.Renew(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print(effects)
	return 0
}

// realKeeper asks as the appliance does, of an authority that believes every answer.
func realKeeper(sys *system.System) *Keeper {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return New(Config{System: sys, Log: log, Changed: func(Certificate) {}, Warn: func(string) {}, Authority: func(s acme.Settings) acme.Authority {
		return acme.New(acme.Config{Settings: s, System: sys, Dir: "/data/etc/cert/acme", Responder: silent{}, Log: log})
	}})
}

// silent shows nothing.
type silent struct{}

func (silent) ShowHTTP(context.Context, string, string) error         { return nil }
func (silent) HideHTTP(string)                                        {}
func (silent) ShowALPN(context.Context, string, []byte, []byte) error { return nil }
func (silent) HideALPN(string)                                        {}

// killed renews in a process of its own, which is killed at the n-th effect.
func (h *host) killed(ca *acmetest.CA, n int) (stdout string, err error) {
	cmd := exec.CommandContext(h.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killRoot+"="+h.root, killDirectory+"="+ca.DirectoryURL, killTrust+"="+ca.CABundle, killAt+"="+strconv.Itoa(n), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	return string(out), err
}

type killSweep struct {
	name   string
	before *host
	source Source // in place before
}

// copied answers another host that is as the one before.
func (s killSweep) copied(t *testing.T) *host {
	t.Helper()
	h := newHost(t, time.Time{})
	must(t, exec.CommandContext(t.Context(), "cp", "-a", s.before.root+"/.", h.root).Run())
	return h
}

// The first certificate of an authority and a renewal, by the real client: killed at each effect, the host has a whole pair,
// and the next start gets its certificate.
func TestKilledWhileTheAuthorityIsAsked(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	w := Wish{Names: []string{"a.example.org"}, ACME: &acme.Settings{Directory: ca.DirectoryURL, CABundle: ca.CABundle}}
	first := newHost(t, time.Time{})
	_, err := first.keeper().Ensure(t.Context(), Wish{Names: w.Names})
	must(t, err)
	later := newHost(t, time.Time{})
	must(t, exec.CommandContext(t.Context(), "cp", "-a", first.root+"/.", later.root).Run())
	if _, err := later.killed(ca, 0); err != nil {
		t.Fatal(err)
	}
	for _, s := range []killSweep{{"issue", first, SelfSigned}, {"renewal", later, Issued}} {
		t.Run(s.name, func(t *testing.T) {
			count := s.copied(t)
			out, err := count.killed(ca, 0)
			must(t, err)
			effects, err := strconv.Atoi(out)
			if err != nil || effects < 15 {
				t.Fatalf("there are %q effects", out)
			}
			t.Cleanup(func() {
				if !t.Failed() {
					fmt.Printf("kill sweep %q by the real client: SIGKILL at each of %d effects, and gone on\n", s.name, effects)
				}
			})
			for n := 1; n <= effects; n++ {
				t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
					t.Parallel()
					h := s.copied(t)
					_, before := h.files()
					out, err := h.killed(ca, n)
					if exit, ok := err.(*exec.ExitError); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
						t.Fatalf("it was not killed: %q, %v", out, err)
					}
					h.check(w)
					if _, chain := h.files(); !bytes.Equal(chain, before) {
						if p, err := decode(h.files()); err != nil || signedByItself(p.leaf) {
							t.Errorf("neither what was there before nor what the authority has issued is in place: %v", err)
						}
					}
					k := realKeeper(h.sys)
					c, err := k.Ensure(t.Context(), w)
					must(t, err)
					if s.source == Issued && c.Source != Issued {
						t.Errorf("the next start takes the %s", c)
					}
					h.check(w)
					if c, err = k.Renew(t.Context()); err != nil || c.Source != Issued {
						t.Errorf("the next start renews to the %s, %v", c, err)
					}
					h.check(w)
					if why, err := k.Missing(w); why != "" || err != nil {
						t.Errorf("after it Missing says %q, %v", why, err)
					}
					if hidden, _ := filepath.Glob(filepath.Join(h.root, storeDir, ".*")); len(hidden) > 0 {
						t.Errorf("these are left: %q", hidden)
					}
				})
			}
		})
	}
}
