package crl_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"appliance/internal/crl"
)

// decode reads a file that OpenSSL has written.
func decode(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	return block.Bytes
}

func TestAListOfTheFirstVersion(t *testing.T) {
	ca, err := x509.ParseCertificate(decode(t, "testdata/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	der := decode(t, "testdata/crl.pem")
	if _, err := x509.ParseRevocationList(der); err == nil {
		t.Fatal("crypto/x509 reads it: this test says nothing")
	}
	list, err := crl.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.RevokedCertificateEntries) != 1 || list.Number != nil || !bytes.Equal(list.Raw, der) || !bytes.Contains(der, list.RawTBSRevocationList) {
		t.Errorf("%+v", list)
	}
	if err := list.CheckSignatureFrom(ca); err != nil {
		t.Error(err)
	}
	forged := bytes.Clone(der)
	serial := list.RevokedCertificateEntries[0].SerialNumber.Bytes()
	forged[bytes.Index(forged, serial)+len(serial)-1] ^= 1 // another one is revoked
	if list, err := crl.Parse(forged); err != nil || list.CheckSignatureFrom(ca) == nil {
		t.Errorf("a forged list is taken: %v", err)
	}
}

func TestAListOfTheSecondVersion(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(7), NextUpdate: time.Now()}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := crl.Parse(der); err != nil || list.Number.Int64() != 7 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestNoList(t *testing.T) {
	whole := decode(t, "testdata/crl.pem")
	for name, der := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "a certificate": decode(t, "testdata/ca.pem"), "torn": whole[:len(whole)-9], "more than one": append(bytes.Clone(whole), whole...),
		"empty sequences": {0x30, 0x02, 0x30, 0x00},
	} {
		if list, err := crl.Parse(der); err == nil {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/crl.pem")
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(data)
	f.Add(block.Bytes)
	f.Fuzz(func(t *testing.T, der []byte) {
		if list, err := crl.Parse(der); (list == nil) == (err == nil) {
			t.Errorf("%v, %v", list, err)
		}
	})
}
