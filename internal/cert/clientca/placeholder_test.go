package clientca

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"appliance/internal/system"
)

func (h host) owner(path string) uint32 {
	h.t.Helper()
	info, err := os.Lstat(h.path(path))
	if err != nil {
		h.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

const application = 1000

func (h host) own() {
	h.t.Helper()
	if os.Geteuid() != 0 {
		h.t.Skip("not root: files cannot be given to another user")
	}
	if err := os.Chown(h.path(Dir), application, application); err != nil {
		h.t.Fatal(err)
	}
}

func TestDummyFillsWhatIsMissing(t *testing.T) {
	one := newAuthority(t, "one")
	h := newHost(t, nil)
	h.own()
	if why, err := h.Missing(); err != nil || why != "missing: /data/ecs-ca/ca.cert.pem, /data/etc/ca.cert.pem, /data/ecs-ca/crl.pem, /data/etc/crl.pem, /data/etc/cert/clients/bundle.pem as it should be" {
		t.Fatalf("%q, %v", why, err)
	}
	if err := h.Dummy(); err != nil {
		t.Fatal(err)
	}
	if why, err := h.Missing(); why != "" || err != nil {
		t.Fatalf("still %q, %v", why, err)
	}
	for _, file := range []string{CAFile, CRLFile} {
		if h.owner(file) != application {
			t.Errorf("the application cannot write to %s", file)
		}
	}
	if b, warnings := h.load(); !b.Placeholder || warnings != "" {
		t.Errorf("placeholders: %v, %s", b.Placeholder, warnings)
	}

	h.write(CAFile, one.pem()) // and its list a little later
	if b, _ := h.load(); b.Placeholder || !bytes.Equal(b.CAs, one.pem()) || len(b.CRLs) != 0 {
		t.Errorf("the application's authority: %+v", b)
	}
	h.write(CRLFile, one.list(1, now, 7)) // while nobody looked
	if why, err := h.Missing(); why != "missing: /data/etc/cert/clients/bundle.pem as it should be" || err != nil {
		t.Fatalf("%q, %v", why, err)
	}
	if err := h.Dummy(); err != nil {
		t.Fatal(err)
	}
	if why, err := h.Missing(); why != "" || err != nil {
		t.Fatalf("%q, %v", why, err)
	}
	if data, err := os.ReadFile(h.path(CAFile)); err != nil || !bytes.Equal(data, one.pem()) {
		t.Errorf("the application's authority was overwritten: %v", err)
	}
}

// What lies there is somebody's, whatever it is.
func TestDummyReplacesNothing(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"an empty file":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link to nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"a pipe":            func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			h.own()
			for _, file := range []string{CAFile, CRLFile, "/data/etc/ca.cert.pem", "/data/etc/crl.pem"} {
				if err := make(h.path(file)); err != nil {
					t.Fatal(err)
				}
			}
			before, err := os.Lstat(h.path(CAFile))
			if err != nil {
				t.Fatal(err)
			}
			if why, err := h.Missing(); why != "missing: /data/etc/cert/clients/bundle.pem as it should be" || err != nil {
				t.Errorf("missing: %q, %v", why, err)
			}
			if err := h.Dummy(); err != nil {
				t.Fatal(err)
			}
			after, err := os.Lstat(h.path(CAFile))
			if err != nil || !os.SameFile(before, after) || before.ModTime() != after.ModTime() || h.owner(CAFile) != 0 {
				t.Errorf("it was touched: %v", err)
			}
		})
	}
}

// Cut at each effect: the next try ends where an uncut one does, and a link that the application slips in meanwhile is not
// followed when the owner is set.
func TestDummyCutAtEachEffect(t *testing.T) {
	errCut := errors.New("cut")
	count := 0
	whole := newHost(t, func(system.Effect) error { count++; return nil })
	whole.own()
	if err := whole.Dummy(); err != nil {
		t.Fatal(err)
	}
	total := count
	for n := 1; n <= total; n++ {
		seen, cut := 0, true
		h := newHost(t, func(e system.Effect) error {
			if seen++; cut && seen >= n {
				return errCut
			}
			return nil
		})
		h.own()
		if err := h.Dummy(); !errors.Is(err, errCut) {
			t.Fatalf("effect %d: %v", n, err)
		}
		if b, _ := h.Load(); !b.Placeholder {
			t.Errorf("effect %d: cut off, and somebody could be let in", n)
		}
		if why, err := h.Missing(); err != nil || why == "" && n < total { // after the last one all is there, if not for sure
			t.Errorf("effect %d: missing is %q, %v", n, why, err)
		}
		cut = false
		if err := h.Dummy(); err != nil {
			t.Errorf("effect %d: the next try: %v", n, err)
		}
		if why, err := h.Missing(); why != "" || err != nil || h.owner(CAFile) != application || h.owner(CRLFile) != application {
			t.Errorf("effect %d: still %q, %v", n, why, err)
		}
	}
}

func TestTheOwnerIsNotSetThroughALink(t *testing.T) {
	var h host
	h = newHost(t, func(e system.Effect) error {
		if e.Op == "chown" && e.Object == CAFile {
			return errors.Join(os.Remove(h.path(CAFile)), os.Symlink(h.path("/secret"), h.path(CAFile)))
		}
		return nil
	})
	h.own()
	h.write("/secret", []byte("root's"))
	if err := h.Dummy(); err != nil {
		t.Fatal(err)
	}
	if h.owner("/secret") != 0 {
		t.Error("root's file belongs to the application now")
	}
}

// openssl must take what a web server is given.
func TestOpenSSLReadsThePlaceholder(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("APPLIANCE_TOOLS") == "require" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed: nobody else has read the placeholder")
	}
	h := newHost(t, nil)
	if err := h.Dummy(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "-no_check_time", "-CAfile", h.path(CAFile), h.path(CAFile)},
		{"crl", "-noout", "-in", h.path(CRLFile), "-CAfile", h.path(CAFile)},
	} {
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
}
