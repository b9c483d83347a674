package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAParkedConnectionLosesNothing(t *testing.T) {
	s := start(t, Limits{Park: 20 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " ", r.URL.Path) }))
	})
	const second = "GET /second HTTP/1.1\r\nHost: example.test\r\n\r\n"
	for early := range 6 { // bytes that come with the request before
		c := s.dial(t)
		in := bufio.NewReader(c)
		fmt.Fprint(c, "GET /first HTTP/1.1\r\nHost: example.test\r\n\r\n"+second[:early])
		for i, want := range []string{"GET /first", "GET /second"} {
			if i == 1 {
				time.Sleep(80 * time.Millisecond) // for as long it would be parked
				fmt.Fprint(c, second[early:])
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(early, err)
			}
			if text, _ := io.ReadAll(res.Body); string(text) != want {
				t.Errorf("%d bytes early: %q, want %q", early, text, want)
			}
		}
	}
}

func TestTheFirstBytesOfARequestAreNotEnough(t *testing.T) {
	s := start(t, Limits{Park: 20 * time.Millisecond, HeaderTime: 100 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, hello))
	})
	if answer := s.raw(t, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\nGE"); strings.Count(answer, "HTTP/1.1 200 ") != 1 || !strings.HasSuffix(answer, "hello") {
		t.Errorf("%q", answer)
	}
}

// Who is answered before the end of their body must not have the rest of it taken for a request, nor stay for ever.
func TestWhatIsLeftOfABodyIsNoRequest(t *testing.T) {
	s := start(t, Limits{Stall: 200 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}))
	})
	const inner = "GET /.well-known/appliance/health HTTP/1.1\r\nHost: example.test\r\n\r\n"
	for _, path := range []string{"/upload", "/.well-known/appliance/health", "/.well-known/acme-challenge/x"} {
		for _, rest := range []string{"", "some", inner} {
			c := s.dial(t)
			in := bufio.NewReader(c)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: example.test\r\nContent-Length: 1000\r\n\r\n", path)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			if !res.Close {
				t.Errorf("%s: the client is not told that this is the last answer", path)
			}
			time.Sleep(20 * time.Millisecond)
			if rest == inner {
				time.Sleep(300 * time.Millisecond) // beyond the limit
			}
			_, _ = io.WriteString(c, rest)
			began := time.Now()
			more, _ := io.ReadAll(in)
			if took := time.Since(began); len(more) > 0 || took > 5*time.Second {
				t.Errorf("%s, then %q: %q after %v", path, rest, more, took)
			}
		}
	}
}

// An application that sends a body after the header of an answer to HEAD, as some do, must not have it taken for its answer
// to the next request on that connection.
func TestWhatFollowsAHeadIsNoAnswer(t *testing.T) {
	l := listen(t)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerHead(c)
		}
	}()
	s := start(t, Limits{}, func(state *State) { state.Routes = at(l.Addr().String()) })
	for _, p := range protocols {
		c := s.client(t, p.change)
		for range 3 {
			if res, _ := do(t, c, http.MethodHead, "/", nil, nil); res.StatusCode != http.StatusOK {
				t.Errorf("%s: HEAD is answered %d", p.name, res.StatusCode)
			}
			if _, text := get(t, c, "/"); text != "good" {
				t.Errorf("%s: GET is answered %q", p.name, text)
			}
		}
	}
}

// answerHead sends what a HEAD does not ask for once there is another request.
func answerHead(c net.Conn) {
	defer c.Close()
	const body = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	in, owed := bufio.NewReader(c), ""
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, owed)
		if owed = ""; r.Method == http.MethodHead {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			owed = body
		} else {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
		}
	}
}

// An application may switch protocols though nobody asked it to, while a body is still to come.
func TestASwitchThatCameToNothingIsNone(t *testing.T) {
	s := start(t, Limits{Stall: 200 * time.Millisecond}, func(state *State) {
		state.Routes = at(answering(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n"))
	})
	c := s.dial(t)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 1000\r\n\r\n")
	answer, err := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 502 ") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", firstLine(string(answer)), err)
	}
	wait(t, "it has its line", func() bool { return strings.Contains(s.access.String(), "\n") })
	if !strings.Contains(s.access.String(), " HTTP/1.1 502 ") {
		t.Errorf("noted as %s", s.access)
	}
}

func TestAPanicIsTold(t *testing.T) {
	logs := &lines{}
	s := NewServer(Config{Log: slog.New(slog.NewTextHandler(logs, nil))})
	defer func() { _ = s.Drain(t.Context()) }()
	s.known = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake of ours") })
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), connKey{}, &conn{crowd: &crowd{}}), http.MethodGet, knownPath+"health", nil)
	func() {
		defer func() { _ = recover() }()
		s.ServeHTTP(httptest.NewRecorder(), r)
	}()
	if !strings.Contains(logs.String(), "a mistake of ours") {
		t.Errorf("%q", logs.String())
	}
}
