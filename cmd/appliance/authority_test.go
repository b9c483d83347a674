package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/api"
	"appliance/internal/cert/acme/acmetest"
)

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// authority runs an ACME authority that really looks for the answers to its challenges, at the host's front.
func (v *visited) authority(t *testing.T, o acmetest.Options) *acmetest.CA {
	t.Helper()
	o.HTTPPort, o.TLSPort = portOf(t, v.plain), portOf(t, v.secure)
	return acmetest.New(t, o)
}

// ask for certificates of ca.
func asking(ca *acmetest.CA, more string) string {
	bundle := strings.ReplaceAll(strings.TrimSpace(ca.CABundle), "\n", "\n        ")
	return fmt.Sprintf("  ssl:\n    acme:\n      directory: %s\n      ca_bundle: |\n        %s\n%s", ca.DirectoryURL, bundle, more)
}

// certificate awaits one that is as wanted.
func (v *visited) certificate(limit time.Duration, what string, wanted func(api.Certificate) bool) api.Certificate {
	v.TB.Helper()
	client := api.NewClient(v.System())
	var last api.Certificate
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a poll with a deadline
		if last, err = client.Certificate(v.TB.Context()); err == nil && wanted(last) {
			return last
		}
	}
	v.TB.Fatalf("the certificate is not %s after %s: %+v, %v", what, limit, last, err)
	return last
}

func issued(c api.Certificate) bool { return c.Source == "acme" }

// shown is the leaf that visitors get, by a fresh connection that trusts roots alone.
func (v *visited) shown(roots string) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(roots))
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", v.secure, &tls.Config{RootCAs: pool, ServerName: "box.example.org"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestACertificateByAnAuthority(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			v := newVisited(t)
			ca := v.authority(t, acmetest.Options{NonceReject: 15})
			v.site(asking(ca, "      challenge: "+challenge+"\n      names: [www.example.org]\n"))
			v.Start()
			v.AwaitHealthy(time.Minute)
			first := v.certificate(time.Minute, "issued", issued)
			leaf, err := v.shown(ca.RootCA)
			if err != nil {
				t.Fatal(err)
			}
			if leaf.VerifyHostname("www.example.org") != nil || fmt.Sprintf("%x", leaf.SerialNumber) != strings.TrimLeft(first.Serial, "0") {
				t.Errorf("visitors are shown %v, serial %x, not %+v", leaf.DNSNames, leaf.SerialNumber, first)
			}

			// Another one under load: nobody notices.
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
			stop, failed := make(chan struct{}), make(chan error, 1)
			go func() {
				defer close(failed)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if code, _, _, err := v.ask(client, "/"); code != http.StatusOK {
						failed <- fmt.Errorf("status %d, %w", code, err)
						return
					}
				}
			}()
			done(t, v.Host, "cert", "renew")
			second := v.certificate(time.Minute, "another one", func(c api.Certificate) bool { return c.Serial != first.Serial })
			awaitCondition(t, 10*time.Second, "shown", func() bool {
				leaf, err := v.shown(ca.RootCA)
				return err == nil && fmt.Sprintf("%x", leaf.SerialNumber) == strings.TrimLeft(second.Serial, "0")
			})
			close(stop)
			if err := <-failed; err != nil {
				t.Error(err)
			}
		})
	}
}

// An authority that is down delays no start, and is asked again by itself.
func TestAnAuthorityThatIsDown(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	away := v.authority(t, acmetest.Options{Handler: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	}})
	v.site(asking(away, ""))
	v.Start()
	v.AwaitHealthy(time.Minute)
	c := v.certificate(time.Minute, "asked for in vain", func(c api.Certificate) bool { return c.Tries > 0 })
	if c.Source != "self-signed" || c.NextTry == nil || !strings.Contains(c.LastError, "503") {
		t.Errorf("%+v", c)
	}
	if code, _, _, err := v.ask(v.trust(), "/"); code != http.StatusOK {
		t.Errorf("visitors get %d, %v", code, err)
	}
	there := v.authority(t, acmetest.Options{})
	v.site(asking(there, ""))
	done(t, v.Host, "reload")
	v.certificate(time.Minute, "issued", issued)
}

func TestSuppliedCertificates(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	supply := func(key, chain string) string {
		indent := func(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ") }
		return "  ssl:\n    key: |\n      " + indent(key) + "\n    cert: |\n      " + indent(chain) + "\n"
	}
	v.Start()
	v.AwaitHealthy(time.Minute)
	own := v.certificate(time.Minute, "there", func(c api.Certificate) bool { return c.Source == "self-signed" })
	key, chain := v.Read("/data/etc/server.key.pem"), v.Read("/data/etc/server.cert.pem")
	other := newVisited(t)
	other.Start()
	other.AwaitHealthy(time.Minute)

	v.site(supply(other.Read("/data/etc/server.key.pem"), chain))
	_, stderr, status := v.Run("reload")
	if status == 0 || !strings.Contains(v.Await(time.Minute, "failed", func(s api.Status) bool { return s.State == "failed" }).Failure.Cause, "appliance.ssl") {
		t.Errorf("a key that does not match: %d %s", status, stderr)
	}
	client := v.trust()
	if code, _, _, err := v.ask(client, "/"); code != http.StatusOK {
		t.Errorf("what served before answers %d, %v", code, err)
	}
	if strings.Contains(stderr, "PRIVATE") || strings.Contains(v.Read("/run/appliance-failed"), "PRIVATE") {
		t.Error("the key is told")
	}
	v.site(supply(key, chain))
	done(t, v.Host, "clear")
	v.AwaitHealthy(time.Minute)
	c := v.certificate(time.Minute, "supplied", func(c api.Certificate) bool { return c.Source == "supplied" })
	if c.SHA256 != own.SHA256 {
		t.Errorf("%s is not %s", c.SHA256, own.SHA256)
	}
}
