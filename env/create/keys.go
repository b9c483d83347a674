package create

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"runtime"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"golang.org/x/sync/errgroup"
)

const (
	rsaBits     = 2048 // what every DNS provider and every gpg takes
	secretBytes = 39   // 52 characters of base64 without padding
)

// keys are the texts of the private keys of one environment.
type keys struct {
	dkim                            string // PEM
	dkimPublic                      string // DER in base64, for the DNS
	backup, vaultEncrypt, vaultSign string // OpenPGP, armored
}

// newKeys makes all keys, as many at a time as there are cores. A key once begun is finished, which takes a second at
// most; after ctx has ended no other is begun.
func newKeys(ctx context.Context, now time.Time) (keys, error) {
	var k keys
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, task := range []func() error{
		func() (err error) { k.backup, err = NewOpenPGP("ecs_backup", now); return },
		func() (err error) { k.vaultEncrypt, err = NewOpenPGP("ecs_mediaserver", now); return },
		func() (err error) { k.vaultSign, err = NewOpenPGP("ecs_authority", now); return },
		func() (err error) { k.dkim, k.dkimPublic, err = newDKIM(); return },
	} {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return task()
		})
	}
	if err := group.Wait(); err != nil {
		return keys{}, fmt.Errorf("cannot make the keys: %w", err)
	}
	return k, nil
}

// newDKIM answers a private key as PKCS#1, which opendkim and every openssl read, and its public half.
func newDKIM() (private, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return string(pem.EncodeToMemory(block)), base64.StdEncoding.EncodeToString(der), nil
}

// NewOpenPGP answers a secret key without expiry and without passphrase, for gpg 1.4 as well as for gpg 2: version 4,
// RSA, a primary key that signs and a subkey that encrypts. The user ID is the bare name, by which programs look for it.
func NewOpenPGP(name string, now time.Time) (string, error) {
	config := &packet.Config{
		RSABits:       rsaBits,
		DefaultCipher: packet.CipherAES256,
		Time:          func() time.Time { return now },
	}
	entity, err := openpgp.NewEntity(name, "", "", config)
	if err != nil {
		return "", err
	}
	// The library's own preference is no compression, but backup programs leave compression to gpg, which asks the key.
	certification := entity.Identities[name].SelfCertifications[0].Packet
	certification.PreferredCompression = []uint8{uint8(packet.CompressionZLIB), uint8(packet.CompressionZIP), uint8(packet.CompressionNone)}

	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PrivateKeyType, nil)
	if err != nil {
		return "", err
	}
	if err := entity.SerializePrivate(w, config); err != nil { // signs anew, with that preference
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	b.WriteByte('\n')
	return b.String(), nil
}

// newSecret answers random text for an application, safe in quotes of any language.
func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}
