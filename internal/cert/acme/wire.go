package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	legolog "github.com/go-acme/lego/v4/log"

	"appliance/internal/remedy"
)

// maxAnswer bounds an answer in bytes: chains and directories are a hundredth of it.
const maxAnswer = 1 << 20

var errNoAnswer = errors.New("no answer in time")

// quietLego takes lego's lines on standard error away: it writes one for each nonce that is refused, which RFC 8555 section
// 6.5 calls normal.
var quietLego = sync.OnceFunc(func() { legolog.Logger = log.New(io.Discard, "", 0) })

// wire carries the requests of one call. lego makes them without a context: here they end with the call's, no answer is
// longer than maxAnswer or slower than patience, and each is read to its end, so that nothing stays open.
type wire struct {
	ctx      context.Context
	next     *http.Transport
	patience time.Duration
	now      func() time.Time

	mu         sync.Mutex
	retryAfter time.Time // of the latest answer; zero: it named none
}

func (c *Client) newWire(ctx context.Context) (*wire, error) {
	if !strings.HasPrefix(c.Directory, "https://") {
		return nil, remedy.With(fmt.Errorf("the directory %q is not behind https", c.Directory), "set appliance.ssl.acme.directory to an address with https")
	}
	transport := newTransport()
	if c.CABundle != "" {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(c.CABundle)) {
			return nil, remedy.With(errors.New("there is no certificate in the bundle to check the authority with"),
				"set appliance.ssl.acme.ca_bundle to the PEM text of the certificate that the authority's https comes from")
		}
	}
	return &wire{ctx: ctx, next: transport, patience: c.answer, now: c.System.Now}, nil
}

// newTransport speaks HTTP/1.1: requests come one after the other, and one that is cut off takes its connection with it, which
// one of HTTP/2 does not.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        10 * time.Second, // of one that was still dialled when its call ended
	}
}

func (w *wire) client() *http.Client { return &http.Client{Transport: w} }

// RoundTrip implements http.RoundTripper. An error page that is no problem document (RFC 7807) is answered as an *oddAnswer.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		_ = resp.Body.Close() // all of it that counts is read
	}
	if err != nil && w.ctx.Err() == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%v)", errNoAnswer, w.patience)
	}
	if err != nil {
		return nil, err
	}
	w.note(parseRetryAfter(resp.Header.Get("Retry-After"), w.now()))
	if len(body) > maxAnswer {
		return nil, &oddAnswer{resp.StatusCode, fmt.Sprintf("more than %d bytes", maxAnswer)}
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // one that cannot be read is none
	if page := media == "text/html" && resp.StatusCode/100 == 2 && len(body) > 0; page || resp.StatusCode >= 400 && !isObject(body) {
		return nil, &oddAnswer{resp.StatusCode, "something else than ACME"}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// isObject says whether body may be a problem document. lego falls over one that is null.
func isObject(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) }

func (w *wire) note(retryAfter time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retryAfter = retryAfter
}

func (w *wire) latestRetryAfter() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.retryAfter
}

// longestRetryAfter bounds what an authority can make us wait; the longest limit of Let's Encrypt is counted over a week.
const longestRetryAfter = 7 * 24 * time.Hour

// parseRetryAfter reads seconds or a date (RFC 9110 section 10.2.3); what is neither is zero.
func parseRetryAfter(value string, now time.Time) time.Time {
	if value == "" {
		return time.Time{}
	}
	at, err := http.ParseTime(value)
	if seconds, bad := strconv.ParseUint(value, 10, 31); bad == nil {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if latest := now.Add(longestRetryAfter); at.After(latest) {
		return latest
	}
	return at
}

// ask runs one exchange of lego's, which knows no context, and answers at once when ctx ends. The exchange itself ends with the
// requests that it waits for; the one thing that may outlast ctx is a pause after a refused nonce, of 5 s at most.
func ask[T any](ctx context.Context, w *wire, exchange func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := exchange()
		done <- result{value, err}
	}()
	var zero T
	select {
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			return zero, context.Cause(ctx)
		}
		if r.err != nil {
			return zero, w.failure(r.err)
		}
		return r.value, nil
	}
}
