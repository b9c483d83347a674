package acme

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/google/go-cmp/cmp"

	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// register counts the accounts that an authority makes, and what else it is asked about accounts.
type register struct {
	mu      sync.Mutex
	made    int
	updates []string
}

func (c *register) in(t *testing.T) func(http.Handler) http.Handler {
	return func(pebble http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/my-account/") {
				payload := signedPayload(t, r)
				c.mu.Lock()
				c.updates = append(c.updates, fmt.Sprint(payload["contact"]))
				c.mu.Unlock()
			}
			counted := &counter{ResponseWriter: w}
			pebble.ServeHTTP(counted, r)
			if r.URL.Path == "/sign-me-up" && counted.status == http.StatusCreated {
				c.mu.Lock()
				c.made++
				c.mu.Unlock()
			}
		})
	}
}

func (c *register) is(t *testing.T, made int, updates ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != made || !cmp.Equal(c.updates, updates) {
		t.Errorf("%d accounts were made and %q updated, want %d and %q", c.made, c.updates, made, updates)
	}
}

type counter struct {
	http.ResponseWriter
	status int
}

func (c *counter) WriteHeader(status int) { c.status = status; c.ResponseWriter.WriteHeader(status) }

func TestAccountIsMadeOnce(t *testing.T) {
	accounts := &register{}
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: accounts.in(t)})
	h := newHost(t, ca, Settings{Email: "a@example.org"}, newSite(t))
	h.obtain(t, nil, "ecs.example.org")
	accounts.is(t, 1)
	for path, want := range map[string]os.FileMode{h.Dir: 0o700, h.accountDir(): 0o700, h.keyFile(): 0o600, h.registrationFile(): 0o600} {
		info, err := h.System.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	effects := 0
	next := h.again(func(c *Config) {
		c.System = system.New(system.Config{Root: h.root, Observe: func(system.Effect) error { effects++; return nil }})
	})
	next.obtain(t, nil, "ecs.example.org")
	accounts.is(t, 1)
	if effects > 0 {
		t.Errorf("%d effects of a second time", effects)
	}
	next = next.again(func(c *Config) { c.Email = "b@example.org" })
	next.obtain(t, nil, "ecs.example.org")
	next.again(nil).obtain(t, nil, "ecs.example.org")
	accounts.is(t, 1, "[mailto:b@example.org]")
	other := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	next.again(func(c *Config) { c.Directory, c.CABundle = other.DirectoryURL, other.CABundle }).obtain(t, nil, "ecs.example.org")
	if dirs, _ := filepath.Glob(filepath.Join(h.root, h.Dir, "*")); len(dirs) != 2 {
		t.Errorf("accounts of two authorities lie in %q", dirs)
	}
}

func TestAccountThatIsDamaged(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(h *host) error
		made   int
	}{
		{"registration lost", func(h *host) error { return h.System.Remove(h.registrationFile()) }, 1},
		{"registration torn", func(h *host) error { return h.System.WriteFile(h.registrationFile(), []byte(`{"uri": "ht`), 0o600) }, 1},
		{"registration empty", func(h *host) error { return h.System.WriteFile(h.registrationFile(), nil, 0o600) }, 1},
		{"registration of another key", func(h *host) error {
			reg := registration{Directory: h.Directory, Key: "00", URI: h.Directory + "/not-mine"}
			return h.remember(reg)
		}, 1},
		{"key lost", func(h *host) error { return h.System.Remove(h.keyFile()) }, 2},
		{"key torn", func(h *host) error { return h.System.WriteFile(h.keyFile(), []byte("-----BEGIN EC PRIV"), 0o600) }, 2},
		{"key of a kind that cannot sign", func(h *host) error {
			key, _, err := request("rsa2048", []string{"x"})
			if err != nil {
				return err
			}
			return h.System.WriteFile(h.keyFile(), pemOf(key), 0o600)
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			accounts := &register{}
			ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: accounts.in(t)})
			h := newHost(t, ca, Settings{}, newSite(t))
			h.obtain(t, nil, "ecs.example.org")
			if err := test.damage(h); err != nil {
				t.Fatal(err)
			}
			h.again(nil).obtain(t, nil, "ecs.example.org")
			h.again(nil).obtain(t, nil, "ecs.example.org")
			accounts.is(t, test.made)
			if strings.HasPrefix(test.name, "key ") && test.name != "key lost" && !h.System.Exists(h.keyFile()+".damaged") {
				t.Error("the damaged key is not put aside")
			}
		})
	}
}

