package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// again answers a second listener on l's socket, as another process would have it.
func again(t *testing.T, l net.Listener) net.Listener {
	t.Helper()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	second, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return second
}

func TestNobodyNoticesAnotherServer(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			first := start(t, Limits{}, func(state *State) { state.Routes = to(upstream(t, hello)) })
			socket := listen(t)
			keep := again(t, socket)
			serve(t, func() error { return first.ServeTLS(socket) })
			first.tls = socket.Addr().String()
			var answered atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for range 50 {
				c := first.client(t, p.change)
				clients.Go(func() {
					for ctx.Err() == nil {
						if err := request(c); err != nil {
							t.Error(err)
							return
						}
						answered.Add(1)
					}
				})
			}
			current := first.Server
			for range 2 {
				target := answered.Load() + 200
				wait(t, "requests are answered", func() bool { return answered.Load() >= target })
				next := NewServer(Config{Limits: Limits{}})
				if err := next.Apply(first.state); err != nil {
					t.Fatal(err)
				}
				l := again(t, keep)
				serve(t, func() error { return next.ServeTLS(l) })
				if err := current.Drain(t.Context()); err != nil {
					t.Errorf("drain: %v", err)
				}
				current = next
			}
			stop()
			clients.Wait()
			t.Logf("%d requests", answered.Load())
			ended, end := context.WithCancel(t.Context())
			end()
			_ = current.Drain(ended)
			_ = keep.Close()
		})
	}
}

func TestWhatHasBegunIsServedToItsEnd(t *testing.T) {
	begun, finish := make(chan bool, 1), make(chan bool)
	s := start(t, Limits{DrainIdle: 50 * time.Millisecond}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "begun ")
			_ = http.NewResponseController(w).Flush()
			begun <- true
			<-finish
			fmt.Fprint(w, "and done")
		}))
	})
	c := s.client(t, nil)
	answer := make(chan string, 1)
	go func() {
		_, text := get(t, c, "/")
		answer <- text
	}()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	wait(t, "it drains", s.draining.Load)
	if _, err := net.DialTimeout("tcp", s.tls, time.Second); err == nil {
		t.Error("connections are still accepted")
	}
	select {
	case err := <-drained:
		t.Fatalf("drained under a request: %v", err)
	case <-time.After(200 * time.Millisecond): // longer than a connection may idle
	}
	close(finish)
	if got := <-answer; got != "begun and done" {
		t.Errorf("got %q", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestAnIdleConnectionMayStillAsk(t *testing.T) {
	s := start(t, Limits{DrainIdle: 10 * time.Second, Park: 20 * time.Millisecond}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	c := s.dial(t)
	in := bufio.NewReader(c)
	ask := func() *http.Response {
		t.Helper()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(res.Body); string(text) != "hello" || err != nil {
			t.Fatalf("%q, %v", text, err)
		}
		return res
	}
	if ask().Close {
		t.Error("closed without a reason")
	}
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	wait(t, "it drains", s.draining.Load)
	if !ask().Close {
		t.Error("a draining server wants to keep the connection")
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainingEndsWithItsContext(t *testing.T) {
	begun := make(chan bool, 1)
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			begun <- true
			<-r.Context().Done()
		}))
	})
	go func() { _ = request(s.client(t, nil)) }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	wait(t, "nothing is open", func() bool { return s.conns.count() == 0 })
}

// lateListener hands a connection over only when it is told to.
type lateListener struct {
	net.Listener
	accepted, hand chan bool
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- true
		<-l.hand
	}
	return c, err
}

// The client of a connection that was accepted a moment before the drain knows nothing of it.
func TestADrainWaitsForWhatHasJustBeenAccepted(t *testing.T) {
	s := NewServer(Config{})
	l := &lateListener{listen(t), make(chan bool), make(chan bool)}
	serve(t, func() error { return s.ServePlain(l) })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "GET /.well-known/appliance/health/live HTTP/1.1\r\nHost: example.test\r\n\r\n")
	<-l.accepted
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	wait(t, "it drains", s.draining.Load)
	select {
	case err := <-drained:
		t.Errorf("drained although a connection has been accepted: %v", err)
	case <-time.After(100 * time.Millisecond): // nothing can be seen of its waiting
	}
	l.hand <- true
	if answer, err := io.ReadAll(c); firstLine(string(answer)) != "HTTP/1.1 200 OK" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}
