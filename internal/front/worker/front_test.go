package worker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"appliance/internal/front"
	"appliance/internal/front/page"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// TestMain is also the worker that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		if err := Main(os.Args[2:], slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// site is a front with one TLS socket, an upstream, and a client that trusts it.
type site struct {
	*Front
	address string
	state   front.State
	client  *http.Client
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newSite(t *testing.T, upstream http.Handler) *site {
	t.Helper()
	backend := httptest.NewServer(upstream)
	t.Cleanup(backend.Close)
	pair, pool := certificate(t)
	s := &site{address: freeAddress(t), log: &lockedBuffer{}}
	s.Front = New(Config{System: system.New(system.Config{Root: t.TempDir()}), Log: slog.New(slog.NewTextHandler(s.log, nil)),
		Program: []string{"/proc/self/exe", "front-of-test"}, Env: os.Environ(), Owner: -1, Stderr: os.Stderr})
	s.state = front.State{Names: []string{"site.test"}, Certificate: &pair, Open: true, TLSPort: 443,
		Routes: []front.Route{{Path: "/", Service: "web", Backends: []string{backend.Listener.Addr().String()}, Timeout: time.Minute}},
		Notice: page.Notice{Version: page.Version, Situation: page.Starting, Since: time.Now()}}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "site.test"}, MaxIdleConnsPerHost: 64}}
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan struct{})
	go func() { s.Run(ctx); close(running) }()
	t.Cleanup(func() {
		stop()
		<-running
		s.client.CloseIdleConnections()
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Close(closing)
	})
	return s
}

// open tells the state and listens.
func (s *site) open(t *testing.T) {
	t.Helper()
	s.Tell(s.state)
	if err := s.Listen(nil, []string{s.address}); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
}

func (s *site) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

func (s *site) get(t *testing.T) (int, string) {
	t.Helper()
	res, err := s.client.Get("https://" + s.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func certificate(t *testing.T) (front.KeyPair, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site.test"}, DNSNames: []string{"site.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return front.KeyPair{Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, pool
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAWorkerServesWhatItIsTold(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	if code, body := s.get(t); code != http.StatusOK || body != "hello" {
		t.Errorf("open: %d %q", code, body)
	}
	s.state.Open = false
	s.Tell(s.state)
	s.settle(t)
	if code, _ := s.get(t); code != http.StatusServiceUnavailable {
		t.Errorf("closed: %d", code)
	}
	broken := s.state
	broken.Certificate = &front.KeyPair{Key: []byte("nonsense"), Chain: []byte("nonsense")}
	broken.Open = true
	s.Tell(broken)
	if err := s.Settle(t.Context()); err == nil {
		t.Error("a broken certificate is no trouble")
	}
	if code, body := s.get(t); code != http.StatusOK || body != "hello" {
		t.Errorf("with the certificate of before: %d %q", code, body)
	}
}

func TestAWorkerThatIsKilledIsReplaced(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	for range 3 {
		pid := s.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); s.PID() == pid || s.PID() == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no other worker came")
			}
		}
		s.client.CloseIdleConnections()
		if code, body := s.get(t); code != http.StatusOK || body != "hello" {
			t.Errorf("%d %q", code, body)
		}
	}
}

// Workers are replaced while clients with connections of their own ask without a pause: none of them may notice, and what
// an old worker has begun it ends.
func TestNobodyNoticesAnotherWorker(t *testing.T) {
	slow := make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_, _ = io.WriteString(w, "begun ")
			_ = http.NewResponseController(w).Flush()
			<-slow
		}
		hello(w, r)
	}))
	s.open(t)
	long, err := s.client.Get("https://" + s.address + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer long.Body.Close()

	var asked, failed atomic.Int64
	var first atomic.Value
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := s.client.Get("https://" + s.address + "/")
				if err == nil {
					var body []byte
					body, err = io.ReadAll(res.Body)
					res.Body.Close()
					if err == nil && string(body) != "hello" {
						err = fmt.Errorf("status %d, %q", res.StatusCode, body)
					}
				}
				if asked.Add(1); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	for i := range 6 { // a socket more, a socket less: each time another worker
		more := []string{s.address}
		if i%2 == 0 {
			more = append(more, freeAddress(t))
		}
		before := asked.Load()
		if err := s.Listen(nil, more); err != nil {
			t.Fatal(err)
		}
		s.settle(t)
		for deadline := time.Now().Add(20 * time.Second); asked.Load() < before+50; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("clients do not get on")
			}
		}
	}
	close(stop)
	clients.Wait()
	close(slow)
	body, err := io.ReadAll(long.Body)
	if string(body) != "begun hello" || err != nil {
		t.Errorf("what was begun ended with %q, %v", body, err)
	}
	t.Logf("%d requests, %d failed", asked.Load(), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", failed.Load(), asked.Load(), first.Load())
	}
}

