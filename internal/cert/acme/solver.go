package acme

import (
	"context"
	"fmt"

	"github.com/go-acme/lego/v4/challenge/tlsalpn01"
)

// proof is what the authority wants to see for one name.
type proof struct {
	name             string
	authorization    string // its address
	challenge        string // its address
	token            string
	keyAuthorization string
	shown            bool
	record           record // of dns-01
}

// solver shows proofs to the authority. hide is called for each that show was called for.
type solver interface {
	show(ctx context.Context, p *proof) error
	// settle returns once all that is shown can be seen.
	settle(ctx context.Context, proofs []*proof) error
	hide(ctx context.Context, p *proof) error
}

func (c *Client) solver() (solver, error) {
	switch c.Challenge {
	case "http-01":
		return byHTTP{c.Responder}, nil
	case "tls-alpn-01":
		return byALPN{c.Responder}, nil
	case "dns-01":
		return c.byDNS()
	}
	return nil, fmt.Errorf("the challenge %q is not known", c.Challenge)
}

type byHTTP struct{ responder Responder }

func (s byHTTP) show(ctx context.Context, p *proof) error {
	return s.responder.ShowHTTP(ctx, p.token, p.keyAuthorization)
}
func (s byHTTP) settle(context.Context, []*proof) error { return nil }
func (s byHTTP) hide(_ context.Context, p *proof) error { s.responder.HideHTTP(p.token); return nil }

type byALPN struct{ responder Responder }

func (s byALPN) show(ctx context.Context, p *proof) error {
	certificate, key, err := tlsalpn01.ChallengeBlocks(p.name, p.keyAuthorization)
	if err != nil {
		return fmt.Errorf("cannot make the certificate that answers: %w", err)
	}
	return s.responder.ShowALPN(ctx, p.name, key, certificate)
}
func (s byALPN) settle(context.Context, []*proof) error { return nil }
func (s byALPN) hide(_ context.Context, p *proof) error { s.responder.HideALPN(p.name); return nil }
