package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	lego "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/certcrypto"

	"appliance/internal/remedy"
)

// registration is what we know of our account at the authority. It can be lost: the authority knows the account by its key.
type registration struct {
	Directory string `json:"directory"`
	URI       string `json:"uri"`
	Key       string `json:"key"` // SHA-256 of the public key that it belongs to
	Email     string `json:"email,omitempty"`
}

// accountDir is a directory of its own for each authority: an account is worth nothing at another one.
func (c *Client) accountDir() string {
	sum := sha256.Sum256([]byte(c.Directory))
	return path.Join(c.Dir, hex.EncodeToString(sum[:6]))
}

func (c *Client) keyFile() string          { return path.Join(c.accountDir(), "account.key.pem") }
func (c *Client) registrationFile() string { return path.Join(c.accountDir(), "account.json") }

// login connects with our account, which is made if there is none. The key is durable before the authority hears of it, so
// that a crash at any point leaves at most one account.
func (c *Client) login(ctx context.Context) (*link, error) {
	key, fresh, err := c.accountKey()
	if err != nil {
		return nil, err
	}
	reg := c.known(key)
	l, err := c.connect(ctx, key, reg.URI)
	if err != nil {
		return nil, err
	}
	if reg.URI == "" {
		reg, err = l.register(ctx, reg, fresh)
	}
	if err == nil && reg.Email != c.Email && c.Email != "" {
		err = l.updateContact(ctx, reg)
	}
	if f := (*failure)(nil); reg.URI != "" && errors.As(err, &f) && f.kind != "accountDoesNotExist" {
		c.Log.Warn("the mail address of the ACME account stays as it was", "error", c.presentable(err.Error())) // the certificate counts more
		err = nil
	}
	if err == nil {
		return l, nil
	}
	l.close()
	if reg.URI != "" && isProblem(err, "accountDoesNotExist") {
		return c.loginAnew(ctx)
	}
	return nil, err
}

// loginAnew registers once more after the authority said that it does not know the account.
func (c *Client) loginAnew(ctx context.Context) (*link, error) {
	c.Log.Warn("the authority does not know our account any more: it is made anew", "directory", c.Directory)
	if err := c.System.Remove(c.registrationFile()); err != nil {
		return nil, err
	}
	key, _, err := c.accountKey()
	if err != nil {
		return nil, err
	}
	l, err := c.connect(ctx, key, "")
	if err != nil {
		return nil, err
	}
	if _, err := l.register(ctx, c.known(key), true); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// accountKey reads the key of the account, or makes it. One that cannot be read is no key: it is put aside.
func (c *Client) accountKey() (key crypto.PrivateKey, fresh bool, err error) {
	data, err := c.System.ReadFile(c.keyFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("cannot read the key of the account: %w", err)
	}
	if err == nil {
		if key, err := certcrypto.ParsePEMPrivateKey(data); err == nil && signs(key) {
			return key, false, nil
		}
		c.Log.Warn("the key of the ACME account is damaged: it is put aside, and another account is made", "file", c.keyFile())
		if err := c.System.Rename(c.keyFile(), c.keyFile()+".damaged"); err != nil {
			return nil, false, err
		}
	}
	if key, err = certcrypto.GeneratePrivateKey(certcrypto.EC256); err != nil {
		return nil, false, fmt.Errorf("cannot make the key of the account: %w", err)
	}
	for _, dir := range []string{c.Dir, c.accountDir()} {
		if err := c.System.Mkdir(dir, 0o700); err != nil {
			return nil, false, err
		}
	}
	return key, true, c.System.WriteFile(c.keyFile(), certcrypto.PEMEncode(key), 0o600)
}

// signs says whether lego can sign with key: it does not know all of those that it reads.
func signs(key crypto.PrivateKey) bool {
	k, ok := key.(*ecdsa.PrivateKey)
	return ok && k.Curve.Params().BitSize <= 384
}

func fingerprint(key crypto.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	if err != nil {
		panic(err) // accountKey lets no other kind through
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// known is the registration on disk, without an address if it is not there, damaged or of another key.
func (c *Client) known(key crypto.PrivateKey) registration {
	want := registration{Directory: c.Directory, Key: fingerprint(key)}
	var got registration
	data, err := c.System.ReadFile(c.registrationFile())
	if err != nil || json.Unmarshal(data, &got) != nil || got.Directory != want.Directory || got.Key != want.Key {
		return want
	}
	return got
}

func (c *Client) remember(reg registration) error {
	data, err := json.MarshalIndent(reg, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the account: %w", err)
	}
	return c.System.WriteFile(c.registrationFile(), append(data, '\n'), 0o600)
}

// register makes the account. Where the key is not fresh the authority is asked first whether it knows it: an external
// binding may be good for one time only.
func (l *link) register(ctx context.Context, reg registration, fresh bool) (registration, error) {
	var account lego.ExtendedAccount
	var err error
	if !fresh {
		account, err = ask(ctx, l.wire, func() (lego.ExtendedAccount, error) {
			return l.core.Accounts.New(lego.Account{OnlyReturnExisting: true})
		})
		if err != nil && !isProblem(err, "accountDoesNotExist") {
			return reg, err
		}
	}
	if account.Location == "" {
		account, err = ask(ctx, l.wire, l.newAccount)
		reg.Email = l.Email
	}
	if f := (*failure)(nil); l.EABKeyID != "" && errors.As(err, &f) && !f.passing() {
		err = remedy.With(err, "check appliance.ssl.acme.eab")
	}
	if err != nil {
		return registration{}, err
	}
	if account.Location == "" {
		return registration{}, errors.New("the authority does not say where our account is")
	}
	reg.URI = account.Location
	if slices.Equal(account.Contact, l.contact()) {
		reg.Email = l.Email
	}
	return reg, l.remember(reg)
}

func (l *link) newAccount() (lego.ExtendedAccount, error) {
	wanted := lego.Account{TermsOfServiceAgreed: true, Contact: l.contact()}
	if l.EABKeyID != "" {
		return l.core.Accounts.NewEAB(wanted, l.EABKeyID, l.EABKey)
	}
	return l.core.Accounts.New(wanted)
}

func (c *Client) contact() []string {
	if c.Email == "" {
		return nil
	}
	return []string{"mailto:" + c.Email}
}

func (l *link) updateContact(ctx context.Context, reg registration) error {
	_, err := ask(ctx, l.wire, func() (lego.Account, error) {
		return l.core.Accounts.Update(reg.URI, lego.Account{Contact: l.contact()})
	})
	if err != nil {
		return err
	}
	reg.Email = l.Email
	return l.remember(reg)
}