// A worker that serves to its end may do so for an hour, in which containers are replaced.
func TestTheWorkerBeforeLearnsOfNewContainers(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	var held []net.Conn // that worker: a connection to it gets one answer more
	for range 20 {
		c, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if text := ask(c); text != "200 hello" {
			t.Fatal(text)
		}
		held = append(held, c)
	}
	if err := s.Listen(nil, []string{s.address, freeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	replaced := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello from the new one") }))
	defer replaced.Close()
	s.state.Routes = slices.Clone(s.state.Routes)
	s.state.Routes[0].Backends = []string{replaced.Listener.Addr().String()}
	s.Tell(s.state)
	s.settle(t)
	var last string
	for i, c := range held { // each has one look; they are taken further and further apart, 2 s in all
		if last = ask(c); last == "200 hello from the new one" {
			return
		}
		time.Sleep(time.Duration(i) * 10 * time.Millisecond)
	}
	t.Errorf("it still answers %q", last)
}

// ask has a request answered on a connection.
func ask(c net.Conn) string {
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(res.StatusCode, " ", string(body))
}

// A WebSocket knows nothing of workers: it lives on in its own until one of its ends has enough.
func TestAWebSocketOutlivesTheReplacementOfItsWorker(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, text, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("echo of "), text...)); err != nil {
				return
			}
		}
	}))
	s.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, res, err := websocket.Dial(ctx, "wss://"+s.address+"/", &websocket.DialOptions{HTTPClient: s.client})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		defer res.Body.Close()
	}
	defer func() { _ = c.CloseNow() }()
	echo := func(text string) {
		t.Helper()
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); string(got) != "echo of "+text || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	echo("before")
	s.mu.Lock()
	own := s.now
	s.mu.Unlock()
	for i := range 2 {
		if err := s.Listen(nil, []string{s.address, freeAddress(t)}); err != nil {
			t.Fatal(err)
		}
		s.settle(t)
		echo(fmt.Sprint("with its successor ", i))
	}
	if s.PID() == own.pid {
		t.Error("the worker was not replaced")
	}
	if err := c.Close(websocket.StatusNormalClosure, "enough"); err != nil {
		t.Error(err)
	}
	select {
	case <-own.ended:
	case <-time.After(20 * time.Second):
		t.Error("the worker does not end with its last connection")
	}
}

func TestAddressInUseNamesWhoHasIt(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	before := s.Sockets()
	err = s.Listen([]string{freeAddress(t)}, []string{taken.Addr().String()})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("%v", err)
	}
	if want := fmt.Sprintf("(PID %d)", os.Getpid()); !strings.Contains(err.Error(), want) || !strings.Contains(remedy.Of(err), "appliance.listen") {
		t.Errorf("%v; to do: %s", err, remedy.Of(err))
	}
	if got := s.Sockets(); len(got) != 1 || got[0] != before[0] {
		t.Errorf("the sockets are %v", got)
	}
	if code, _ := s.get(t); code != http.StatusOK {
		t.Errorf("what was open answers %d", code)
	}
}

