package front

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// recorder is an application that keeps exactly what arrives. It answers each request it can make out.
type recorder struct {
	net.Listener
	mu  sync.Mutex
	saw bytes.Buffer
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{Listener: listen(t)}
	t.Cleanup(func() { _ = r.Close() })
	go func() {
		for {
			c, err := r.Accept()
			if err != nil {
				return
			}
			go r.answer(c)
		}
	}()
	return r
}

func (r *recorder) answer(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(io.TeeReader(c, r))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saw.Write(p)
}

// take answers what has arrived since the last time.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.saw.Reset()
	return r.saw.String()
}

func TestRequestsCannotBeSmuggled(t *testing.T) {
	s := start(t, Limits{HeaderTime: time.Second, Stall: time.Second, Park: 50 * time.Millisecond, Idle: 100 * time.Millisecond}, nil)
	const host = "Host: example.test\r\n"
	long := strings.Repeat("a", 40_000)
	for _, c := range []struct {
		name, send string
		status     int    // of the first answer; 0: the connection ends without one
		requests   int    // that the application may see
		body       string // of the first of them
	}{
		{"length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nX: ", 200, 1, ""},
		{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400, 0, ""},
		{"two lengths in one", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 6\r\n\r\nabcdef", 400, 0, ""},
		{"the same length twice", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200, 1, "abc"},
		{"signed length", "POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", 400, 0, ""},
		{"hexadecimal length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x3\r\n\r\nabc", 400, 0, ""},
		{"odd coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, 0, ""},
		{"two codings", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501, 0, ""},
		{"two fields of coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501, 0, ""},
		{"tab before the coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400, 0, ""},
		{"space before the colon", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, 0, ""},
		{"folded line", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", 200, 1, ""},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 1, "0\r\n"},
		{"size of a chunk overflows", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 400, 1, ""},
		{"bare line feed after a chunk", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\nGET /smuggled HTTP/1.1\r\n\r\n", 400, 1, ""},
		{"carriage return within a field", "GET / HTTP/1.1\r\n" + host + "X: a\rX-Ssl-Client-Verify: SUCCESS\r\n\r\n", 400, 0, ""},
		{"null byte", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", 400, 0, ""},
		{"null byte in the name", "GET / HTTP/1.1\r\n" + host + "X\x00: a\r\n\r\n", 400, 0, ""},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + "Host: other.test\r\n\r\n", 400, 0, ""},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, 0, ""},
		{"a space in the path", "GET /a b HTTP/1.1\r\n" + host + "\r\n", 400, 0, ""},
		{"long field", "GET / HTTP/1.1\r\n" + host + "X: " + long + "\r\n\r\n", 431, 0, ""},
		{"long line", "GET /" + long + " HTTP/1.1\r\n" + host + "\r\n", 431, 0, ""},
		{"unknown version", "GET / HTTP/3.7\r\n" + host + "\r\n", 505, 0, ""},
		{"a length that lies is cut off", "POST / HTTP/1.1\r\n" + host + "Content-Length: 10\r\n\r\nabc", 408, 1, "abc"},
		{"a target without a path", "GET x:secret HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 400, 0, ""},
		{"tunnel", "CONNECT example.test:443 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 405, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := record(t) // a request that was refused half-way may still arrive at the one before
			s.state.Routes = []Route{{Path: "/", Service: "web", Backends: []string{app.Addr().String()}}}
			s.apply(t)
			answer := s.raw(t, c.send)
			status := 0
			if strings.HasPrefix(answer, "HTTP/1.") {
				status, _ = strconv.Atoi(strings.Fields(answer)[1])
			}
			if status != c.status {
				t.Errorf("answered %q, want %d", firstLine(answer), c.status)
			}
			saw := app.take()
			if n := strings.Count(saw, " HTTP/1.1\r\n"); n > c.requests || strings.Contains(saw, "smuggled") || strings.Contains(saw, "SUCCESS") {
				t.Errorf("the application saw %q", saw)
			}
			if r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(saw))); c.requests > 0 && c.status == 200 {
				if err != nil {
					t.Fatal(err)
				}
				if body, _ := io.ReadAll(r.Body); string(body) != c.body {
					t.Errorf("the application saw the body %q", body)
				}
				if len(r.TransferEncoding) > 0 && r.Header.Get("Content-Length") != "" {
					t.Error("the application was told two lengths")
				}
			}
		})
	}
}

func TestAnAbsoluteTargetNamesTheHost(t *testing.T) {
	app := record(t)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = []Route{{Path: "/", Service: "web", Backends: []string{app.Addr().String()}}}
	})
	s.raw(t, "GET http://example.test/x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
	if saw := app.take(); !strings.HasPrefix(saw, "GET /x HTTP/1.1\r\nHost: example.test\r\n") || strings.Contains(saw, "other.test") {
		t.Errorf("the application saw %q", saw)
	}
}

// An absolute target is where net/http lets hosts through that are none. They would be told to the application in our fields.
func TestAHostThatIsNoneDoesNotComeThrough(t *testing.T) {
	app := record(t)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = []Route{{Path: "/", Service: "web", Backends: []string{app.Addr().String()}}}
	})
	for _, target := range []string{`http://a"<b>,evil.test/x`, "http://[::1%25a%20b]/", "http://ex\x80ample.test/", "*"} {
		answer := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n")
		if saw := app.take(); !strings.HasPrefix(answer, "HTTP/1.1 400 ") || saw != "" {
			t.Errorf("%q: answered %q, the application saw %q", target, firstLine(answer), saw)
		}
	}
	for _, c := range []struct{ authority, path string }{{`a"<b>,evil.test`, "/"}, {"example.test", "*"}} {
		status := s.rawHTTP2(t, fieldsOf(c.authority, c.path))
		if saw := app.take(); status != "400" && status != "reset" || saw != "" {
			t.Errorf("%q %q: answered %s, the application saw %q", c.authority, c.path, status, saw)
		}
	}
}

