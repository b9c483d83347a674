package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/cert/acme/acmetest"
)

func TestKeysAreOfTheKindAskedFor(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	for _, test := range []struct{ keyType, want string }{
		{"", "EC 256"}, {"ec256", "EC 256"}, {"ec384", "EC 384"}, {"rsa2048", "RSA 2048"}, {"rsa3072", "RSA 3072"},
	} {
		t.Run("kind "+test.keyType, func(t *testing.T) {
			h := newHost(t, ca, Settings{KeyType: test.keyType}, newSite(t))
			leaf := h.obtain(t, nil, "ecs.example.org", "www.example.org")
			got := ""
			switch key := leaf.PublicKey.(type) {
			case *ecdsa.PublicKey:
				got = fmt.Sprint("EC ", key.Params().BitSize)
			case *rsa.PublicKey:
				got = fmt.Sprint("RSA ", key.N.BitLen())
			}
			if got != test.want {
				t.Errorf("the key is %s, want %s", got, test.want)
			}
			if leaf.Subject.CommonName != "" && leaf.Subject.CommonName != "ecs.example.org" {
				t.Errorf("the common name is %q", leaf.Subject.CommonName)
			}
		})
	}
	h := newHost(t, ca, Settings{KeyType: "dsa"}, newSite(t))
	if refusal := h.refused(t, "ecs.example.org"); refusal.Passing || !strings.Contains(refusal.Error(), `"dsa" is not known`) {
		t.Errorf("of a kind that is not known: %v", refusal)
	}
}

