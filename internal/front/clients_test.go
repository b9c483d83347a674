package front

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// crl is a list of a's that revokes certs.
func (a *authority) crl(t *testing.T, certs ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(serial.Add(1)), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// person is a client certificate of a's.
func (a *authority) person(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Jo", Organization: []string{"Acme"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	cert, key := sign(t, template, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// showing makes clients show a certificate, even one that the server has not asked for by its issuer.
func showing(c tls.Certificate, cache tls.ClientSessionCache) func(*http.Transport) {
	return func(t *http.Transport) {
		t.TLSClientConfig.ClientSessionCache = cache
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
}

func TestWhoMayComeIn(t *testing.T) {
	ca, foreign := newAuthority(t, "people"), newAuthority(t, "people")
	good, bad := ca.person(t, nil), ca.person(t, nil)
	twin := foreign.person(t, func(c *x509.Certificate) { c.SerialNumber = good.Leaf.SerialNumber })
	late := ca.person(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	server := ca.person(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	var seen http.Header
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
		state.Clients = Clients{Mode: ClientsOptional, CAs: slices.Concat(ca.pem()), CRLs: ca.crl(t, bad.Leaf)}
	})
	none := tls.Certificate{}
	for _, c := range []struct {
		name   string
		shown  tls.Certificate
		mode   string
		status int
		word   string // in the answer, or to the application
	}{
		{"none, optional", none, ClientsOptional, 200, "NONE"},
		{"none, required", none, ClientsRequired, 403, "missing"},
		{"good, optional", good, ClientsOptional, 200, "SUCCESS"},
		{"good, required", good, ClientsRequired, 200, "SUCCESS"},
		{"revoked", bad, ClientsOptional, 403, "revoked"},
		{"expired", late, ClientsOptional, 403, "expired"},
		{"of another CA with the same name and serial", twin, ClientsOptional, 403, "untrusted"},
		{"made for servers", server, ClientsRequired, 403, "untrusted"},
		{"not asked for", bad, ClientsNone, 200, ""},
	} {
		for _, p := range protocols {
			t.Run(c.name+" by "+p.name, func(t *testing.T) {
				s.state.Clients.Mode = c.mode
				s.apply(t)
				client := s.client(t, func(tr *http.Transport) {
					showing(c.shown, nil)(tr)
					if p.change != nil {
						p.change(tr)
					}
				})
				res, _ := do(t, client, http.MethodGet, "/", http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}, "X_Ssl_Client_Serial": {"1"}}, nil)
				word := res.Header.Get("X-Client-Certificate")
				if res.StatusCode == 200 {
					word = seen.Get("X-Ssl-Client-Verify")
				}
				if res.StatusCode != c.status || word != c.word {
					t.Errorf("%d %q, want %d %q", res.StatusCode, word, c.status, c.word)
				}
				if res, _ := get(t, client, "/.well-known/appliance/health/live"); res.StatusCode != 200 {
					t.Errorf("the state is hidden: %d", res.StatusCode)
				}
			})
		}
	}
	s.state.Clients.Mode = ClientsRequired
	s.apply(t)
	get(t, s.client(t, showing(good, nil)), "/")
	print := sha256.Sum256(good.Leaf.Raw)
	for name, want := range map[string]string{
		"X-Ssl-Client-S-Dn": "CN=Jo,O=Acme", "X-Ssl-Client-I-Dn": "CN=people", "X-Ssl-Client-Fingerprint": hex.EncodeToString(print[:]),
		"X-Ssl-Client-Serial": strings.ToUpper(hex.EncodeToString(good.Leaf.SerialNumber.Bytes())),
	} {
		if got := seen[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s.raw(t, "GET / HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n")
}

func TestARevocationBitesOpenConnectionsAndResumedHandshakes(t *testing.T) {
	ca := newAuthority(t, "people")
	jo := ca.person(t, nil)
	resumed := make(chan bool, 10)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, hello))
		state.Clients = Clients{Mode: ClientsRequired, CAs: ca.pem(), CRLs: ca.crl(t)}
	})
	cache := tls.NewLRUClientSessionCache(4)
	watch := func(tr *http.Transport) {
		showing(jo, cache)(tr)
		tr.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
			resumed <- state.DidResume
			return nil
		}
	}
	open := s.client(t, watch)
	if res, _ := get(t, open, "/"); res.StatusCode != 200 {
		t.Fatalf("got %d", res.StatusCode)
	}
	<-resumed
	s.state.Clients.CRLs = ca.crl(t, jo.Leaf)
	s.apply(t)
	if res, _ := get(t, open, "/"); res.StatusCode != 403 || res.Header.Get("X-Client-Certificate") != "revoked" {
		t.Errorf("an open connection gets %d", res.StatusCode)
	}
	if res, _ := get(t, s.client(t, watch), "/"); res.StatusCode != 403 {
		t.Errorf("a resumed handshake gets %d", res.StatusCode)
	}
	if !<-resumed {
		t.Error("nothing was resumed: this test says nothing")
	}
	s.state.Clients.CRLs = []byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n")
	if err := s.Apply(s.state); err == nil {
		t.Error("a broken list is taken")
	}
	if res, _ := get(t, s.client(t, showing(jo, nil)), "/"); res.StatusCode != 403 {
		t.Errorf("after a broken list, the revoked gets %d", res.StatusCode)
	}
	s.state.Clients.CRLs = newAuthority(t, "people").crl(t)
	if err := s.Apply(s.state); err == nil {
		t.Error("a list of a stranger is taken")
	}
}

