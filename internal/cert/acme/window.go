package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	lego "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"appliance/internal/remedy"
)

// How soon a window is asked for again: what RFC 9773 section 4.3.2 recommends, and its bounds.
const (
	usualAskAgain   = 6 * time.Hour
	soonestAskAgain = time.Minute
	latestAskAgain  = 24 * time.Hour
	longestWhy      = 500
)

// Window implements Authority. It needs no account.
func (c *Client) Window(ctx context.Context, leaf *x509.Certificate) (Window, error) {
	limited, cancel := context.WithTimeoutCause(ctx, windowWithin, remedy.Passing(errNoAnswer))
	defer cancel()
	window, err := c.window(limited, replacedID(leaf))
	switch {
	case errors.Is(err, ErrNoARI):
		return Window{}, ErrNoARI
	case err != nil:
		return Window{}, c.explain(ctx, "cannot learn when to renew the certificate", err)
	}
	return window, nil
}

func (c *Client) window(ctx context.Context, id string) (Window, error) {
	if id == "" { // a certificate that no authority can have issued
		return Window{}, ErrNoARI
	}
	l, err := c.connect(ctx, nil, "")
	if err != nil {
		return Window{}, err
	}
	defer l.close()
	if l.core.GetDirectory().RenewalInfo == "" {
		return Window{}, ErrNoARI
	}
	info, err := ask(ctx, l.wire, func() (info lego.RenewalInfoResponse, err error) { return l.renewalInfo(id) })
	if err != nil {
		return Window{}, err
	}
	window := Window{Start: info.SuggestedWindow.Start, End: info.SuggestedWindow.End, AskAgain: usualAskAgain, Why: explanation(info.ExplanationURL)}
	if window.Start.IsZero() || !window.End.After(window.Start) {
		return Window{}, errors.New("the window that the authority names is none")
	}
	if at := l.wire.latestRetryAfter(); !at.IsZero() {
		window.AskAgain = min(max(at.Sub(l.wire.now()), soonestAskAgain), latestAskAgain)
	}
	return window, nil
}

// renewalInfo reads the answer itself: lego takes a problem document for a window without dates.
func (l *link) renewalInfo(id string) (info lego.RenewalInfoResponse, err error) {
	resp, err := l.core.Certificates.GetRenewalInfo(id)
	if errors.Is(err, api.ErrNoARI) {
		return info, ErrNoARI
	}
	if err != nil {
		return info, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return info, err
	}
	if resp.StatusCode >= 400 {
		p := &lego.ProblemDetails{}
		if json.Unmarshal(data, p) != nil || p.HTTPStatus == 0 {
			p.HTTPStatus = resp.StatusCode
		}
		return info, p
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("cannot read it: %w", err)
	}
	return info, nil
}

// explanation is an address that a person can be shown, or "".
func explanation(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(address) > longestWhy || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
