package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	lego "github.com/go-acme/lego/v4/acme"

	"appliance/internal/remedy"
)

// longestText bounds what an authority can have us write into journals and pages.
const longestText = 600

// oddAnswer is one that is not of the protocol.
type oddAnswer struct {
	status int
	what   string
}

func (o *oddAnswer) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %s with status %d %s", o.what, o.status, http.StatusText(o.status)))
}

// failure is one exchange that went wrong.
type failure struct {
	text       string
	kind       string // of the problem document: the last part of its type
	status     int
	retryAfter time.Time
	cause      error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// passing says whether it may go away by itself.
func (f *failure) passing() bool {
	return f.status >= 500 || f.rateLimited() || f.kind == "badNonce" || f.kind == "" && f.status == 0
}

func (f *failure) rateLimited() bool {
	return f.kind == "rateLimited" || f.status == http.StatusTooManyRequests ||
		f.status == http.StatusServiceUnavailable && !f.retryAfter.IsZero()
}

func isProblem(err error, kind string) bool {
	var f *failure
	return errors.As(err, &f) && f.kind == kind
}

// failure tells what an error of an exchange means. lego's texts are left out: they are long, and may hold whole pages.
func (w *wire) failure(err error) error {
	retryAfter := w.latestRetryAfter()
	if p := (*lego.ProblemDetails)(nil); errors.As(err, &p) {
		return problem(p, retryAfter)
	}
	if odd := (*oddAnswer)(nil); errors.As(err, &odd) {
		f := &failure{text: "the authority is not understood: " + odd.Error(), status: odd.status, retryAfter: retryAfter, cause: odd}
		if odd.status >= 500 || f.rateLimited() {
			return f
		}
		f.kind = "odd"
		return remedy.With(f, "check appliance.ssl.acme.directory, and whether a proxy answers in its place")
	}
	if errors.As(err, new(*json.SyntaxError)) || errors.As(err, new(*json.UnmarshalTypeError)) {
		return remedy.With(&failure{text: "the authority is not understood: its answer is no JSON that fits", kind: "odd"}, "check appliance.ssl.acme.directory")
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return unreached(u)
	}
	return &failure{text: err.Error(), kind: "odd", cause: err}
}

// unreached tells what keeps us from the authority.
func unreached(u *url.Error) error {
	host := u.URL
	if parsed, err := url.Parse(u.URL); err == nil {
		host = parsed.Host
	}
	f := &failure{text: fmt.Sprintf("the authority does not answer at %s: %v", host, u.Err), cause: u}
	if !errors.As(u, new(*tls.CertificateVerificationError)) {
		return f
	}
	f.text = fmt.Sprintf("the authority at %s cannot be trusted: %v", host, u.Err)
	if bad := (x509.CertificateInvalidError{}); errors.As(u, &bad) && bad.Reason == x509.Expired { // or our clock is wrong, which may be set right
		return remedy.With(f, "see that the clock of this host is right")
	}
	f.kind = "tls"
	return remedy.With(f, "set appliance.ssl.acme.ca_bundle to the certificate that the https of the authority comes from")
}

// problem reads a problem document of the authority.
func problem(p *lego.ProblemDetails, retryAfter time.Time) error {
	kind := p.Type[strings.LastIndex(p.Type, ":")+1:]
	text := strings.TrimSpace(p.Detail)
	for i, sub := range p.SubProblems {
		if i == 3 {
			text += fmt.Sprintf("; and %d more", len(p.SubProblems)-i)
			break
		}
		text += fmt.Sprintf("; %s: %s", sub.Identifier.Value, sub.Detail)
	}
	switch {
	case kind != "":
		text = fmt.Sprintf("%s (%s)", text, kind)
	case text == "":
		kind, text = "unknown", fmt.Sprintf("%d %s", p.HTTPStatus, http.StatusText(p.HTTPStatus))
	default:
		kind = "unknown"
	}
	f := &failure{text: "the authority says: " + text, kind: kind, status: p.HTTPStatus, retryAfter: retryAfter}
	if way := wayOut[kind]; way != "" {
		return remedy.With(f, way)
	}
	return f
}

// wayOut is what an operator can do about a problem (the types of RFC 8555 section 6.7).
var wayOut = map[string]string{
	"caa":                     "permit the authority in the CAA record of the name, or use another authority",
	"rejectedIdentifier":      "take the name out of appliance.ssl.acme.names, or use another authority",
	"externalAccountRequired": "set appliance.ssl.acme.eab to what the authority gave you",
	"invalidContact":          "set appliance.ssl.acme.email to an address that the authority takes",
	"unsupportedContact":      "set appliance.ssl.acme.email to an address that the authority takes",
	"badPublicKey":            "set appliance.ssl.acme.key_type to a kind that the authority takes",
	"badCSR":                  "set appliance.ssl.acme.key_type to a kind that the authority takes",
}

// wayIn is what an operator can do about an answer that the authority came for and did not find.
var wayIn = map[string]string{
	"http-01":     "see that the name leads to this host, that port 80 is open from outside, and that no other server answers there",
	"tls-alpn-01": "see that the name leads to this host, that port 443 is open from outside, and that nothing in between ends TLS",
	"dns-01":      "see that the record _acme-challenge of the name can be seen from outside",
}

// explained is an error whose text is fit to be shown.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// explain makes what went wrong a *Refusal, or the end of ctx where that is why.
func (c *Client) explain(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	refusal := &Refusal{Passing: remedy.MayPass(err) || errors.Is(err, context.DeadlineExceeded)}
	if f := (*failure)(nil); errors.As(err, &f) {
		refusal.RetryAfter, refusal.RateLimited = f.retryAfter, f.rateLimited()
		refusal.Passing = refusal.Passing || f.passing()
	}
	refusal.Err = &explained{c.presentable(what + ": " + err.Error()), err}
	if refusal.Passing && !remedy.MayPass(err) {
		refusal.Err = remedy.Passing(refusal.Err)
	}
	return refusal
}

// presentable makes text one line of bounded length that holds no secret of ours.
func (c *Client) presentable(text string) string {
	for _, secret := range []string{c.EABKey, c.DNS.Password, c.DNS.TSIGSecret, c.DNS.Endpoint} {
		if secret = strings.TrimSpace(secret); secret != "" {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > longestText {
		text = string(runes[:longestText]) + "…"
	}
	return text
}