func TestACertificateExpiresOnAnOpenConnection(t *testing.T) {
	ca := newAuthority(t, "people")
	clock := time.Now()
	c, err := newClients(Clients{Mode: ClientsOptional, CAs: ca.pem()}, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	jo := ca.person(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = clock.Add(-time.Minute), clock.Add(time.Minute) })
	judged := func() string {
		v := c.judge([]*x509.Certificate{jo.Leaf}, clock)
		if v.refused == "" && v.until.After(jo.Leaf.NotAfter) {
			t.Errorf("it is not looked at again before %v", v.until)
		}
		return v.refused
	}
	for _, step := range []struct {
		by   time.Duration
		want string
	}{{0, ""}, {2 * time.Minute, "expired"}, {-2 * time.Minute, ""}, {-2 * time.Minute, "expired"}} { // clocks jump both ways
		clock = clock.Add(step.by)
		if got := judged(); got != step.want {
			t.Errorf("at %v: %q, want %q", clock, got, step.want)
		}
	}
}

// A handshake from before certificates were asked for must not keep its owner from being asked.
func TestAHandshakeWithoutACertificateIsNotResumedOnceOneIsAskedFor(t *testing.T) {
	ca := newAuthority(t, "people")
	s := start(t, Limits{}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	cache := tls.NewLRUClientSessionCache(4)
	show := showing(ca.person(t, nil), cache)
	if res, _ := get(t, s.client(t, show), "/"); res.StatusCode != 200 {
		t.Fatalf("got %d", res.StatusCode)
	}
	s.state.Clients = Clients{Mode: ClientsRequired, CAs: ca.pem()}
	s.apply(t)
	if res, _ := get(t, s.client(t, show), "/"); res.StatusCode != 200 {
		t.Errorf("who has a certificate was not asked for it: %d", res.StatusCode)
	}
}

func TestChainsThroughAnotherCA(t *testing.T) {
	root := newAuthority(t, "root")
	middle := &authority{}
	middle.cert, middle.key = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, root)
	jo := middle.person(t, nil)
	for name, c := range map[string]struct {
		cas, crls []byte
		status    int
	}{
		"both known":             {slices.Concat(root.pem(), middle.pem()), nil, 200},
		"only the one above":     {root.pem(), nil, 403},
		"only the one below":     {middle.pem(), nil, 200},
		"revoked below":          {slices.Concat(root.pem(), middle.pem()), slices.Concat(root.crl(t), middle.crl(t, jo.Leaf)), 403},
		"the one below revoked":  {slices.Concat(root.pem(), middle.pem()), root.crl(t, middle.cert), 403},
		"same serial, by others": {slices.Concat(root.pem(), middle.pem()), root.crl(t, jo.Leaf), 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Limits{}, func(state *State) {
				state.Routes = to(upstream(t, hello))
				state.Clients = Clients{Mode: ClientsRequired, CAs: c.cas, CRLs: c.crls}
			})
			if res, _ := get(t, s.client(t, showing(jo, nil)), "/"); res.StatusCode != c.status {
				t.Errorf("%d %s, want %d", res.StatusCode, res.Header.Get("X-Client-Certificate"), c.status)
			}
		})
	}
}

func TestDistinguishedNames(t *testing.T) {
	for _, c := range []struct {
		name string
		from pkix.Name
		want string
	}{
		{"order", pkix.Name{Country: []string{"AT"}, Organization: []string{"Acme"}, CommonName: "Jo"}, "CN=Jo,O=Acme,C=AT"},
		{"line break", pkix.Name{CommonName: "Jo\r\nX-SSL-Client-Verify: SUCCESS"}, `CN=Jo\0D\0AX-SSL-Client-Verify: SUCCESS`},
		{"special", pkix.Name{CommonName: ` #a,b+c"d\e<f>g;h `}, `CN=\ #a\,b\+c\"d\\e\<f\>g\;h\ `},
		{"umlaut", pkix.Name{CommonName: "Jö"}, `CN=J\C3\B6`},
		{"null", pkix.Name{CommonName: "a\x00b"}, `CN=a\00b`},
		{"unknown", pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{1, 2, 3}, Value: "x"}}}, "1.2.3=#130178"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, _ := sign(t, &x509.Certificate{Subject: c.from}, nil)
			if got := distinguishedName(cert.RawSubject); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