// An authority that has lost its accounts is another one behind the same address.
func TestAccountThatTheAuthorityForgot(t *testing.T) {
	for _, test := range []struct{ name, email string }{{"seen at the order", "a@example.org"}, {"seen at the update", "b@example.org"}} {
		t.Run(test.name, func(t *testing.T) {
			accounts := &register{}
			var fresh http.Handler
			acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: func(pebble http.Handler) http.Handler { fresh = pebble; return pebble }})
			var mu sync.Mutex
			forgotten := false
			ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: func(pebble http.Handler) http.Handler {
				return accounts.in(t)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					use := pebble
					if forgotten {
						use = fresh
					}
					mu.Unlock()
					use.ServeHTTP(w, r)
				}))
			}})
			h := newHost(t, ca, Settings{Email: "a@example.org"}, newSite(t))
			h.obtain(t, nil, "ecs.example.org")
			mu.Lock()
			forgotten = true
			mu.Unlock()
			h = h.again(func(c *Config) { c.Email = test.email })
			h.obtain(t, nil, "ecs.example.org")
			h.obtain(t, nil, "ecs.example.org")
			if accounts.made != 2 || strings.Count(h.log.String(), "does not know our account") != 1 {
				t.Errorf("%d accounts were made; log: %s", accounts.made, h.log)
			}
		})
	}
}

func TestExternalAccount(t *testing.T) {
	const key = "bm90IHRoZSBrZXkgb2YgYW55IGFjY291bnQgYW55d2hlcmU"
	var bindings atomic.Int32
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, EAB: map[string]string{"kid-1": key}, Handler: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/sign-me-up" && signedPayload(t, r)["externalAccountBinding"] != nil {
			bindings.Add(1)
		}
		return false
	})})
	h := newHost(t, ca, Settings{EABKeyID: "kid-1", EABKey: key}, newSite(t))
	h.obtain(t, nil, "ecs.example.org")
	if err := h.System.Remove(h.registrationFile()); err != nil {
		t.Fatal(err)
	}
	h.again(nil).obtain(t, nil, "ecs.example.org")
	if n := bindings.Load(); n != 1 {
		t.Errorf("the binding was used %d times: it may be good for one", n)
	}
	for _, test := range []struct{ name, kid, key, text, remedy string }{
		{"none", "", "", "(externalAccountRequired)", "set appliance.ssl.acme.eab"},
		{"of an unknown identifier", "kid-2", key, "not known to the ACME server", "check appliance.ssl.acme.eab"},
		{"a wrong key", "kid-1", "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc", "verification error", "check appliance.ssl.acme.eab"},
		{"a short key", "kid-1", "c2hvcnQ", "invalid key size", "check appliance.ssl.acme.eab"},
		{"a key that is no base64", "kid-1", "!secret!", "", "check appliance.ssl.acme.eab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusal := newHost(t, ca, Settings{EABKeyID: test.kid, EABKey: test.key}, newSite(t)).refused(t, "ecs.example.org")
			if !strings.Contains(refusal.Error(), test.text) || refusal.Passing || !strings.Contains(remedy.Of(refusal), test.remedy) {
				t.Errorf("refused (passing: %v): %v; remedy %q", refusal.Passing, refusal, remedy.Of(refusal))
			}
			if test.key != "" && strings.Contains(refusal.Error(), test.key) {
				t.Errorf("the key is told: %v", refusal)
			}
		})
	}
}

// Whatever effect fails, the next start works, and the authority has made one account.
func TestAccountSweep(t *testing.T) {
	denied := errors.New("denied by the test")
	for points, deny := 1, 0; deny <= points; deny++ {
		accounts := &register{}
		ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: accounts.in(t)})
		h := newHost(t, ca, Settings{Email: "a@example.org"}, newSite(t))
		var effects []system.Effect
		h.System = system.New(system.Config{Root: h.root, Observe: func(e system.Effect) error {
			if effects = append(effects, e); len(effects) == deny {
				return denied
			}
			return nil
		}})
		_, err := h.Obtain(t.Context(), []string{"ecs.example.org"}, nil)
		switch {
		case deny == 0:
			points = len(effects)
			if err != nil || points < 8 {
				t.Fatalf("%d effects, %v", points, err)
			}
			continue
		case !errors.Is(err, denied) || !errors.As(err, new(*Refusal)):
			t.Errorf("%s denied: the error is %v", effects[deny-1], err)
		}
		h.again(func(c *Config) { c.System = system.New(system.Config{Root: h.root}) }).obtain(t, nil, "ecs.example.org")
		accounts.is(t, 1)
	}
}

func pemOf(key any) []byte { return certcrypto.PEMEncode(key) }

// The account is good for certificates, whatever the authority thinks of the mail address.
func TestMailAddressThatIsNotTaken(t *testing.T) {
	ca := answering(t, "/my-account/", refuses(400, "invalidContact", "not this one"))
	h := newHost(t, ca, Settings{Email: "a@example.org"}, newSite(t))
	h.obtain(t, nil, "ecs.example.org")
	h = h.again(func(c *Config) { c.Email = "b@example.org" })
	h.obtain(t, nil, "ecs.example.org")
	if !strings.Contains(h.log.String(), "not this one (invalidContact)") {
		t.Errorf("log: %s", h.log)
	}
}

func TestAccountThatIsNotValidAnyMore(t *testing.T) {
	h := newHost(t, answering(t, order, refuses(403, "unauthorized", "account is deactivated")), Settings{}, newSite(t))
	if refusal := h.refused(t, "ecs.example.org"); refusal.Passing || remedy.Of(refusal) != "remove "+h.accountDir()+" if the account is not valid any more" {
		t.Errorf("refused (passing: %v): %v; remedy %q", refusal.Passing, refusal, remedy.Of(refusal))
	}
}
