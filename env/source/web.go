package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"appliance/internal/remedy"
)

// dialPatience leaves time for a second SYN (the first is repeated after 1 s), and for an answer within patience.
const dialPatience = 2 * time.Second

// web asks servers that belong to this machine: never through a proxy, and never sent on to another host.
type web struct {
	client *http.Client
	limit  int64 // of a body, in bytes
}

func newWeb(limit int64) *web {
	return &web{limit: limit, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would ask the metadata service of its own machine
			DialContext:            (&net.Dialer{Timeout: dialPatience}).DialContext,
			DisableCompression:     true, // packed user-data comes as it is stored
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: followOnce,
	}}
}

// followOnce lets a server send us to another of its own addresses. Otherwise the redirect itself is the answer.
func followOnce(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	if len(via) > 1 || to.URL.Host != from.Host || to.URL.Scheme != from.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// answer is what a server said. The address has neither password nor query: it is shown to people.
type answer struct {
	address string
	status  int
	header  http.Header
	body    []byte
}

func (w *web) get(ctx context.Context, address string, header http.Header) (*answer, error) {
	return w.ask(ctx, http.MethodGet, address, header)
}

// ask returns the server's answer whatever its status. The error is absent where no connection came about.
func (w *web) ask(ctx context.Context, method, address string, header http.Header) (*answer, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				connected.Store(true)
			}
		},
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }, // one that is used again
	})
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, remedy.With(errors.New("the address is none of a web server"), "correct the address")
	}
	a := &answer{address: shown(req.URL)}
	if header != nil {
		req.Header = header
	}
	resp, err := w.client.Do(req)
	if err != nil && !connected.Load() {
		return nil, absent{why: fmt.Sprintf("nobody answers at %s: %v", a.address, withoutURL(err)), silent: true}
	}
	if err != nil {
		return nil, interrupted(a.address, withoutURL(err))
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, err = readLimited(resp.Body, w.limit); err != nil {
		return nil, interrupted(a.address, err)
	}
	return a, nil
}

// shown is an address without what it may hold of secrets.
func shown(u *url.URL) string {
	plain := *u
	plain.User, plain.RawQuery, plain.Fragment = nil, "", ""
	return plain.String()
}

// withoutURL leaves out the address that the client puts into its errors, secrets and all.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// interrupted tells what went wrong after the connection stood. Most of that may pass by itself.
func interrupted(address string, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("there is a server, but no whole answer within %v", patience)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the answer was cut off")
	case errors.Is(err, io.EOF):
		err = errors.New("the server hung up without an answer")
	case remedy.Of(err) != "": // too large: that stays
		return fmt.Errorf("%s: %w", address, err)
	}
	return remedy.Passing(fmt.Errorf("%s: %w", address, err))
}

// document is the body of an answer to the source of that name. 404 says that there is none, and so does whatever the
// service of another cloud says: five of them share one address.
func (a *answer) document(name string) ([]byte, error) {
	if speaker := a.speaker(); speaker != "" && speaker != name {
		return nil, absent{why: a.address + " is served by " + speaker}
	}
	said := fmt.Errorf("%s: the answer is %d %s", a.address, a.status, http.StatusText(a.status))
	switch {
	case a.status == http.StatusOK:
		return a.body, nil
	case a.status == http.StatusNoContent, a.status == http.StatusNotFound:
		return nil, absent{why: said.Error()}
	case a.status >= 500, a.status == http.StatusTooManyRequests:
		return nil, remedy.Passing(said)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return nil, remedy.With(said, "allow this machine to read its user-data (the metadata service may be switched off or filtered)")
	case a.header.Get("Location") != "":
		return nil, fmt.Errorf("%w: a redirect to %s, which is not followed", said, redirectHost(a.header))
	}
	return nil, said
}

func redirectHost(header http.Header) string {
	if to, err := url.Parse(header.Get("Location")); err == nil && to.Host != "" {
		return to.Host
	}
	return "another place"
}

// speaker names the source whose metadata service has answered, as far as it says who it is: EC2, Google and Azure put
// it into a header. Older Azure hosts tell only by how they refuse whoever does not send Metadata: true.
//
// That is needed because they do not answer a foreign request with 404 alone: EC2 has 401 for everything where tokens are
// required, Google 403 for a request without its header and 405 for PUT, Azure 400.
func (a *answer) speaker() string {
	server := a.header.Get("Server")
	switch {
	case server == "EC2ws":
		return "ec2"
	case a.header.Get("Metadata-Flavor") == "Google", server == "Metadata Server for VM":
		return "gce"
	case strings.HasPrefix(server, "IMDS/"):
		return "azure"
	case a.status == http.StatusBadRequest && strings.Contains(string(a.body), "Required metadata header not specified"):
		return "azure"
	}
	return ""
}
