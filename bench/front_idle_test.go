package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// idle measures what a connection costs that is kept open and not used: the anonymous memory that a front's processes have
// more of, by the number of connections. What the kernel keeps for its sockets is the same for all, and not in it.
func (f *fronts) idle(counts []int, rest time.Duration) {
	for _, count := range counts {
		if most := int(openFiles(f.tb))/2 - 200; count > most { // a front keeps half for the way to the backends
			f.report.note("%d idle connections: only %d, since a process may not have more than %d files open here", count, most, openFiles(f.tb))
			count = most
		}
		what := fmt.Sprintf("%d idle TLS connections: each", count)
		var turns []turn
		for _, c := range f.all {
			turns = append(turns, func(record recorder) {
				record(series{what, c.who, "kB"}, f.idleCost(c, count, rest))
			})
		}
		f.measure(plan{0, 1}, turns...)
		f.report.find(what, f.all[0].who).requireEach(20)
	}
}

// idleCost is in kB of 1,000 bytes.
func (f *fronts) idleCost(c contender, count int, rest time.Duration) float64 {
	f.tb.Helper()
	before := f.anonymousOf(c)
	crowd, err := connectCrowd(f.ctx, c.address, f.id.visitor, count)
	defer crowd.leave()
	if err != nil {
		f.tb.Fatalf("%s: %v", c.who, err)
	}
	time.Sleep(rest) // what is measured is what stays: there is no condition to wait for
	after := f.anonymousOf(c)
	if err := crowd.askAgain(f.ctx, c.address); err != nil {
		f.tb.Fatalf("%s does not serve all of %d idle connections: %v", c.who, count, err)
	}
	return (after - before) * 1e3 / float64(count)
}

func (f *fronts) anonymousOf(c contender) (megabytes float64) {
	f.tb.Helper()
	for _, pid := range c.processes(f.tb) {
		m, err := memoryOf(pid)
		if err != nil {
			f.tb.Fatal(err)
		}
		megabytes += m.anonymous
	}
	return megabytes
}

// crowd are visitors who stay connected.
type crowd []*tls.Conn

// perAddress is how many visitors share an address: fronts may bound that, and ports are finite.
const perAddress = 250

// connectCrowd connects visitors who have one answer each and stay.
func connectCrowd(ctx context.Context, address string, visitor *tls.Config, count int) (crowd, error) {
	c := make(crowd, count)
	return c, inParallel(ctx, count, func(ctx context.Context, n int) (err error) {
		c[n], err = visitOnce(ctx, address, n/perAddress, visitor)
		return err
	})
}

// askAgain finds out whether every one is still served.
func (c crowd) askAgain(ctx context.Context, address string) error {
	return inParallel(ctx, len(c), func(ctx context.Context, n int) error { return askOnce(ctx, c[n], address) })
}

func (c crowd) leave() {
	for _, conn := range c {
		if conn != nil {
			conn.NetConn().Close() // without a word of TLS: it is over
		}
	}
}

// inParallel does something for each number below count, a few at a time, until one fails.
func inParallel(ctx context.Context, count int, do func(ctx context.Context, n int) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for n := range count {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, n) })
	}
	return group.Wait()
}

// visitOnce connects from the numbered loopback address, asks once and stays connected.
func visitOnce(ctx context.Context, address string, from int, visitor *tls.Config) (*tls.Conn, error) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 1+byte(from/250), 1+byte(from%250))}
	dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: local, KeepAlive: -1}, Config: visitor}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := askOnce(ctx, conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

func askOnce(ctx context.Context, conn net.Conn, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || size != answerSize) {
		err = fmt.Errorf("status %d with %d bytes", response.StatusCode, size)
	}
	return err
}