func TestRequestHasAllNames(t *testing.T) {
	long := strings.Repeat("a", 60) + ".example.org" // 72 bytes
	for _, test := range []struct {
		name   string
		names  []string
		common string
	}{
		{"one", []string{"a.example.org"}, "a.example.org"},
		{"the first is the common name", []string{"b.example.org", "a.example.org"}, "b.example.org"},
		{"none where the first is too long", []string{long, "a.example.org"}, ""},
		{"a name with an asterisk", []string{"*.example.org", "example.org"}, "*.example.org"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, der, err := request("ec256", test.names)
			if err != nil {
				t.Fatal(err)
			}
			csr := parseCSR(t, der)
			if csr.Subject.CommonName != test.common {
				t.Errorf("the common name is %q, want %q", csr.Subject.CommonName, test.common)
			}
			if diff := cmp.Diff(test.names, csr.DNSNames); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesAreMadeFitForACertificate(t *testing.T) {
	c := New(Config{Settings: Settings{Challenge: "dns-01"}})
	got, err := c.checked([]string{"ECS.Example.org.", "bücher.example.org", "ecs.example.org", "*.ecs.example.org", "a.ecs.example.org", "a.b.ecs.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ecs.example.org", "xn--bcher-kva.example.org", "*.ecs.example.org", "a.b.ecs.example.org"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, names := range [][]string{nil, {""}, {"."}} {
		if got, err := c.checked(names); err == nil {
			t.Errorf("checked(%q) = %q", names, got)
		}
	}
}

// The authority really comes and looks.
func TestChallengesOnOurPorts(t *testing.T) {
	for _, test := range []struct{ challenge, looked string }{{"http-01", "http"}, {"tls-alpn-01", "alpn"}} {
		t.Run(test.challenge, func(t *testing.T) {
			s := newSite(t)
			ca := acmetest.New(t, acmetest.Options{HTTPPort: s.httpPort, TLSPort: s.tlsPort})
			h := newHost(t, ca, Settings{Challenge: test.challenge}, s)
			h.obtain(t, nil, "ecs.example.org", "www.example.org", "mail.example.org")
			if looked := s.looked(t); strings.Count(looked, test.looked) < 3 || len(strings.Fields(looked)) != strings.Count(looked, test.looked) {
				t.Errorf("the authority looked at %q", looked)
			}
			nothingStays(t)
		})
	}
}

func TestBadNonces(t *testing.T) {
	refused := &sync.Map{}
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, NonceReject: 15, Handler: recordAnswers(refused)})
	h := newHost(t, ca, Settings{}, newSite(t))
	for range 8 { // about 9 signed requests each
		h.obtain(t, nil, "ecs.example.org")
	}
	n := 0
	refused.Range(func(_, body any) bool {
		if strings.Contains(body.(string), "badNonce") {
			n++
		}
		return true
	})
	if n == 0 {
		t.Error("no nonce was refused: this test says nothing")
	}
	t.Logf("%d nonces were refused", n)
}

// recordAnswers keeps all answers with an error.
func recordAnswers(into *sync.Map) func(http.Handler) http.Handler {
	return func(pebble http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pebble.ServeHTTP(&recorder{ResponseWriter: w, into: into}, r)
		})
	}
}

type recorder struct {
	http.ResponseWriter
	into *sync.Map
}

func (r *recorder) Write(p []byte) (int, error) {
	r.into.Store(new(int), string(p))
	return r.ResponseWriter.Write(p)
}

func TestRenewalReplaces(t *testing.T) {
	var mu sync.Mutex
	var replaced []string
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/order-plz" {
			payload := signedPayload(t, r)
			mu.Lock()
			defer mu.Unlock()
			replaced = append(replaced, fmt.Sprint(payload["replaces"]))
		}
		return false
	})})
	h := newHost(t, ca, Settings{}, newSite(t))
	first := h.obtain(t, nil, "ecs.example.org")
	id := replacedID(first)
	second := h.obtain(t, first, "ecs.example.org")
	for deadline := time.Now().Add(5 * time.Second); !ca.Replaced(first); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the authority does not take the first certificate for replaced")
		}
	}
	h.obtain(t, first, "ecs.example.org") // it is replaced already
	other := acmetest.New(t, acmetest.Options{AlwaysValid: true})
	foreign := newHost(t, other, Settings{}, newSite(t)).obtain(t, nil, "ecs.example.org")
	h.obtain(t, foreign, "ecs.example.org") // the authority has never seen it
	stranger := newHost(t, ca, Settings{}, newSite(t))
	stranger.obtain(t, second, "ecs.example.org") // it belongs to another account
	none := "<nil>"
	want := []string{none, id, id, none, replacedID(foreign), none, replacedID(second), none}
	if diff := cmp.Diff(want, replaced); diff != "" {
		t.Errorf("orders replace (-want +got):\n%s", diff)
	}
}

// signedPayload reads what a signed request says and leaves it as it was.
func signedPayload(t *testing.T, r *http.Request) (payload map[string]any) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var jws struct{ Payload string }
	if err := json.Unmarshal(body, &jws); err != nil {
		t.Error(err)
	}
	data, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err != nil {
		t.Error(err)
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &payload); err != nil {
			t.Error(err)
		}
	}
	return payload
}

func parseCSR(t *testing.T, der []byte) *x509.CertificateRequest {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// Let's Encrypt refuses an order in which a name with an asterisk stands for another one.
func TestAnOrderNamesNothingTwice(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Handler: before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/order-plz" {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, fmt.Sprint(signedPayload(t, r)["identifiers"]))
		}
		return false
	})})
	service := newDNSService(t, ca.DNS, "")
	h := newHost(t, ca, Settings{Challenge: "dns-01", DNS: DNS{Provider: "httpreq", Endpoint: service.URL + "/hook"}}, nil)
	leaf := h.obtain(t, nil, "box.example.org", "*.example.org", "a.b.example.org")
	if diff := cmp.Diff([]string{"[map[type:dns value:*.example.org] map[type:dns value:a.b.example.org]]"}, asked); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if leaf.VerifyHostname("box.example.org") != nil {
		t.Errorf("it is for %v", leaf.DNSNames)
	}
}