func TestAClientCannotHaveOurFieldsDropped(t *testing.T) {
	app := record(t)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = []Route{{Path: "/", Service: "web", Backends: []string{app.Addr().String()}}}
	})
	s.raw(t, "GET / HTTP/1.1\r\nHost: example.test\r\nConnection: close, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	saw := app.take()
	for _, field := range []string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Real-Ip: 127.0.0.1\r\n", "X-Forwarded-Proto: https\r\n"} {
		if !strings.Contains(saw, field) {
			t.Errorf("%q is missing in %q", field, saw)
		}
	}
}

// What HTTP/2 can carry and HTTP/1.1 cannot must not reach the application as something else.
func TestHTTP2IsNotTakenApart(t *testing.T) {
	app := record(t)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = []Route{{Path: "/", Service: "web", Backends: []string{app.Addr().String()}}}
	})
	basic := fieldsOf("example.test", "/")
	for _, c := range []struct {
		name  string
		field hpack.HeaderField
	}{
		{"line break in a value", hpack.HeaderField{Name: "x-a", Value: "b\r\nX-Ssl-Client-Verify: SUCCESS"}},
		{"line break in a name", hpack.HeaderField{Name: "x-a: b\r\nx-ssl-client-verify", Value: "SUCCESS"}},
		{"colon in a name", hpack.HeaderField{Name: "x-ssl-client-verify: SUCCESS", Value: "x"}},
		{"capital letters", hpack.HeaderField{Name: "X-Ssl-Client-Verify", Value: "SUCCESS"}},
		{"coding", hpack.HeaderField{Name: "transfer-encoding", Value: "chunked"}},
		{"connection", hpack.HeaderField{Name: "connection", Value: "SUCCESS"}},
		{"extended CONNECT", hpack.HeaderField{Name: ":protocol", Value: "SUCCESS"}},
		{"null byte", hpack.HeaderField{Name: "x-a", Value: "a\x00SUCCESS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			app.take()
			fields := basic
			if strings.HasPrefix(c.field.Name, ":") {
				fields = append([]hpack.HeaderField{c.field}, basic...)
			} else {
				fields = append(fields[:len(fields):len(fields)], c.field)
			}
			if status := s.rawHTTP2(t, fields); status != "reset" && status != "400" {
				t.Errorf("answered %s", status)
			}
			if saw := app.take(); strings.Contains(saw, "SUCCESS") || strings.Contains(saw, "chunked") {
				t.Errorf("the application saw %q", saw)
			}
		})
	}
	if status := s.rawHTTP2(t, basic); status != "200" {
		t.Errorf("a proper request is answered %s", status)
	}
}

// fieldsOf are those of a request by HTTP/2.
func fieldsOf(authority, path string) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: authority}, {Name: ":path", Value: path},
	}
}

func encoded(fields []hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = encoder.WriteField(f)
	}
	return block.Bytes()
}

// rawHTTP2 sends fields as they are, and answers the status, or "reset".
func (s *site) rawHTTP2(t *testing.T, fields []hpack.HeaderField) string {
	t.Helper()
	c := s.dialFor(t, "h2")
	_, _ = io.WriteString(c, http2.ClientPreface)
	framer := http2.NewFramer(c, c)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded(fields), EndHeaders: true, EndStream: true})
	for range 20 {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "reset"
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset"
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		}
	}
	return "nothing"
}
