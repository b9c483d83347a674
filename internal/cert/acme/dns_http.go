package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"appliance/internal/remedy"
)

// dnsByHTTP has a service write the record, by what lego calls httpreq: POST of {"fqdn", "value"} to present and cleanup.
type dnsByHTTP struct {
	endpoint       *url.URL
	user, password string
}

const serviceWithin = 30 * time.Second

func newDNSByHTTP(d DNS) (dnsWriter, error) {
	endpoint, err := url.Parse(d.Endpoint)
	if err != nil || endpoint.Host == "" { // its text is left out: the address may hold a password
		return nil, remedy.With(errors.New("the address of the DNS service is none"), "set appliance.ssl.acme.dns.httpreq.endpoint to an address such as https://dns.example.org/")
	}
	return dnsByHTTP{endpoint, d.User, d.Password}, nil
}

func (d dnsByHTTP) write(ctx context.Context, r record) error  { return d.post(ctx, "present", r) }
func (d dnsByHTTP) remove(ctx context.Context, r record) error { return d.post(ctx, "cleanup", r) }

func (d dnsByHTTP) post(ctx context.Context, action string, r record) error {
	ctx, cancel := context.WithTimeout(ctx, serviceWithin)
	defer cancel()
	body, err := json.Marshal(map[string]string{"fqdn": r.fqdn, "value": r.value})
	if err != nil {
		return fmt.Errorf("cannot ask the DNS service: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoint.JoinPath(action).String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("cannot ask the DNS service: its address is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if d.user != "" || d.password != "" {
		req.SetBasicAuth(d.user, d.password)
	}
	transport := newTransport()
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the address
		}
		return remedy.Passing(fmt.Errorf("cannot ask the DNS service at %s: %w", d.endpoint.Host, err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection ends in order
	if resp.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("cannot have the DNS service at %s do %s: it answered %d %s", d.endpoint.Host, action, resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode >= 500 {
		return remedy.Passing(err)
	}
	return remedy.With(err, "check appliance.ssl.acme.dns.httpreq")
}
