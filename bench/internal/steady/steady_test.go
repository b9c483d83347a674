package steady_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"appliance/bench/internal/steady"
)

var everyWay = []steady.Way{steady.KeepAlive, steady.OneEach, steady.HTTP2}

// served is a load before a server, and that server's TLS.
type served struct {
	steady.Config
	server *tls.Config
}

func serve(t *testing.T, handler http.Handler) served {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return served{steady.Config{
		Address: server.Listener.Addr().String(), Size: 2,
		TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"},
	}, server.TLS}
}

// runFor lets a load run until it has asked that often.
func runFor(t *testing.T, c steady.Config, requests int) steady.Result {
	t.Helper()
	load := steady.New(c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil && load.Asked() < requests {
			time.Sleep(time.Millisecond) // a poll with a deadline
		}
		cancel()
	}()
	result := load.Run(ctx)
	if result.Asked < requests {
		t.Fatalf("asked %d times, not %d: %v", result.Asked, requests, result.Failed)
	}
	return result
}

func TestEachWayIsAnswered(t *testing.T) {
	for _, way := range everyWay {
		t.Run(string(way), func(t *testing.T) {
			var http2, connections atomic.Int64
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 {
					http2.Add(1)
				}
				if r.URL.Path != "/here" {
					http.NotFound(w, r)
				}
				_, _ = w.Write([]byte("ok"))
			}))
			dial := c.TLS.Clone()
			dial.VerifyConnection = func(tls.ConnectionState) error { connections.Add(1); return nil }
			c.TLS, c.Crowds = dial, []steady.Crowd{{Visitors: 3, Path: "/here", Way: way}}
			result := runFor(t, c.Config, 100)
			if len(result.Failed) > 0 || result.Slowest <= 0 {
				t.Errorf("%+v", result)
			}
			if want := way == steady.HTTP2; want != (http2.Load() == int64(result.Asked)) {
				t.Errorf("%d of %d by HTTP/2", http2.Load(), result.Asked)
			}
			want := int64(3)
			if way == steady.OneEach {
				want = int64(result.Asked)
			}
			if connections.Load() != want {
				t.Errorf("%d connections for %d requests, not %d", connections.Load(), result.Asked, want)
			}
		})
	}
}

func TestEveryFailureIsCounted(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "status 503"},
		"short":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("o")) }, "1 bytes instead of 2"},
		"torn": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = w.Write([]byte("o"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "the answer ends early"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer"},
	} {
		for _, way := range everyWay {
			t.Run(name+" "+string(way), func(t *testing.T) {
				var asked atomic.Int64
				c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if asked.Add(1)%10 == 0 {
						test.answer(w, r)
						return
					}
					_, _ = w.Write([]byte("ok"))
				}))
				c.Crowds = []steady.Crowd{{Visitors: 1, Path: "/", Way: way}}
				result := runFor(t, c.Config, 50)
				failed := 0
				for text, times := range result.Failed {
					if failed += times; !strings.Contains(text, test.want) || !strings.HasPrefix(text, string(way)) {
						t.Errorf("%q, not %q", text, test.want)
					}
				}
				if failed != result.Asked/10 {
					t.Errorf("%d of %d failed, not a tenth", failed, result.Asked)
				}
			})
		}
	}
}

func TestWhatIsUnderWayIsWaitedFor(t *testing.T) {
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-goOn
		_, _ = w.Write([]byte("ok"))
	}))
	c.Crowds = []steady.Crowd{{Visitors: 1, Path: "/", Way: steady.KeepAlive}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan steady.Result)
	go func() { done <- steady.New(c.Config).Run(ctx) }()
	<-begun
	cancel()
	close(goOn)
	if result := <-done; result.Asked != 1 || len(result.Failed) > 0 {
		t.Errorf("%+v", result)
	}
}

func TestNobodyThere(t *testing.T) {
	c := serve(t, http.NotFoundHandler())
	c.Address = "127.0.0.1:1"
	c.Crowds = []steady.Crowd{{Visitors: 2, Path: "/", Way: steady.KeepAlive}}
	result := runFor(t, c.Config, 4)
	if failed := result.Failed["HTTP/1.1, kept alive: cannot connect: dial: connect: connection refused"]; failed != result.Asked {
		t.Errorf("%+v", result)
	}
}

// TestWhatIsSentAwayUntouchedIsAskedAgain has a server say of the first request on its first connection that it has not
// taken it.
func TestWhatIsSentAwayUntouchedIsAskedAgain(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	address := c.Address
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	go func() {
		for first := true; ; first = false {
			conn, err := away.Accept()
			if err != nil {
				return
			}
			if first {
				go sendAway(tls.Server(conn, c.server))
			} else {
				go relay(conn, address)
			}
		}
	}()
	c.Address, c.Crowds = away.Addr().String(), []steady.Crowd{{Visitors: 1, Path: "/", Way: steady.HTTP2}}
	if result := runFor(t, c.Config, 5); result.Again != 1 || len(result.Failed) > 0 {
		t.Errorf("%+v", result)
	}
}

// sendAway reads until the first request, and says that none was taken.
func sendAway(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if frame.Header().Type == http2.FrameHeaders {
			_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}
	}
}

func relay(conn net.Conn, address string) {
	defer conn.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, conn) }()
	_, _ = io.Copy(conn, to)
}