// Without IPv6 in the kernel ":443" is bound to all addresses of IPv4.
func TestSameAddressWithoutIPv6(t *testing.T) {
	for ipv6, want := range map[bool]bool{true: false, false: true} {
		if got := sameOn("0.0.0.0:443", ":443", func() bool { return ipv6 }); got != want {
			t.Errorf("with IPv6 %v: %v", ipv6, got)
		}
	}
}

// refuses waits until nobody listens at address any more.
func refuses(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s stays taken: %v", address, err)
		}
	}
}

func TestWithoutAddressesNobodyListens(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	for range 2 {
		s.open(t)
		if code, _ := s.get(t); code != http.StatusOK {
			t.Errorf("open: %d", code)
		}
		broken := s.state
		broken.Certificate = &front.KeyPair{Key: []byte("nonsense"), Chain: []byte("nonsense")}
		s.Tell(broken)
		if err := s.Settle(t.Context()); err == nil {
			t.Error("a broken certificate is no trouble")
		}
		if err := s.Listen(nil, nil); err != nil {
			t.Fatal(err)
		}
		s.settle(t) // without the trouble of before
		refuses(t, s.address)
		if pid := s.PID(); pid != 0 {
			t.Errorf("process %d would take new connections", pid)
		}
		s.client.CloseIdleConnections()
	}
}

// An address changes to one that the socket before is in the way of: other addresses of the host, or another kind.
func TestAddressesMayOverlapThoseOfBefore(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{":" + port, "0.0.0.0:" + port, s.address, ":" + port} {
		if err := s.Listen(nil, []string{address}); err != nil {
			t.Fatal(err)
		}
		if !s.Listens(nil, []string{address}) {
			t.Errorf("it listens on %v, not on %s", s.Sockets(), address)
		}
		s.settle(t)
		// For the moment two sockets share the port. A connection that the kernel gave to the one that goes is reset with it.
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			s.client.CloseIdleConnections()
			res, err := s.client.Get("https://" + s.address + "/")
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
				t.Errorf("%s: %d", address, res.StatusCode)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", address, err)
			}
		}
	}
	if l, err := net.Listen("tcp", s.address); err == nil {
		l.Close()
		t.Error("a stranger gets the port too")
	}
	if err := s.Listen([]string{":" + port}, nil); err != nil {
		t.Fatal(err)
	}
	s.state.TLSPort = 0
	s.Tell(s.state)
	s.settle(t)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		res, err := http.Get("http://" + s.address + "/") // the worker before, which speaks TLS, may still be there
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("without TLS: %v", err)
		}
	}
}

