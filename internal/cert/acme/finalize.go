package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	lego "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/certcrypto"
)

const (
	longestCommonName = 64 // bytes: ub-common-name of RFC 5280
	longestChain      = 10
)

var keyTypes = map[string]certcrypto.KeyType{
	"": certcrypto.EC256, "ec256": certcrypto.EC256, "ec384": certcrypto.EC384,
	"rsa2048": certcrypto.RSA2048, "rsa3072": certcrypto.RSA3072, "rsa4096": certcrypto.RSA4096,
}

// finalize makes the key, has the authority sign for it, and looks at what came back.
func (l *link) finalize(ctx context.Context, order lego.ExtendedOrder, names []string) (Issued, error) {
	key, csr, err := request(l.KeyType, names)
	if err != nil {
		return Issued{}, err
	}
	now, err := ask(ctx, l.wire, func() (lego.ExtendedOrder, error) { return l.core.Orders.UpdateForCSR(order.Finalize, csr) })
	if err != nil {
		return Issued{}, err
	}
	if now.Status != lego.StatusValid {
		err = l.poll(ctx, func() (bool, error) {
			now, err = ask(ctx, l.wire, func() (lego.ExtendedOrder, error) { return l.core.Orders.Get(order.Location) })
			if err != nil {
				return false, err
			}
			return now.Status == lego.StatusValid, invalid(now)
		})
	}
	if err != nil {
		return Issued{}, err
	}
	chain, err := ask(ctx, l.wire, func() ([]byte, error) {
		chain, _, err := l.core.Certificates.Get(now.Certificate, true)
		return chain, err
	})
	if err != nil {
		return Issued{}, err
	}
	if chain, err = inspect(chain, key.Public(), names, l.System.Now()); err != nil {
		return Issued{}, fmt.Errorf("the authority answered a certificate that is not ours: %w", err)
	}
	return Issued{Key: certcrypto.PEMEncode(key), Chain: chain}, nil
}

// request makes a key and asks for names with it.
func request(keyType string, names []string) (key crypto.Signer, csr []byte, err error) {
	kind, ok := keyTypes[keyType]
	if !ok {
		return nil, nil, fmt.Errorf("the kind of key %q is not known", keyType)
	}
	private, err := certcrypto.GeneratePrivateKey(kind)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a key: %w", err)
	}
	options := certcrypto.CSROptions{SAN: names}
	if len(names[0]) <= longestCommonName && net.ParseIP(names[0]) == nil {
		options.Domain = names[0]
	}
	if csr, err = certcrypto.CreateCSR(private, options); err != nil {
		return nil, nil, fmt.Errorf("cannot ask for a certificate: %w", err)
	}
	return private.(crypto.Signer), csr, nil
}

// inspect answers the certificates in data, leaf first, and nothing else that may be there, if the leaf is for key and names.
func inspect(data []byte, key crypto.PublicKey, names []string, now time.Time) ([]byte, error) {
	var leaf *x509.Certificate
	var chain bytes.Buffer
	for n := 0; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" || n >= longestChain {
			return nil, fmt.Errorf("its chain is no chain of %d certificates at most", longestChain)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot read it: %w", err)
		}
		if leaf == nil {
			leaf = certificate
		}
		if err := pem.Encode(&chain, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, fmt.Errorf("cannot write it: %w", err)
		}
	}
	if leaf == nil {
		return nil, errors.New("there is none in the answer")
	}
	if public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key) {
		return nil, errors.New("it is for another key")
	}
	if leaf.IsCA || !leaf.NotAfter.After(now) {
		return nil, fmt.Errorf("it is no certificate of a server that is valid after %s", now.UTC().Format(time.RFC3339))
	}
	for _, name := range names {
		if !covers(leaf, name) {
			return nil, fmt.Errorf("it is not for %s", name)
		}
	}
	return chain.Bytes(), nil
}

func covers(leaf *x509.Certificate, name string) bool {
	if strings.HasPrefix(name, "*.") {
		return slices.ContainsFunc(leaf.DNSNames, func(dns string) bool { return strings.EqualFold(dns, name) })
	}
	return leaf.VerifyHostname(name) == nil
}
