package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"appliance/internal/front/page"
)

// browser says what one says when a person opens a page.
var browser = http.Header{"Accept": {"text/html"}}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// answering is an application that answers every connection with these bytes, and hangs up.
func answering(t *testing.T, text string) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = io.WriteString(c, text)
			}()
		}
	}()
	return l.Addr().String()
}

// resetting is an application that reads the header of a request, answers with these bytes, and resets the connection as
// soon as it may.
func resetting(t *testing.T, text string, may <-chan bool) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, text)
				select {
				case <-may:
				case <-t.Context().Done():
				}
				_ = c.(*net.TCPConn).SetLinger(0)
			}()
		}
	}()
	return l.Addr().String()
}

func at(addresses ...string) []Route {
	return []Route{{Path: "/", Service: "web", Backends: addresses}}
}

func TestBackendsTakeTurns(t *testing.T) {
	var a, b atomic.Int64
	count := func(n *atomic.Int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			text, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s", text)
		}
	}
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, count(&a)), upstream(t, count(&b)))
		state.Routes[0].Backends = append(state.Routes[0].Backends, closedAddress(t))
	})
	c := s.client(t, nil)
	for i := range 40 {
		body := fmt.Sprint("body ", i)
		if res, text := do(t, c, http.MethodPost, "/", nil, strings.NewReader(body)); res.StatusCode != 200 || text != body {
			t.Fatalf("%d %q", res.StatusCode, text)
		}
	}
	if a.Load() < 10 || b.Load() < 10 {
		t.Errorf("%d and %d", a.Load(), b.Load())
	}
}

func TestNoBackendIsAskedTwice(t *testing.T) {
	r := &route{backends: []*backend{{address: "a"}, {address: "b"}}}
	asked := map[string]int{}
	r.all(func(b *backend) bool {
		asked[b.address]++
		b.avoid.Store(time.Now().Add(time.Hour).UnixNano())
		return false
	})
	if asked["a"] != 1 || asked["b"] != 1 {
		t.Errorf("%v", asked)
	}
}

func TestApplicationsThatDoNotAnswer(t *testing.T) {
	now := make(chan bool)
	close(now)
	hang := listen(t) // accepts in the kernel, and nothing more
	defer hang.Close()
	for _, c := range []struct {
		name, address string
		status        int
	}{
		{"refused", closedAddress(t), 503},
		{"hangs", hang.Addr().String(), 504},
		{"hangs up", answering(t, ""), 502},
		{"resets", resetting(t, "", now), 502},
		{"resets within its header", resetting(t, "HTTP/1.1 200 OK\r\nContent-Le", now), 502},
		{"garbage", answering(t, "SSH-2.0-OpenSSH_9.2\r\n"), 502},
		{"half a header", answering(t, "HTTP/1.1 200 OK\r\nContent-Le"), 502},
		{"huge header", answering(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 1<<20)+"\r\n\r\n"), 502},
		{"unasked upgrade", answering(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n"), 502},
		{"two lengths", answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502},
	} {
		for _, p := range protocols {
			t.Run(c.name+" by "+p.name, func(t *testing.T) {
				s := start(t, Limits{}, func(state *State) {
					if state.Routes = at(c.address); c.status == http.StatusGatewayTimeout {
						state.Routes[0].Timeout = 200 * time.Millisecond
					}
				})
				if res, _ := get(t, s.client(t, p.change), "/"); res.StatusCode != c.status {
					t.Errorf("got %d, want %d", res.StatusCode, c.status)
				}
			})
		}
	}
}

// Who waits for a container that was reached a moment ago is told so, and not that it has answered wrongly.
func TestWhoReachesNobodyGetsThePage(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Notice = page.Notice{Situation: page.Starting, Since: time.Now(), Vendor: "Example Ltd."}
		state.Routes = at(closedAddress(t))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			res, body := do(t, s.client(t, p.change), http.MethodGet, "/", browser, nil)
			if res.StatusCode != 503 || res.Header.Get("Retry-After") != "5" {
				t.Errorf("%s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
			}
			if !strings.Contains(body, "<h1>Starting up</h1>") || !strings.Contains(body, "Example Ltd.") {
				t.Errorf("the page is\n%s", body)
			}
		})
	}
}

