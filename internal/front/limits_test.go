package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestSlowClientsHarmNobodyAndAreCutOff(t *testing.T) {
	s := start(t, Limits{HeaderTime: 2 * time.Second}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	var slow []net.Conn
	began := time.Now()
	for i := range 1000 {
		c, err := net.Dial("tcp", []string{s.tls, s.plain}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 1 || i%4 == 0 {
			_, _ = io.WriteString(c, []string{"\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\nHost: exam"}[i%2])
		}
		slow = append(slow, c)
	}
	c := s.client(t, nil)
	var took []time.Duration
	for range 200 {
		at := time.Now()
		if err := request(c); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("median %v, p99 %v beside %d slow clients", took[len(took)/2], p99, len(slow))
	if p99 > 100*time.Millisecond && !raceDetector {
		t.Errorf("p99 is %v", p99)
	}
	for i, c := range slow {
		if i%2 == 0 {
			continue // that the handshake ends is a matter of its own limit
		}
		_ = c.SetReadDeadline(began.Add(15 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d is still open after %v", i, time.Since(began))
		}
	}
}

func TestAHandshakeMustEnd(t *testing.T) {
	s := start(t, Limits{Handshake: 50 * time.Millisecond}, nil)
	c, err := net.Dial("tcp", s.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("still open")
	}
}

func TestAnUploadThatStandsStillIsEnded(t *testing.T) {
	s := start(t, Limits{Stall: 200 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			in, out := io.Pipe()
			defer out.Close()
			go func() {
				for range 20 { // longer than the limit altogether
					_, _ = io.WriteString(out, "some")
					time.Sleep(20 * time.Millisecond)
				}
			}()
			began := time.Now()
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/", in)
			res, err := s.client(t, p.change).Do(r)
			if err == nil {
				defer res.Body.Close()
				if res.StatusCode != http.StatusRequestTimeout {
					t.Errorf("got %d", res.StatusCode)
				}
			}
			if took := time.Since(began); took < 550*time.Millisecond || took > 5*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

func TestASilentApplicationIsNotTheClientsFault(t *testing.T) {
	s := start(t, Limits{Stall: 80 * time.Millisecond, Park: 20 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			for range 2 {
				fmt.Fprint(w, "data ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(400 * time.Millisecond) // the silence is what is tested
			}
		}))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			if _, text := do(t, s.client(t, p.change), http.MethodPost, "/", nil, strings.NewReader("x")); text != "data data " {
				t.Errorf("got %q", text)
			}
		})
	}
}

// A header that comes a byte at a time is never still, and yet it has to end.
func TestAHeaderThatTricklesIsCutOff(t *testing.T) {
	s := start(t, Limits{HeaderTime: 300 * time.Millisecond, Handshake: 300 * time.Millisecond, Idle: 300 * time.Millisecond}, nil)
	bare := func(t *testing.T, address string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	const head = "GET / HTTP/1.1\r\nHost: example.test\r\nX: "
	for _, c := range []struct {
		name, first string
		dial        func(*testing.T) net.Conn
		more        func(net.Conn) error
	}{
		{"without TLS", head, func(t *testing.T) net.Conn { return bare(t, s.plain) }, trickle},
		{"HTTP/1.1", head, func(t *testing.T) net.Conn { return s.dial(t) }, trickle},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", func(t *testing.T) net.Conn { return bare(t, s.tls) }, trickle},
		{"HTTP/2.0", http2.ClientPreface, func(t *testing.T) net.Conn { return s.dialFor(t, "h2") }, trickleHTTP2()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			conn := c.dial(t)
			ended := make(chan bool)
			go func() { _, _ = io.Copy(io.Discard, conn); close(ended) }()
			for _, err := io.WriteString(conn, c.first); err == nil && time.Since(began) < 10*time.Second; err = c.more(conn) {
				select {
				case <-ended:
				case <-time.After(10 * time.Millisecond):
				}
			}
			if took := time.Since(began); took < 250*time.Millisecond || took >= 10*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

func trickle(c net.Conn) error {
	_, err := io.WriteString(c, "x")
	return err
}

// trickleHTTP2 begins a field of a request that has all others, and goes on with it in a frame for each byte.
func trickleHTTP2() func(net.Conn) error {
	begun := false
	return func(c net.Conn) error {
		framer := http2.NewFramer(c, nil)
		if begun {
			return framer.WriteContinuation(1, false, []byte("x"))
		}
		begun = true
		block := append(encoded(fieldsOf("example.test", "/")), "\x00\x01x\x7f\xe8\x07"...) // a field "x" with 1127 bytes
		return errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true}))
	}
}

// Whoever answers, us or net/http, does not wait without an end for a body that it has no use for.
func TestABodyThatNobodyWantsMustComeToo(t *testing.T) {
	s := start(t, Limits{Stall: 200 * time.Millisecond}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	for head, status := range map[string]string{
		"POST / HTTP/1.1\r\n":                      "408", // the application waits for it as well
		"POST / HTTP/1.1\r\nExpect: something\r\n": "417",
		"POST / HTTP/3.0\r\n":                      "505",
		"OPTIONS * HTTP/1.1\r\n":                   "400",
		"GET * HTTP/1.1\r\n":                       "400",
		"PRI * HTTP/2.0\r\n":                       "400",
	} {
		t.Run(strings.TrimSpace(strings.ReplaceAll(head, "\r\n", " ")), func(t *testing.T) {
			t.Parallel()
			c := s.dial(t)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(c, head+"Host: example.test\r\nContent-Length: 1000\r\n\r\n")
			answer, err := io.ReadAll(c)
			if words := strings.Fields(firstLine(string(answer))); len(words) < 2 || words[1] != status {
				t.Errorf("answered %q, want %s", firstLine(string(answer)), status)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("still open")
			}
		})
	}
}

func TestWhoTakesNothingIsCutOff(t *testing.T) {
	gone := make(chan bool, 2)
	s := start(t, Limits{Stall: 500 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, &zeros{1 << 40})
			gone <- true
		}))
	})
	ended := func(t *testing.T) {
		t.Helper()
		select {
		case <-gone:
		case <-time.After(15 * time.Second):
			t.Error("still served")
		}
	}
	t.Run("connection", func(t *testing.T) {
		c := s.dial(t)
		_ = c.NetConn().(*net.TCPConn).SetReadBuffer(4096)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
		ended(t)
	})
	t.Run("stream", func(t *testing.T) { // the connection is well, only the stream gets no window
		c := s.dialFor(t, "h2")
		_, _ = io.WriteString(c, http2.ClientPreface)
		framer := http2.NewFramer(c, c)
		_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		block := encoded(fieldsOf("example.test", "/"))
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		go func() { _, _ = io.Copy(io.Discard, c) }()
		ended(t)
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, Limits{Connections: 20, PerAddress: 8}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	from := func(address byte) (*tls.Conn, error) {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, address)}, Timeout: 5 * time.Second}
		return tls.DialWithDialer(dialer, "tcp", s.tls, &tls.Config{RootCAs: s.ca.pool(), ServerName: "example.test"})
	}
	open := func(address byte) int {
		n := 0
		for range 10 {
			if c, err := from(address); err == nil {
				t.Cleanup(func() { _ = c.Close() })
				n++
			}
		}
		return n
	}
	if got := []int{open(11), open(12), open(13)}; !slices.Equal(got, []int{8, 8, 4}) {
		t.Errorf("connections by address: %v", got)
	}
	s.conns.mu.Lock()
	s.conns.swept, s.conns.reserve = time.Time{}, 0
	s.conns.mu.Unlock()
	if c, err := from(14); err != nil {
		t.Errorf("idle connections did not make room: %v", err)
	} else {
		_ = c.Close()
	}
}

func TestOneVisitorCannotTakeAllRequests(t *testing.T) {
	release := make(chan bool)
	s := start(t, Limits{Requests: 40}, func(state *State) {
		state.Routes = to(upstream(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				<-release
			}
		}))
	})
	c := s.client(t, byHTTP2)
	var waiting sync.WaitGroup
	var refused atomic.Int64
	for range 40 {
		waiting.Go(func() {
			if res, _ := get(t, c, "/wait"); res.StatusCode == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	wait(t, "30 of 40 are refused", func() bool { return refused.Load() == 30 })
	other := s.client(t, func(transport *http.Transport) {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 21)}}).DialContext(ctx, network, s.tls)
		}
	})
	if res, _ := get(t, other, "/"); res.StatusCode != http.StatusOK {
		t.Errorf("another visitor is answered %d", res.StatusCode)
	}
	close(release)
	waiting.Wait()
	wait(t, "there is room again", func() bool { return s.requests.Load() == 0 })
	if res, _ := get(t, c, "/"); res.StatusCode != http.StatusOK {
		t.Errorf("after that it is answered %d", res.StatusCode)
	}
}

func TestIPv6CountsByNetwork(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::"} {
		if got := placeOf(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s counts for %s", text, got)
		}
	}
}

func TestParkedConnectionsServeOn(t *testing.T) {
	s := start(t, Limits{Park: 10 * time.Millisecond, Idle: 300 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}))
	})
	c := s.dial(t)
	in := bufio.NewReader(c)
	for i := range 5 {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: %d\r\n\r\n%s", i*1000, strings.Repeat("x", i*1000))
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(res.Body); string(text) != fmt.Sprint(i*1000) {
			t.Errorf("%q", text)
		}
		time.Sleep(60 * time.Millisecond) // it is parked by now; that it is cannot be seen from outside
	}
	began := time.Now()
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("it ends by %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("idle for %v", took)
	}
}
