// Package steady keeps a server busy and counts every request that was not answered as it should have been.
//
// Nothing that is lost is tried again: net/http's client silently repeats what a server that goes away has lost, and that is
// the very thing to be counted.
package steady

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config says who asks for what.
type Config struct {
	Address string // host and port
	TLS     *tls.Config
	Size    int // of a right answer, in bytes
	Crowds  []Crowd
}

// Crowd is a number of visitors of one kind. Each asks, waits for the whole answer, and asks again.
type Crowd struct {
	Visitors int
	Path     string
	Way      Way
}

// Way is how a visitor connects.
type Way string

// The ways to connect.
const (
	KeepAlive Way = "HTTP/1.1, kept alive"
	OneEach   Way = "HTTP/1.1, a connection for each request"
	HTTP2     Way = "HTTP/2"
)

// patience is how long one request may take, connecting included.
const patience = 15 * time.Second

// Load is visitors at work.
type Load struct {
	config Config
	mu     sync.Mutex
	result Result
}

// Result is what became of the requests.
type Result struct {
	Asked   int
	Failed  map[string]int // how often, by what happened
	Again   int            // were sent away untouched by HTTP/2, as it provides for, and asked once more
	Slowest time.Duration  // answer that was right, connecting included
}

// New returns a load that has not begun.
func New(c Config) *Load {
	return &Load{config: c, result: Result{Failed: map[string]int{}}}
}

// Asked says how many requests have come to an end, whatever end that was.
func (l *Load) Asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.result.Asked
}

// Run asks until ctx ends. What is under way then is waited for, and counted.
func (l *Load) Run(ctx context.Context) Result {
	var visitors sync.WaitGroup
	for _, crowd := range l.config.Crowds {
		for range crowd.Visitors {
			visitors.Go(func() { l.visit(ctx, crowd) })
		}
	}
	visitors.Wait()
	return l.result
}

func (l *Load) visit(ctx context.Context, crowd Crowd) {
	v := visitor{config: l.config, crowd: crowd, again: l.askedAgain}
	defer v.leave()
	for ctx.Err() == nil {
		began := time.Now()
		err := v.ask()
		l.count(crowd.Way, time.Since(began), err)
		if err != nil {
			v.leave()
			select { // a server that is not there at all is not to be asked a million times
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

func (l *Load) count(way Way, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Asked++
	if err != nil {
		l.result.Failed[fmt.Sprintf("%s: %v", way, err)]++
		return
	}
	l.result.Slowest = max(l.result.Slowest, took)
}

func (l *Load) askedAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Again++
}

// visitor is one who asks.
type visitor struct {
	config Config
	crowd  Crowd
	again  func()     // counts what is asked once more
	at     connection // nil when there is none
}

// connection is one to the server, of whichever protocol.
type connection interface {
	roundTrip(*http.Request) (*http.Response, error)
	usable() bool // for another request
	Close() error
}

func (v *visitor) leave() {
	if v.at != nil {
		_ = v.at.Close() // it may be broken
		v.at = nil
	}
}

func (v *visitor) ask() error {
	if v.at != nil && !v.at.usable() {
		v.leave()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // a request outlives the wish for more of them
	defer cancel()
	if v.at == nil {
		var err error
		if v.at, err = v.connect(ctx); err != nil {
			return fmt.Errorf("cannot connect: %w", anonymous(err))
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+v.config.Address+v.crowd.Path, nil)
	if err != nil {
		return err
	}
	response, err := v.at.roundTrip(request)
	if err != nil {
		return fmt.Errorf("no answer: %w", anonymous(err))
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("the answer ends early: %w", anonymous(err))
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", response.StatusCode)
	case size != int64(v.config.Size):
		return fmt.Errorf("%d bytes instead of %d", size, v.config.Size)
	}
	if v.crowd.Way == OneEach {
		v.leave()
	}
	return nil
}

func (v *visitor) connect(ctx context.Context) (connection, error) {
	if v.crowd.Way == HTTP2 { // it connects when it is asked
		return newSecond(func(ctx context.Context) (net.Conn, error) { return v.dial(ctx, "h2") }, v.again), nil
	}
	conn, err := v.dial(ctx, "http/1.1")
	if err != nil {
		return nil, err
	}
	return newFirst(conn), nil
}

func (v *visitor) dial(ctx context.Context, protocol string) (net.Conn, error) {
	c := v.config.TLS.Clone()
	c.NextProtos = []string{protocol}
	return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", v.config.Address)
}

// anonymous takes the addresses out of an error: there is another port in each.
func anonymous(err error) error {
	if op, ok := err.(*net.OpError); ok { //nolint:errorlint // as it is, not what it wraps
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}
