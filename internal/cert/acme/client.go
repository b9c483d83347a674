package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/acme/api"
	"github.com/go-acme/lego/v4/certificate"
	"golang.org/x/net/idna"

	"appliance/internal/remedy"
)

const (
	userAgent       = "appliance"
	obtainWithin    = 10 * time.Minute // everything but the patience with name servers
	windowWithin    = time.Minute
	hurriedWithin   = time.Second      // to take all answers away after the end of a call
	cleanWithin     = 30 * time.Second // to take one away
	answerWithin    = time.Minute      // one HTTP exchange; an authority may sign while it answers
	defaultPatience = 2 * time.Minute
)

var errTooLong = errors.New("it is not done in time")

// Client is the Authority that lego's protocol core talks to. lego's own order of events is not used: it sleeps where nobody
// can wake it, and it keeps the resolver in a variable of the process.
type Client struct {
	Config
	dnsPort string        // of authoritative name servers
	answer  time.Duration // what one HTTP exchange may take
	limit   time.Duration // what Obtain may take, beside the patience with name servers
}

var _ Authority = (*Client)(nil)

// New returns the authority that c describes. Nothing is asked and nothing is written before the first call.
func New(c Config) *Client {
	if c.Challenge == "" {
		c.Challenge = "http-01"
	}
	if c.DNS.Propagation <= 0 {
		c.DNS.Propagation = defaultPatience
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{Config: c, dnsPort: "53", answer: answerWithin, limit: obtainWithin}
}

// link is one call's connection to the authority: it ends with the call's context.
type link struct {
	*Client
	wire *wire
	core *api.Core
}

// Obtain implements Authority.
func (c *Client) Obtain(ctx context.Context, names []string, replaces *x509.Certificate) (Issued, error) {
	what := "cannot get a certificate"
	names, err := c.checked(names)
	if err != nil {
		return Issued{}, c.explain(ctx, what, err)
	}
	what += " for " + names[0]
	limit := c.limit
	if c.Challenge == "dns-01" {
		limit += c.DNS.Propagation
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, remedy.Passing(fmt.Errorf("%w: %v", errTooLong, limit)))
	defer cancel()
	issued, err := c.obtain(limited, names, replacedID(replaces))
	if err != nil {
		return Issued{}, c.explain(ctx, what, err)
	}
	return issued, nil
}

// obtain orders with our account, and once more with a new one where the authority does not know it any more.
func (c *Client) obtain(ctx context.Context, names []string, replaces string) (Issued, error) {
	solver, err := c.solver()
	if err != nil {
		return Issued{}, err
	}
	l, err := c.login(ctx)
	if err != nil {
		return Issued{}, err
	}
	defer l.close()
	order, err := l.newOrder(ctx, names, replaces)
	if isProblem(err, "accountDoesNotExist") {
		if l, err = c.loginAnew(ctx); err != nil {
			return Issued{}, err
		}
		defer l.close()
		order, err = l.newOrder(ctx, names, replaces)
	}
	if isProblem(err, "unauthorized") {
		err = remedy.With(err, "remove "+c.accountDir()+" if the account is not valid any more")
	}
	if err != nil {
		return Issued{}, err
	}
	return l.complete(ctx, solver, order, names)
}

// connect fetches the directory. A key is needed for what is signed; account is its address there, or "".
func (c *Client) connect(ctx context.Context, key crypto.PrivateKey, account string) (*link, error) {
	w, err := c.newWire(ctx)
	if err != nil {
		return nil, err
	}
	quietLego()
	l := &link{Client: c, wire: w}
	l.core, err = ask(ctx, w, func() (*api.Core, error) {
		return api.New(w.client(), userAgent, c.Directory, account, key)
	})
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *link) close() { l.wire.next.CloseIdleConnections() }

// replacedID is how the authority knows the certificate to be replaced, "" if it cannot be told.
func replacedID(leaf *x509.Certificate) string {
	if leaf == nil || leaf.SerialNumber == nil || len(leaf.AuthorityKeyId) == 0 {
		return ""
	}
	id, err := certificate.MakeARICertID(leaf)
	if err != nil {
		return ""
	}
	return id
}

// checked answers the names as they stand in a certificate, each once, if the challenge can prove them.
func (c *Client) checked(names []string) ([]string, error) {
	var checked []string
	for _, name := range names {
		ascii, err := idna.ToASCII(strings.ToLower(strings.TrimSuffix(name, ".")))
		if err != nil || ascii == "" {
			return nil, fmt.Errorf("%q is no host name", name)
		}
		isIP := net.ParseIP(ascii) != nil
		switch {
		case strings.HasPrefix(ascii, "*.") && c.Challenge != "dns-01":
			return nil, remedy.With(fmt.Errorf("%s cannot be proved by %s: a name with an asterisk needs dns-01", ascii, c.Challenge),
				"set appliance.ssl.acme.challenge to dns-01, or take "+ascii+" out of appliance.ssl.acme.names")
		case isIP && c.Challenge != "http-01":
			return nil, fmt.Errorf("%s cannot be proved by %s: an address needs http-01", ascii, c.Challenge)
		}
		if !slices.Contains(checked, ascii) {
			checked = append(checked, ascii)
		}
	}
	if len(checked) == 0 {
		return nil, errors.New("there is no name to get it for")
	}
	return slices.DeleteFunc(slices.Clone(checked), func(name string) bool { return underAsterisk(name, checked) }), nil
}

// underAsterisk says whether a name with an asterisk stands for name too: Let's Encrypt refuses an order for both.
func underAsterisk(name string, names []string) bool {
	first, rest, more := strings.Cut(name, ".")
	return more && first != "*" && slices.Contains(names, "*."+rest)
}
