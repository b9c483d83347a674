// Package cert keeps the certificate of the site valid: it takes the best one that can be had, renews it in time, and
// never lets a failure take away what works.
package cert

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"appliance/internal/cert/acme"
)

// Wish is what the environment asks for.
type Wish struct {
	Names []string       // of the site; the first is the domain
	Key   string         // supplied, PEM; "" is none
	Chain string         // supplied, PEM, leaf first
	ACME  *acme.Settings // nil: no authority is asked
}

// supplies says whether the environment brings a pair of its own, or a part of one.
func (w Wish) supplies() bool { return w.Key != "" || w.Chain != "" }

// Check says whether what w supplies can be used, so that an environment can be refused before it is in force. One that
// is in force already is not to be asked again: its certificate may have ended since, and the ladder then walks on.
func Check(w Wish, now time.Time) error {
	if !w.supplies() {
		return nil
	}
	_, err := Parse([]byte(w.Key), []byte(w.Chain), w.Names, now)
	return err
}

// Source says where a certificate came from, best first.
type Source string

// The rungs of the ladder.
const (
	Supplied   Source = "supplied"    // by the environment
	Imported   Source = "imported"    // by an operator
	Issued     Source = "acme"        // by an authority
	Adopted    Source = "adopted"     // found on the host, from before our time
	SelfSigned Source = "self-signed" // by ourselves
)

// Certificate is a private key with its chain, and where it came from.
type Certificate struct {
	Key, Chain []byte // PEM
	Source     Source
	Names      []string
	NotBefore  time.Time
	NotAfter   time.Time
	Issuer     string
	Serial     string // hexadecimal
	SHA256     string // fingerprint of the leaf, hexadecimal
	Authority  string // directory it came from, of one by ACME
}

// String describes c without its key.
func (c Certificate) String() string {
	return fmt.Sprintf("%s certificate %.16s of %q until %s", c.Source, c.SHA256, c.Names, day(c.NotAfter))
}

// LogValue keeps the key out of the log.
func (c Certificate) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Status is how the certificate is doing.
type Status struct {
	Certificate
	RenewAt   time.Time // when the next one is asked for; zero: nobody is asked
	Tries     int       // that failed since the last success
	LastError string
	NextTry   time.Time // after a failure
	Warnings  []string  // what an operator should know
}

// pair is a certificate whose leaf has been read, and is of the key.
type pair struct {
	Certificate
	leaf *x509.Certificate
}

// covers says whether the certificate is one of all names.
func (p pair) covers(names []string) bool { return len(uncovered(p.leaf, names)) == 0 }

// day writes a moment for people.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
