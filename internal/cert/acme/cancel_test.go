package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"appliance/internal/cert/acme/acmetest"
)

// A call that is cancelled returns at once, wherever it is, and leaves nothing running or shown.
func TestCancelInEachPhase(t *testing.T) {
	for _, path := range []string{"/dir", "/nonce-plz", "/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/my-order/", "/finalize-order/", "/certZ/"} {
		t.Run("while "+path+" does not answer", func(t *testing.T) {
			reached := make(chan struct{}, 1)
			release := make(chan struct{})
			ca := answering(t, path, func(_ http.ResponseWriter, r *http.Request) {
				select {
				case reached <- struct{}{}:
				default:
				}
				select {
				case <-r.Context().Done():
				case <-release:
				}
			})
			s := newSite(t)
			cancelAt(t, newHost(t, ca, Settings{}, s), reached)
			close(release)
			s.looked(t)
		})
	}
	t.Run("while nonces are refused", func(t *testing.T) {
		reached := make(chan struct{}, 1)
		var refusals atomic.Int32
		ca := answering(t, order, func(w http.ResponseWriter, r *http.Request) {
			if refusals.Add(1) == 3 {
				reached <- struct{}{}
			}
			refuses(400, "badNonce", "again")(w, r)
		})
		cancelAt(t, newHost(t, ca, Settings{}, newSite(t)), reached)
	})
	t.Run("while the authority thinks", func(t *testing.T) {
		reached := make(chan struct{}, 1)
		var looks atomic.Int32
		ca := answering(t, "/my-order/", func(w http.ResponseWriter, r *http.Request) {
			if looks.Add(1) == 3 {
				reached <- struct{}{}
			}
			says(200, "application/json", `{"status": "pending"}`, "Retry-After", "20")(w, r)
		})
		h := newHost(t, ca, Settings{}, newSite(t))
		looks.Store(2)
		cancelAt(t, h, reached)
	})
	t.Run("while the front is slow", func(t *testing.T) {
		reached := make(chan struct{}, 1)
		s := &slowSite{site: newSite(t), reached: reached}
		cancelAt(t, newHost(t, acmetest.New(t, acmetest.Options{}), Settings{}, s), reached)
		s.looked(t)
	})
}

func TestCancelWhileDNSIsSlow(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	script := filepath.Join(dir, "slow")
	text := fmt.Sprintf("#!/bin/sh\n[ $1 = cleanup ] && exit 0\ntouch %s\nsleep 60\n", started)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	idle := make(chan struct{}, 1)
	service := newIdleService(t, idle)
	for _, test := range []struct {
		name string
		dns  DNS
	}{
		{"a program that hangs", DNS{Provider: "exec", Program: script}},
		{"a record that does not come", DNS{Provider: "httpreq", Endpoint: service}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, acmetest.New(t, acmetest.Options{}), Settings{Challenge: "dns-01", DNS: test.dns}, nil)
			reached := idle
			if test.dns.Provider == "exec" {
				reached = make(chan struct{}, 1)
				go func() {
					for range 1000 {
						if _, err := os.Stat(started); err == nil {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					reached <- struct{}{}
				}()
			}
			cancelAt(t, h, reached)
			if h.log.Len() > 0 {
				t.Errorf("log: %s", h.log)
			}
		})
	}
}

// newIdleService answers well and writes nothing.
func newIdleService(t *testing.T, reached chan struct{}) string {
	t.Helper()
	d, err := acmetest.StartDNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	service := newDNSService(t, d, "") // into a name server that nobody asks
	var once sync.Once
	inner := service.Config.Handler
	service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		if strings.HasSuffix(r.URL.Path, "present") {
			once.Do(func() { reached <- struct{}{} })
		}
	})
	return service.URL + "/hook"
}

type slowSite struct {
	*site
	reached chan struct{}
}

func (s *slowSite) ShowHTTP(ctx context.Context, token, keyAuthorization string) error {
	_ = s.site.ShowHTTP(ctx, token, keyAuthorization)
	s.reached <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// cancelAt cancels an Obtain of h when reached says so.
func cancelAt(t *testing.T, h *host, reached <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := h.Obtain(ctx, []string{"ecs.example.org"}, nil)
		done <- err
	}()
	select {
	case <-reached:
	case err := <-done:
		t.Fatalf("it ended before: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not get there")
	}
	cancelled := time.Now()
	cancel()
	select {
	case err := <-done:
		var refusal *Refusal
		if !errors.Is(err, context.Canceled) || errors.As(err, &refusal) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(cancelled); took > time.Second {
			t.Errorf("it took %v to return", took)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not return")
	}
	nothingStays(t)
}

// lazySolver takes its time to take an answer away.
type lazySolver struct {
	takes  time.Duration
	hidden int
}

func (*lazySolver) show(context.Context, *proof) error     { return nil }
func (*lazySolver) settle(context.Context, []*proof) error { return nil }
func (s *lazySolver) hide(ctx context.Context, _ *proof) error {
	if err := sleep(ctx, s.takes); err != nil {
		return err
	}
	s.hidden++
	return nil
}

// Services of providers take seconds for each record. Who took too long to prove the names has the time to clean up, who
// was stopped has not.
func TestEachAnswerHasItsTimeToGo(t *testing.T) {
	for _, test := range []struct {
		name   string
		cause  error // of the end of the call; nil: it goes on
		takes  time.Duration
		hidden int
		took   time.Duration
	}{
		{"at the end of its work", nil, 20 * time.Second, 5, 100 * time.Second},
		{"after its own limit", errTooLong, 20 * time.Second, 5, 100 * time.Second},
		{"of a service that hangs", nil, time.Hour, 0, 5 * cleanWithin},
		{"after a stop", context.Canceled, 300 * time.Millisecond, 3, hurriedWithin},
		{"after a stop, of a service that hangs", context.Canceled, time.Hour, 0, hurriedWithin},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				if test.cause != nil {
					end(fmt.Errorf("%w: 10m", test.cause))
				}
				s, begun := &lazySolver{takes: test.takes}, time.Now()
				proofs := []*proof{{shown: true}, {shown: true}, {}, {shown: true}, {shown: true}, {shown: true}}
				(&link{Client: New(Config{})}).clean(ctx, s, proofs)
				if took := time.Since(begun); s.hidden != test.hidden || took != test.took {
					t.Errorf("%d are taken away in %s", s.hidden, took)
				}
			})
		})
	}
}