// lent is a socket that a service manager hands over: it goes on having it open, too.
func lent(t *testing.T, address string) *Socket {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSocket("", file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A socket that a service manager has handed over is for nobody until Listen says for whom.
func TestHandedOverSocketsWait(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.Adopt([]*Socket{lent(t, s.address)})
	s.Tell(s.state)
	s.wake <- struct{}{} // there is room for it only once the first has been obeyed
	s.wake <- struct{}{}
	if pid := s.PID(); pid != 0 {
		t.Errorf("worker %d serves a socket of no kind", pid)
	}
	s.open(t)
	if code, _ := s.get(t); code != http.StatusOK {
		t.Errorf("after Listen: %d", code)
	}
}

// The service manager has such a socket open as long as its unit is active. Whoever closes ours cannot bind the port again.
func TestHandedOverSocketsAreKeptForALaterListen(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	other := freeAddress(t)
	s.Adopt([]*Socket{lent(t, s.address), lent(t, "127.0.0.1:0")})
	for _, c := range []struct {
		name string
		tls  []string
	}{
		{"the front is off", nil},
		{"reloaded to builtin", []string{s.address}},
		{"off again", nil},
		{"other addresses", []string{other}},
		{"both", []string{other, s.address}},
		{"one of them", []string{s.address}},
	} {
		s.Tell(s.state)
		if err := s.Listen(nil, c.tls); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s.settle(t)
		if !s.Listens(nil, c.tls) {
			t.Errorf("%s: it listens on %v", c.name, s.Sockets())
		}
	}
	s.client.CloseIdleConnections()
	if code, body := s.get(t); code != http.StatusOK || body != "hello" {
		t.Errorf("%d %q", code, body)
	}
}

// Also in the program that takes our place, whatever has been made of them until then.
func TestHandedOverSocketsSurviveAnExec(t *testing.T) {
	quiet := Config{Log: slog.New(slog.DiscardHandler), Owner: -1}
	for _, c := range []struct {
		name   string
		listen func(first string) []string
		before int // sockets in use
	}{
		{"before the first Listen", nil, 0},
		{"front off", func(string) []string { return nil }, 0},
		{"one in use", func(first string) []string { return []string{first} }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(quiet)
			first, second := lent(t, "127.0.0.1:0"), lent(t, "127.0.0.1:0")
			f.Adopt([]*Socket{first, second})
			if c.listen != nil {
				if err := f.Listen(nil, c.listen(first.Address)); err != nil {
					t.Fatal(err)
				}
			}
			files, err := f.Handover()
			if err != nil {
				t.Fatal(err)
			}
			next := New(quiet)
			if err := next.Inherit(files); err != nil || len(files) > 0 {
				t.Fatalf("%v, left open: %v", err, files)
			}
			if n := len(next.Sockets()); n != c.before {
				t.Errorf("%d sockets in use, not %d", n, c.before)
			}
			if err := next.Listen([]string{second.Address}, []string{first.Address}); err != nil {
				t.Error(err)
			}
			next.Close(t.Context())
		})
	}
}

// A worker that drains has the port until it comes to it. Who is no worker of ours is not waited for as long.
func TestAPortIsWaitedForWhileAWorkerOfOursHasIt(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	slow := s.PID()
	if err := syscall.Kill(slow, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = syscall.Kill(slow, syscall.SIGCONT) }
	defer goOn()
	if err := s.Listen(nil, []string{freeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	defer time.AfterFunc(2*takenWait, goOn).Stop()
	if err := s.Listen(nil, []string{s.address}); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	s.client.CloseIdleConnections()
	if code, body := s.get(t); code != http.StatusOK || body != "hello" {
		t.Errorf("%d %q", code, body)
	}
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	begun := time.Now()
	if err := s.Listen(nil, []string{stranger.Addr().String()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	if took := time.Since(begun); took > ownWait/2 {
		t.Errorf("a stranger was waited for %s", took)
	}
}

// Strangers decide how much memory a worker takes: it goes before the supervisor does.
func TestAWorkerHasNoPrecedenceWhenMemoryRunsOut(t *testing.T) {
	const own = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte("-1"), 0); err != nil {
		t.Skipf("only root may have precedence: %v", err)
	}
	defer func() { _ = os.WriteFile(own, before, 0) }()
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	if got, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.PID())); string(got) != "0\n" || err != nil {
		t.Errorf("it is %q, %v", got, err)
	}
}

// Workers end at any moment, also while the program is about to be replaced.
func TestHandoverLeavesOutWhoHasEnded(t *testing.T) {
	s := newSite(t, http.HandlerFunc(hello))
	s.open(t)
	s.mu.Lock()
	s.now.line.Close() // as attach does, a moment before the worker is forgotten
	s.mu.Unlock()
	files, err := s.Handover()
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	for _, file := range files {
		if _, err := file.Stat(); err != nil {
			t.Error(err)
		}
	}
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		bound, wished string
		same          bool
	}{
		{"[::]:443", ":443", true},
		{"[::]:443", "[::]:443", true},
		{"0.0.0.0:443", ":443", false}, // by hand: IPv4 alone is not both
		{"[::]:443", ":444", false},
		{"127.0.0.1:443", "127.0.0.1:443", true},
		{"127.0.0.1:443", ":443", false},
		{"127.0.0.1:443", "nonsense", false},
		{"[::1]:443", "[0:0:0:0:0:0:0:1]:443", true},
		{"127.0.0.1:443", "localhost:443", true},
	} {
		if got := same(c.bound, c.wished); got != c.same {
			t.Errorf("same(%q, %q) is %v", c.bound, c.wished, got)
		}
	}
}
