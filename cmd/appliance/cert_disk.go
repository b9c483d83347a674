package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"appliance/internal/api"
	"appliance/internal/remedy"
)

// certificateDir leads to the certificate in force, without its key for whoever is not root.
const certificateDir = "/data/etc/cert/current"

// certificateOnDisk is what can be told of the certificate while no supervisor runs: what it is, not how it goes on.
func (a *app) certificateOnDisk() (api.Certificate, error) {
	c := api.Certificate{Version: api.Version}
	name := path.Join(certificateDir, "chain.pem")
	chain, err := a.system().ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, remedy.With(fmt.Errorf("cannot tell of a certificate: %w, and there is none in %s", api.ErrNoSupervisor, certificateDir),
			"start it with `systemctl start appliance`")
	}
	if err != nil {
		return c, remedy.With(fmt.Errorf("cannot read the certificate: %w", err), "ask as root")
	}
	block, _ := pem.Decode(chain)
	if block == nil {
		return c, remedy.With(fmt.Errorf("cannot read the certificate: %s is damaged", name), "start the appliance: it falls back to the one before")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return c, remedy.With(fmt.Errorf("cannot read the certificate: %s: %w", name, err), "start the appliance: it falls back to the one before")
	}
	sum := sha256.Sum256(leaf.Raw)
	c.Names, c.Issuer, c.Serial, c.SHA256 = leaf.DNSNames, leaf.Issuer.String(), leaf.SerialNumber.Text(16), hex.EncodeToString(sum[:])
	c.NotBefore, c.NotAfter = leaf.NotBefore, leaf.NotAfter
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	var made struct{ Source, Authority string }
	if data, err := a.system().ReadFile(path.Join(certificateDir, "made.json")); err == nil && json.Unmarshal(data, &made) == nil {
		c.Source, c.Authority = made.Source, made.Authority
	}
	c.Warnings = []string{"No supervisor is running: nobody renews it."}
	return c, nil
}
