package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain also makes the other process that tests of many connections need: who holds both ends of a connection cannot
// tell what one of them costs.
func TestMain(m *testing.M) {
	if address := os.Getenv("FRONT_TEST_CONNECT"); address != "" {
		n, _ := strconv.Atoi(os.Getenv("FRONT_TEST_COUNT"))
		if err := holdConnections(address, n, os.Getenv("FRONT_TEST_PROTOCOL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// holdConnections opens n connections, has one request answered on each, says so, and keeps them until its input ends.
func holdConnections(address string, n int, protocol string) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(os.Getenv("FRONT_TEST_CA")))
	config := &tls.Config{RootCAs: pool, ServerName: "example.test", NextProtos: []string{protocol}}
	held := make([]*tls.Conn, n)
	var next atomic.Int64
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 16 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				c, err := holdOne(address, int(i), config)
				if err != nil {
					failed.Store(&err)
					return
				}
				held[i] = c
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(held)
	return nil
}

// holdOne leaves from a loopback address of its own for every few thousand connections, as ports are limited.
func holdOne(address string, i int, config *tls.Config) (*tls.Conn, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/4000))}}
	c, err := tls.DialWithDialer(dialer, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	if config.NextProtos[0] == "h2" {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: config, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return c, nil
		}}
		return c, request(&http.Client{Transport: transport})
	}
	fmt.Fprint(c, "GET /some/path HTTP/1.1\r\nHost: example.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return c, err
}

func request(c *http.Client) error {
	res, err := c.Get("https://example.test/some/path")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// resident is how much memory of this process is in use, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// What a TLS connection may take between two requests, in bytes. HTTP/2 has two goroutines and its tables of header
// fields besides, and nothing that could be given back until it ends.
var idleBounds = map[string]int{"http/1.1": 20_000, "h2": 36_000}

func TestIdleConnectionsAreCheap(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies memory: run without -race")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := 3_000
	if many := os.Getenv("FRONT_TEST_MANY"); many != "" { // takes minutes
		n, _ = strconv.Atoi(many)
	}
	n = min(n, int(limit.Cur)-500)
	for protocol, bound := range idleBounds {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			s := start(t, Limits{Connections: 100_000, PerAddress: 100_000, Idle: time.Hour}, func(state *State) { state.Routes = to(upstream(t, hello)) })
			s.conns.most = 100_000 // half of the files are not needed for backends here
			tuning, stop := context.WithCancel(t.Context())
			defer stop()
			go TuneMemory(tuning)
			before := resident(t)
			done := openElsewhere(t, s, protocol, n)
			defer done()
			wait(t, "only idle connections", func() bool {
				idle := 0
				s.conns.mu.Lock()
				defer s.conns.mu.Unlock()
				for c := range s.conns.open {
					if since := c.idle.Load(); since != 0 && time.Since(time.Unix(0, since)) > 2*s.limits.Park {
						idle++
					}
				}
				return idle == n
			})
			// Stacks shrink by half with each collection.
			for range 3 {
				runtime.GC()
			}
			each := (resident(t) - before) / n
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			t.Logf("%d connections, %d bytes each (heap %d, stacks %d)", n, each, int(m.HeapInuse)/n, int(m.StackInuse)/n)
			if each > bound {
				t.Errorf("an idle connection takes %d bytes, more than %d", each, bound)
			}
		})
	}
}

// openElsewhere has another process hold connections to s; the answer ends it.
func openElsewhere(t *testing.T, s *site, protocol string, n int) (done func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "FRONT_TEST_CONNECT="+s.tls, "FRONT_TEST_COUNT="+strconv.Itoa(n), "FRONT_TEST_PROTOCOL="+protocol,
		"FRONT_TEST_CA="+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.cert.Raw})))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "open\n" {
		_ = in.Close()
		_ = cmd.Wait()
		t.Fatalf("%q, %v: %s", line, err, stderr.String())
	}
	t.Logf("opened in %v", time.Since(began).Round(time.Millisecond))
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

// heap notes the most memory that is in use while bytes go by.
type heap struct{ seen, looked, most int64 }

func (h *heap) Write(p []byte) (int, error) {
	if h.seen += int64(len(p)); h.seen-h.looked >= 16<<20 {
		h.looked = h.seen
		h.most = max(h.most, inUse())
	}
	return len(p), nil
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// A gigabyte goes through as ten would: what is kept of it does not grow.
func TestBodiesAreNotKept(t *testing.T) {
	size, bound := int64(1<<30), int64(32<<20)
	if raceDetector { // which makes it slow; the memory that it needs itself is not counted
		size = 128 << 20
	}
	var up heap
	s := start(t, Limits{}, func(state *State) {
		state.Routes = to(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.Copy(w, &zeros{size})
				return
			}
			n, _ := io.Copy(&up, r.Body)
			fmt.Fprint(w, n)
		}))
	})
	c := s.client(t, nil)
	c.Timeout = 5 * time.Minute
	runtime.GC()
	before := inUse()
	began := time.Now()
	res, err := c.Get("https://example.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var down heap
	if n, err := io.Copy(&down, res.Body); n != size || err != nil {
		t.Errorf("%d bytes come down, %v", n, err)
	}
	if _, text := do(t, c, http.MethodPost, "/", nil, &zeros{size}); text != fmt.Sprint(size) {
		t.Errorf("%s bytes go up", text)
	}
	t.Logf("down %d kB more in use, up %d kB, in %v", (down.most-before)>>10, (up.most-before)>>10, time.Since(began).Round(time.Millisecond))
	if down.most == 0 || up.most == 0 || max(down.most, up.most)-before > bound {
		t.Errorf("%d bytes more are in use on the way down, %d on the way up", down.most-before, up.most-before)
	}
}