// Which page there is when not everything of the application is there.
func TestAServiceThatIsDownIsNotTheWholeSite(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Notice = page.Notice{Situation: page.Unhealthy, Since: time.Now(), Vendor: "Example Ltd."}
		state.Routes = append(to(upstream(t, hello)), Route{Path: "/dead", Service: "dead"})
		state.Routes[0].Path = "/app"
	})
	c := s.client(t, nil)
	for _, test := range []struct {
		path, retry string
		status      int
		body        string
	}{
		{"/app", "", 200, "hello"},
		{"/dead", "30", 503, "<h1>Interrupted for the moment</h1>"},
		{"/dead/or/alive", "30", 503, "<h1>Interrupted for the moment</h1>"},
		{"/nowhere", "", 404, "<h1>Nothing here</h1>"},
		{"/", "", 404, "Example Ltd."},
		{knownPath + "health", "30", 503, `"ready":false`},
	} {
		res, body := do(t, c, http.MethodGet, test.path, browser, nil)
		if res.StatusCode != test.status || res.Header.Get("Retry-After") != test.retry || !strings.Contains(body, test.body) {
			t.Errorf("%s: %s, Retry-After %q\n%s", test.path, res.Status, res.Header.Get("Retry-After"), body)
		}
	}
	s.state.Routes[1].Backends = s.state.Routes[0].Backends
	s.apply(t)
	if res, body := do(t, c, http.MethodGet, knownPath+"health", browser, nil); res.StatusCode != 200 || res.Header.Get("Retry-After") != "" {
		t.Errorf("with all services there: %s %s", res.Status, body)
	}
	s.state.Routes = nil // of a project that routes nothing yet, no path is wrong
	s.apply(t)
	if res, _ := do(t, c, http.MethodGet, "/nowhere", browser, nil); res.StatusCode != 503 {
		t.Errorf("without routes: %s", res.Status)
	}
}

func TestAnAnswerThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	for name, text := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		for _, p := range protocols {
			t.Run(name+" by "+p.name, func(t *testing.T) {
				s := start(t, Limits{}, func(state *State) { state.Routes = at(answering(t, text)) })
				res, err := s.client(t, p.change).Get("https://example.test/")
				if err != nil {
					return // nor does it look like an answer
				}
				defer res.Body.Close()
				if got, err := io.ReadAll(res.Body); err == nil {
					t.Errorf("%q looks whole", got)
				}
			})
		}
	}
}

func TestAnAnswerThatIsResetIsSeenToBreakOff(t *testing.T) {
	for name, text := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"to end": "HTTP/1.1 200 OK\r\n\r\nabc",
	} {
		for _, p := range protocols {
			t.Run(name+" by "+p.name, func(t *testing.T) {
				may := make(chan bool)
				s := start(t, Limits{}, func(state *State) { state.Routes = at(resetting(t, text, may)) })
				res, err := s.client(t, p.change).Get("https://example.test/")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				begun := make([]byte, 3)
				if _, err := io.ReadFull(res.Body, begun); string(begun) != "abc" {
					t.Fatalf("%q, %v", begun, err)
				}
				close(may)
				if rest, err := io.ReadAll(res.Body); err == nil {
					t.Errorf("with %q it looks whole", rest)
				}
			})
		}
	}
}

func TestAnUploadThatIsResetHasFailed(t *testing.T) {
	now := make(chan bool)
	close(now)
	s := start(t, Limits{}, func(state *State) { state.Routes = at(resetting(t, "", now)) })
	for _, p := range protocols {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/", &zeros{64 << 20})
		res, err := s.client(t, p.change).Do(r)
		if err != nil {
			if strings.Contains(err.Error(), "Client.Timeout") {
				t.Errorf("%s: %v", p.name, err)
			}
			continue // the client saw the connection end first
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: answered %d", p.name, res.StatusCode)
		}
	}
}

// An application that hangs within an answer is left as soon as nobody waits for the rest.
func TestAnApplicationThatHangsIsLeftWithItsClient(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			l := listen(t)
			defer l.Close()
			left := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				_, err = io.Copy(io.Discard, c)
				left <- err
			}()
			s := start(t, Limits{}, func(state *State) { state.Routes = at(l.Addr().String()) })
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.test/", nil)
			res, err := s.client(t, p.change).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.ReadFull(res.Body, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			leave()
			if err := <-left; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it is still waited for")
			}
		})
	}
}

