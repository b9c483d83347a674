// Package acme gets certificates from an ACME authority (RFC 8555) by way of lego. It keeps the account; what becomes of
// a certificate is the business of package cert.
package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"appliance/internal/system"
)

// Settings say which authority to ask, and how. Two that are equal ask for the same.
type Settings struct {
	Directory string // address of the directory (RFC 8555 section 7.1.1)
	CABundle  string // PEM to check the directory's https with; "" is what the host trusts
	Email     string
	EABKeyID  string // external account binding; "" is none
	EABKey    string // URL-safe base64
	KeyType   string // "ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"
	Challenge string // "http-01", "tls-alpn-01", "dns-01"
	DNS       DNS
}

// DNS says who writes the TXT record of dns-01.
type DNS struct {
	Provider    string        // "exec", "httpreq", "rfc2136"
	Propagation time.Duration // how long the record may take to be seen; 0 is two minutes
	Program     string        // of exec
	Endpoint    string        // of httpreq
	User        string
	Password    string
	Nameserver  string // of rfc2136
	TSIGKey     string
	TSIGSecret  string
	TSIGAlg     string
}

// Responder shows the authority what it asks for. Show returns once the answer can be fetched; Hide takes it away again.
type Responder interface {
	ShowHTTP(ctx context.Context, token, keyAuthorization string) error
	HideHTTP(token string)
	// ShowALPN serves the certificate (PEM, as the key) to whoever asks for name by the protocol acme-tls/1.
	ShowALPN(ctx context.Context, name string, key, certificate []byte) error
	HideALPN(name string)
}

// Config is what an Authority is made of.
type Config struct {
	Settings
	System    *system.System // the account lies below Dir
	Dir       string         // "/data/etc/cert/acme"
	Responder Responder
	Resolvers []string // host:port of those that look whether a TXT record is there; none: those of /etc/resolv.conf
	Log       *slog.Logger
}

// Issued is a new private key with its chain, leaf first, as PEM.
type Issued struct{ Key, Chain []byte }

// Window is when the authority wants a certificate to be renewed (RFC 9773).
type Window struct {
	Start, End time.Time
	AskAgain   time.Duration // after this it may be another one
	Why        string        // address of an explanation, may be ""
}

// ErrNoARI says that the authority does not tell when to renew.
var ErrNoARI = errors.New("the authority does not tell when to renew")

// Refusal is an answer of the authority, or of the network before it, and what it means for the next try.
type Refusal struct {
	Err         error // one line of bounded length without secrets; it may carry a remedy
	RateLimited bool
	RetryAfter  time.Time // not before, where the authority says so; zero: it does not
	Passing     bool      // may go away by itself: the network, an authority that is down
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Authority is an ACME server and our account there. Its methods are not safe for concurrent use.
type Authority interface {
	// Obtain gets a certificate for names, the first being its common name. replaces is the one it takes the place of,
	// or nil. A failure is a *Refusal, or the end of ctx.
	Obtain(ctx context.Context, names []string, replaces *x509.Certificate) (Issued, error)
	// Window asks when leaf is to be renewed.
	Window(ctx context.Context, leaf *x509.Certificate) (Window, error)
}
