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
	"testing"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/sweeping"
	"appliance/internal/system"
)

func TestMain(m *testing.M) { os.Exit(sweeping.Main(m, renewUntilKilled)) }

// renewUntilKilled is what appliance cert renew does, in a process that has just started.
func renewUntilKilled(v *sweeping.Victim) error {
	sys := system.New(system.Config{Root: v.Setting("root"), Observe: v.Observe})
	w := Wish{Names: []string{"a.example.org"}, ACME: &acme.Settings{Directory: v.Setting("directory"), CABundle: v.Setting("trust")}}
	k := realKeeper(sys)
	_, err := k.Ensure(context.Background(), w)
	if err == nil {
		_, err = k.Renew(context.Background())
	}
	return err
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

// renewal is what a process of its own does.
func (h *host) renewal(ca *acmetest.CA) map[string]string {
	return map[string]string{"root": h.root, "directory": ca.DirectoryURL, "trust": ca.CABundle}
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
	_, err = sweeping.Count(t.Context(), later.renewal(ca))
	must(t, err)
	for _, s := range []killSweep{{"issue", first, SelfSigned}, {"renewal", later, Issued}} {
		t.Run(s.name, func(t *testing.T) {
			count := s.copied(t)
			effects, err := sweeping.Count(t.Context(), count.renewal(ca))
			must(t, err)
			if effects < 15 {
				t.Fatalf("there are %d effects", effects)
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
					must(t, sweeping.Kill(t.Context(), n, h.renewal(ca)))
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
