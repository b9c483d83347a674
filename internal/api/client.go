package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"io/fs"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// ErrNoSupervisor says that nobody listens on the socket, or not any more.
var ErrNoSupervisor = errors.New("no supervisor is running")

// Client talks to a supervisor.
type Client struct{ http *http.Client }

// NewClient returns a client for the supervisor of sys.
func NewClient(sys *system.System) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sys.Path(SocketPath))
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status asks how the appliance is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Plan asks what a start now would change.
func (c *Client) Plan(ctx context.Context) (Plan, error) {
	return call[Plan](ctx, c, http.MethodGet, "/v1/plan", nil)
}

// Post asks for an action: "clear", "reload", "reexec" or "stop".
func (c *Client) Post(ctx context.Context, action string) (Status, error) {
	return call[Status](ctx, c, http.MethodPost, "/v1/"+action, nil)
}

// Try asks for an environment to be put in force for a time.
func (c *Client) Try(ctx context.Context, document []byte, during time.Duration) (Trial, error) {
	body, err := json.Marshal(TryRequest{Document: string(document), For: during})
	if err != nil {
		return Trial{}, err
	}
	return call[Trial](ctx, c, http.MethodPost, "/v1/try", bytes.NewReader(body))
}

// Certificate asks what the site shows.
func (c *Client) Certificate(ctx context.Context) (Certificate, error) {
	return call[Certificate](ctx, c, http.MethodGet, "/v1/certificate", nil)
}

// RenewCertificate asks for a new certificate now, and waits for the outcome.
func (c *Client) RenewCertificate(ctx context.Context) (Certificate, error) {
	return call[Certificate](ctx, c, http.MethodPost, "/v1/certificate/renew", nil)
}

// ImportCertificate puts a key and its chain, both as PEM, into place.
func (c *Client) ImportCertificate(ctx context.Context, key, chain []byte) (Certificate, error) {
	body, err := json.Marshal(ImportRequest{Key: string(key), Chain: string(chain)})
	if err != nil {
		return Certificate{}, err
	}
	return call[Certificate](ctx, c, http.MethodPost, "/v1/certificate/import", bytes.NewReader(body))
}

// Storage asks for the file systems that the appliance's data lies on.
func (c *Client) Storage(ctx context.Context) (Storage, error) {
	return call[Storage](ctx, c, http.MethodGet, "/v1/storage", nil)
}

// Events hands each event behind the one with ID last to seen, until ctx or the supervisor ends, or seen answers false.
func (c *Client) Events(ctx context.Context, last uint64, seen func(Event) bool) error {
	return follow(ctx, c, "/v1/events", last, seen)
}

// PastEvents returns the events that the supervisor remembers, oldest first.
func (c *Client) PastEvents(ctx context.Context) ([]Event, error) {
	return past[Event](ctx, c, "/v1/events")
}

// Log hands each line of the supervisor's own log behind the one with ID last to seen, as Events does.
func (c *Client) Log(ctx context.Context, last uint64, seen func(LogLine) bool) error {
	return follow(ctx, c, "/v1/log", last, seen)
}

// PastLog returns the lines of its own log that the supervisor has kept, oldest first.
func (c *Client) PastLog(ctx context.Context) ([]LogLine, error) {
	return past[LogLine](ctx, c, "/v1/log")
}

func past[T any](ctx context.Context, c *Client, path string) (items []T, err error) {
	err = follow(ctx, c, path+"?follow=0", 0, func(item T) bool {
		items = append(items, item)
		return true
	})
	return items, err
}

func follow[T any](ctx context.Context, c *Client, path string, last uint64, seen func(T) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://appliance"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", strconv.FormatUint(last, 10))
	res, err := c.do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var item T
		if err := json.Unmarshal([]byte(data), &item); err != nil {
			return fmt.Errorf("cannot read what %s streams: %w", path, err)
		}
		if !seen(item) {
			return nil
		}
	}
	return lines.Err()
}

func call[T any](ctx context.Context, c *Client, method, path string, body io.Reader) (T, error) {
	var answer T
	req, err := http.NewRequestWithContext(ctx, method, "http://appliance"+path, body)
	if err != nil {
		return answer, err
	}
	res, err := c.do(req)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("cannot read the supervisor's answer: %w", err)
	}
	return answer, nil
}

func (c *Client) do(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE): // it went away meanwhile
		return nil, remedy.With(ErrNoSupervisor, "start it with `systemctl start appliance`")
	case errors.Is(err, fs.ErrPermission):
		return nil, remedy.With(fmt.Errorf("cannot ask the supervisor: %w", fs.ErrPermission), "ask as root, or to read: as a member of group "+Group)
	case err != nil:
		return nil, fmt.Errorf("cannot ask the supervisor: %w", err)
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // whatever there is serves as the message
	var problem Error
	if json.Unmarshal(data, &problem) != nil || problem.Message == "" {
		problem.Message = fmt.Sprintf("cannot ask the supervisor: it answered %s", res.Status)
	}
	err = errors.New(problem.Message)
	if problem.Remedy != "" {
		err = remedy.With(err, problem.Remedy)
	}
	return nil, err
}
