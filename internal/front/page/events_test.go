package page

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// event is one server-sent event.
type event struct {
	Name, Retry string
	View        view
}

// watch is a stream that is read.
type watch struct {
	t    *testing.T
	body io.Closer
	*bufio.Scanner
}

func watchStream(t *testing.T, client *http.Client, address string) *watch {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+WellKnownPath+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the stream is %q", got)
	}
	return &watch{t, answer.Body, bufio.NewScanner(answer.Body)}
}

// next answers the next event; false is the end of the stream.
func (w *watch) next() (e event, ok bool) {
	w.t.Helper()
	for w.Scan() {
		field, value, _ := strings.Cut(w.Text(), ": ")
		switch field {
		case "event":
			e.Name = value
		case "retry":
			e.Retry = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.View); err != nil {
				w.t.Errorf("%q: %v", value, err)
			}
		case "":
			if e.Name != "" {
				return e, true
			}
		default:
			w.t.Errorf("the stream has a line %q", w.Text())
		}
	}
	return e, false
}

func TestEvents(t *testing.T) {
	b := boardWith(hostileNotice(time.Now()))
	s := httptest.NewServer(b.WellKnown())
	defer s.Close()
	w := watchStream(t, s.Client(), s.URL)
	first, _ := w.next()
	if diff := cmp.Diff(b.look().Notice, first.View.Notice); first.Name != "notice" || diff != "" {
		t.Errorf("%s (-board +stream)\n%s", first.Name, diff)
	}
	b.Set(hostileNotice(first.View.Since)) // nothing is different
	b.Set(Notice{Situation: Updating, Vendor: "V"})
	if e, _ := w.next(); e.View.Situation != Updating || e.View.Vendor != "V" || e.View.Ready {
		t.Errorf("got %+v", e)
	}
	b.Ready(true)
	if e, _ := w.next(); e.Name != "ready" || !e.View.Ready {
		t.Errorf("got %+v", e)
	}
	b.Close()
	if e, ok := w.next(); !ok || e.Retry != "1000" {
		t.Errorf("got %+v", e)
	}
	if e, ok := w.next(); ok {
		t.Errorf("after the end there is %+v", e)
	}
	late := watchStream(t, s.Client(), s.URL)
	if e, ok := late.next(); !ok || e.Retry != "1000" {
		t.Errorf("who is late gets %+v", e)
	}
	if _, ok := late.next(); ok {
		t.Error("who is late is kept waiting")
	}
	waitFor(t, "all streams to end", func() bool { return open(b) == 0 })
}

func TestSeveralChangesAreOne(t *testing.T) {
	b := NewBoard()
	s := httptest.NewServer(b.WellKnown())
	defer s.Close()
	defer b.Close()
	w := watchStream(t, s.Client(), s.URL)
	w.next()
	const changes = 200
	for i := range changes {
		b.Set(Notice{Situation: Starting, Total: i + 1})
	}
	events := 0
	for last := 0; last != changes; events++ {
		e, ok := w.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		last = e.View.Total
	}
	if events > 3 {
		t.Errorf("%d changes were told as %d events", changes, events)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	b := NewBoard()
	s := httptest.NewServer(b.WellKnown())
	defer s.Close()
	defer b.Close()
	var all []*watch
	full := func(client *http.Client, room int) {
		for range room {
			w := watchStream(t, client, s.URL)
			if e, ok := w.next(); !ok || e.Retry != "1000" {
				t.Fatalf("stream %d: %+v", len(all), e)
			}
			all = append(all, w)
		}
		tooMany := watchStream(t, client, s.URL)
		if e, ok := tooMany.next(); !ok || e.Retry != "10000" {
			t.Fatalf("one too many gets %+v", e)
		}
		if _, ok := tooMany.next(); ok {
			t.Error("one too many is kept")
		}
	}
	visitors := 0
	for ; len(all) < maxStreams; visitors++ {
		full(from(t, visitors+1), maxOwn)
	}
	full(from(t, visitors+1), 0)
	for _, w := range all {
		w.body.Close()
	}
	waitFor(t, "streams to end with their readers", func() bool { return open(b) == 0 })
}

// from is a client with an address of its own.
func from(t *testing.T, n int) *http.Client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(n))}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestWhomAStreamCountsFor(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[2001:db8::1]:1", "[2001:db8::2:3:4:5]:2", true},
		{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
	} {
		if got := placeOf(test.a) == placeOf(test.b); got != test.same {
			t.Errorf("%s and %s count for the same: %t", test.a, test.b, got)
		}
	}
}

// A deadline for writing ends a stream of HTTP/2 although nothing waits to be written.
func TestASilentStreamOfHTTP2OutlivesTheTimeThatAWriteMayTake(t *testing.T) {
	b := NewBoard()
	b.patience, b.heartbeat = time.Second, 1500*time.Millisecond
	s := httptest.NewUnstartedServer(b.WellKnown())
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	defer b.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+WellKnownPath+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		t.Fatalf("it came by %s", answer.Proto)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ":") { // it has been silent for longer than a write may take
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}

func open(b *Board) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// pipes is a listener whose connections have no buffer: who does not read stops the writer at once.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dialStream asks for events over a pipe, in a bubble whose clock the test has.
func dialStream(t *testing.T, b *Board) net.Conn {
	t.Helper()
	listener := make(pipes, 1)
	server := &http.Server{Handler: b.WellKnown(), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client, there := net.Pipe()
	listener <- there
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-served
	})
	if _, err := io.WriteString(client, "GET "+WellKnownPath+"events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestSilentStreamsStayAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		began := time.Now()
		lines := bufio.NewScanner(dialStream(t, b))
		beats := 0
		for beats < 8 && lines.Scan() {
			if strings.HasPrefix(lines.Text(), ":") {
				beats++
			}
		}
		if took := time.Since(began); beats != 8 || took != 8*heartbeat {
			t.Errorf("%d beats in %s", beats, took)
		}
	})
}

func TestAReaderThatDoesNotReadIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		dialStream(t, b)
		synctest.Wait()
		if got := open(b); got != 1 {
			t.Fatalf("%d streams are open", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience+time.Second)
		defer cancel()
		<-ctx.Done()
		synctest.Wait()
		if got := open(b); got != 0 {
			t.Errorf("%d streams are open", got)
		}
	})
}