func TestSlowAnswersArriveAsTheyCome(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "text/plain", "length"} {
		for _, p := range protocols {
			t.Run(strings.ReplaceAll(kind, "/", " ")+" by "+p.name, func(t *testing.T) {
				more := make(chan bool)
				s := start(t, Limits{}, func(state *State) {
					state.Routes = to(upstream(t, func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", kind)
						if kind == "length" {
							w.Header().Set("Content-Length", "10")
						}
						_ = http.NewResponseController(w).Flush()
						for range 2 {
							<-more
							fmt.Fprint(w, "data\n")
							_ = http.NewResponseController(w).Flush()
						}
					}))
				})
				res, err := s.client(t, p.change).Get("https://example.test/")
				if err != nil {
					t.Fatal(err) // the header has to come before any data
				}
				defer res.Body.Close()
				in := bufio.NewReader(res.Body)
				for range 2 {
					more <- true
					if line, err := in.ReadString('\n'); line != "data\n" {
						t.Errorf("%q, %v", line, err)
					}
				}
			})
		}
	}
}

func TestEarlyHintsAndHead(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Content-Length", "1000")
		}))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			var hints atomic.Pointer[string]
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				link := fmt.Sprint(code, h.Get("Link"))
				hints.Store(&link)
				return nil
			}}
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodHead, "https://example.test/", nil)
			res, err := s.client(t, p.change).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if h := hints.Load(); h == nil || *h != "103</style.css>; rel=preload" {
				t.Errorf("hints %v", h)
			}
			if res.ContentLength != 1000 {
				t.Errorf("length %d", res.ContentLength)
			}
		})
	}
}

func TestABodyIsOnlySentWhenItIsWanted(t *testing.T) {
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			text, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s", text)
		}))
	})
	c := s.dial(t)
	in := bufio.NewReader(c)
	fmt.Fprint(c, "POST /yes HTTP/1.1\r\nHost: example.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = in.ReadString('\n')
	fmt.Fprint(c, "body")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(res.Body); string(text) != "body" {
		t.Errorf("%q", text)
	}
	fmt.Fprint(c, "POST /no HTTP/1.1\r\nHost: example.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 413 Request Entity Too Large\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// zeros is a body without end.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	z.left -= n
	return int(n), nil
}

func TestBodiesOfAnySizePassThrough(t *testing.T) {
	const size = 8 << 20
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) { // both ways at once
			_ = http.NewResponseController(w).EnableFullDuplex()
			n, err := io.Copy(w, r.Body)
			if n != size || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		}))
	})
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/", &zeros{size})
			res, err := s.client(t, p.change).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestAContainerThatIsReplacedCostsNoRequest(t *testing.T) {
	first, second := upstream(t, hello), upstream(t, hello)
	s := start(t, Limits{}, func(state *State) { state.Routes = to(first) })
	stop := make(chan bool)
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		c := s.client(t, nil)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := c.Get("https://example.test/")
				if err != nil || res.StatusCode != 200 {
					t.Errorf("%v, %v, %s", res, err, s.logs)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				answered.Add(1)
			}
		})
	}
	wait(t, "requests are answered", func() bool { return answered.Load() > 100 })
	s.state.Routes = to(second)
	s.apply(t)
	first.Close() // waits for what it has begun
	target := answered.Load() + 100
	wait(t, "requests are answered", func() bool { return answered.Load() > target })
	close(stop)
	clients.Wait()
}

func TestBadRoutesLeaveTheOldOnes(t *testing.T) {
	s := start(t, Limits{}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	for _, bad := range [][]Route{{{Path: "x"}}, {{Path: "/", Backends: []string{"1.2.3.4"}}}, {{Path: "/", Backends: []string{"1.2.3.4:x"}}}} {
		if err := s.Apply(State{Certificate: s.state.Certificate, Names: s.state.Names, Open: true, Routes: bad}); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	if _, text := get(t, s.client(t, nil), "/"); text != "hello" {
		t.Errorf("got %q", text)
	}
	if err := s.Apply(State{Clients: Clients{Mode: "perhaps"}}); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
