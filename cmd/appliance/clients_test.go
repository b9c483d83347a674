package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"appliance/internal/cert/acme/acmetest"
	"appliance/internal/testbed"
)

// club is an authority whose certificates visitors are asked for.
type club struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	next int64
}

func newClub(t *testing.T) *club {
	t.Helper()
	c := &club{t: t, next: 2}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "club"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *club) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}))
}

func (c *club) member(name string) tls.Certificate {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(c.next), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	c.next++
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// revoked is the list of those who are no members any more.
func (c *club) revoked(number int64, members ...tls.Certificate) string {
	c.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, m := range members {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: m.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.cert, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func (v *visited) showing(member *tls.Certificate) *http.Client {
	client := v.trust()
	if member != nil {
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*member}
	}
	return client
}

func (v *visited) awaitCode(client *http.Client, want int, what string) {
	v.TB.Helper()
	var code int
	var err error
	for end := time.Now().Add(30 * time.Second); code != want; time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		if code, _, _, err = v.ask(client, "/"); time.Now().After(end) {
			v.TB.Fatalf("%s: %d, %v", what, code, err)
		}
	}
}

// The application writes its authority and the list of those it has revoked while everything runs.
func TestCertificatesOfVisitors(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.site("  ssl: {client_certs: required}\n")
	s := v.Start()
	v.AwaitHealthy(time.Minute)
	club := newClub(t)
	alice, bob := club.member("alice"), club.member("bob")
	withAlice, withBob, without := v.showing(&alice), v.showing(&bob), v.showing(nil)
	v.awaitCode(without, http.StatusForbidden, "before there is an authority, without a certificate")
	v.awaitCode(withAlice, http.StatusForbidden, "before there is an authority, with one")

	v.Write("/data/ecs-ca/ca.cert.pem", club.pem())
	v.Write("/data/ecs-ca/crl.pem", club.revoked(1))
	withAlice, withBob = v.showing(&alice), v.showing(&bob)
	v.awaitCode(withAlice, http.StatusOK, "alice")
	v.awaitCode(withBob, http.StatusOK, "bob")
	v.awaitCode(without, http.StatusForbidden, "without a certificate")
	if code, _, _, _ := v.ask(without, "/.well-known/appliance/health"); code != http.StatusOK {
		t.Errorf("the health check needs a certificate: %d", code)
	}

	v.Write("/data/ecs-ca/crl.pem", club.revoked(2, bob))
	v.awaitCode(withBob, http.StatusForbidden, "bob, revoked, by the connection that is open")
	v.Write("/data/ecs-ca/crl.pem", "garbage")
	awaitCondition(t, 30*time.Second, "warned of", func() bool { return strings.Contains(s.Log(), "crl.pem") })
	if code, _, _, err := v.ask(withAlice, "/"); code != http.StatusOK {
		t.Errorf("after a broken list alice gets %d, %v", code, err)
	}
	if code, _, _, _ := v.ask(v.showing(&bob), "/"); code != http.StatusForbidden {
		t.Errorf("after a broken list bob gets %d", code)
	}
	done(t, v.Host, "reload", "--exec")
	v.AwaitHealthy(time.Minute)
	if code, _, _, _ := v.ask(v.showing(&bob), "/"); code != http.StatusForbidden {
		t.Errorf("after a restart with a broken list bob gets %d", code)
	}
}

// A service that reads the certificate when it starts is restarted with a new one, and nobody else is.
func TestServicesAreToldOfANewCertificate(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	ca := v.authority(t, acmetest.Options{})
	v.WriteCompose(strings.Replace(frontCompose, "x-appliance:\n", "x-appliance:\n  reload_on_cert: [side]\n", 1) +
		"  side:\n    image: " + testbed.Image(t) + "\n    command: [store]\n    restart: unless-stopped\n")
	v.site(asking(ca, ""))
	v.Start()
	v.AwaitHealthy(time.Minute)
	first := v.certificate(time.Minute, "issued", issued)
	started := func(service string) string { return v.Containers()["/"+containerName(v.Host, service)] }
	web := started("web")
	awaitCondition(t, 30*time.Second, "told of the first", func() bool {
		return strings.Contains(v.Read("/var/lib/appliance/record.0.json")+v.Read("/var/lib/appliance/record.1.json"), first.SHA256)
	})
	side := started("side")
	done(t, v.Host, "cert", "renew")
	awaitCondition(t, 30*time.Second, "restarted", func() bool { return started("side") != side })
	if started("web") != web {
		t.Error("the web service was touched")
	}
}
