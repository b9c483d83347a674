package steady

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"

	"golang.org/x/net/http2"
)

// first is a connection of HTTP/1.1.
type first struct {
	net.Conn
	answers *bufio.Reader
	closing bool // the server has said so
}

func newFirst(conn net.Conn) *first { return &first{Conn: conn, answers: bufio.NewReader(conn)} }

func (f *first) roundTrip(request *http.Request) (*http.Response, error) {
	if deadline, ok := request.Context().Deadline(); ok {
		if err := f.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if err := request.Write(f); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(f.answers, request)
	if err != nil {
		return nil, err
	}
	f.closing = response.Close
	return response, nil
}

func (f *first) usable() bool { return !f.closing }

// second is one connection of HTTP/2 after the other. The transport repeats a request only when the server has said that it
// has not taken it (RFC 9113 section 8.7), as every client does when it is told to go away.
type second struct {
	transport *http2.Transport
	again     func()
}

func newSecond(dial func(context.Context) (net.Conn, error), again func()) *second {
	return &second{again: again, transport: &http2.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) { return dial(ctx) },
	}}
}

func (s *second) roundTrip(request *http.Request) (*http.Response, error) {
	tries := 0
	trace := &httptrace.ClientTrace{GetConn: func(string) {
		if tries++; tries > 1 {
			s.again()
		}
	}}
	return s.transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
}

func (s *second) usable() bool { return true }

func (s *second) Close() error { s.transport.CloseIdleConnections(); return nil }
