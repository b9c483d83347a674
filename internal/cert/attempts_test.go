package cert

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"appliance/internal/cert/acme"
)

// gaps are the times between two tries.
func gaps(times []time.Time) (list []time.Duration) {
	for i := range times[1:] {
		list = append(list, times[i+1].Sub(times[i]))
	}
	return list
}

func TestFailuresBackOffAcrossRestarts(t *testing.T) {
	for _, test := range []struct {
		name       string
		every, all time.Duration // a restart, and how long it goes on
	}{{"one process", 6 * dayLong, 6 * dayLong}, {"a restart each 20 seconds", 20 * time.Second, 135 * time.Minute}, {"a restart each 7 hours", 7 * time.Hour, 6 * dayLong}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				h.acme.fail = func(int) error { return errDown }
				end := time.Now().Add(test.all)
				for time.Now().Before(end) {
					_, stop := h.run(withACME(plainWish))
					pass(test.every)
					stop()
				}
				got := gaps(h.acme.times())
				if len(got) < 5 || len(got) > 20 {
					t.Fatalf("the gaps are %v", got)
				}
				for i, gap := range got {
					want := min(time.Minute<<i, dayLong)
					between(t, fmt.Sprintf("gap %d", i), gap, want, want+want/4+time.Second)
				}
			})
		})
	}
}

func TestTheAuthorityIsNotAskedBeforeItSays(t *testing.T) {
	for _, test := range []struct {
		name        string
		err         func(now time.Time) error
		least, most time.Duration
	}{
		{"down", func(time.Time) error { return errDown }, time.Minute, 75 * time.Second},
		{"rate limited", func(time.Time) error { return &acme.Refusal{Err: errors.New("x"), RateLimited: true} }, time.Hour, time.Hour},
		{"rate limited, until", func(now time.Time) error {
			return &acme.Refusal{Err: errors.New("x"), RateLimited: true, RetryAfter: now.Add(50 * time.Hour)}
		}, 50 * time.Hour, 50 * time.Hour},
		{"in the past", func(now time.Time) error {
			return &acme.Refusal{Err: errors.New("x"), RateLimited: true, RetryAfter: now.Add(-50 * time.Hour)}
		}, time.Hour, time.Hour},
		{"wrapped", func(now time.Time) error {
			return fmt.Errorf("y: %w", &acme.Refusal{Err: errors.New("x"), RetryAfter: now.Add(5 * time.Hour)})
		}, 5 * time.Hour, 5 * time.Hour},
		{"in the year 9999", func(now time.Time) error {
			return &acme.Refusal{Err: errors.New("x"), RetryAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
		}, maxRetry, maxRetry},
		{"an error of another kind", func(time.Time) error { return errors.New("x") }, time.Hour, time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				h.acme.fail = func(int) error { return test.err(h.now()) }
				k, stop := h.run(withACME(plainWish))
				between(t, "the wait", k.Status().NextTry.Sub(h.now()), test.least, test.most)
				if len(h.acme.times()) != 1 || k.Status().Tries != 1 || k.Status().LastError == "" {
					t.Fatalf("there were %d tries", len(h.acme.times()))
				}
				stop()
				_, stop = h.run(withACME(plainWish)) // a start does not forget
				defer stop()
				pass(test.least - time.Second)
				if tries := len(h.acme.times()); tries != 1 {
					t.Errorf("before its time there were %d tries", tries)
				}
				pass(test.most - test.least + time.Hour + 2*time.Second)
				if tries := len(h.acme.times()); tries < 2 {
					t.Error("after its time there was none")
				}
			})
		})
	}
}

func TestAnAuthorityThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.hang = true
		k, stop := h.run(withACME(plainWish))
		pass(askingLimit + time.Second)
		if status := k.Status(); status.Tries != 1 || !strings.Contains(status.LastError, "deadline") || !status.NextTry.After(h.now()) {
			t.Errorf("it failed %d times, %s", status.Tries, status.LastError)
		}
		pass(65 * time.Minute)
		stop() // while it hangs again
		asked := len(h.acme.times())
		k, stop = h.run(withACME(plainWish))
		defer stop()
		if tries := k.Status().Tries; tries != asked-1 {
			t.Errorf("%d of %d tries count, of which one was stopped", tries, asked)
		}
		pass(50 * time.Second)
		if again := len(h.acme.times()); again != asked {
			t.Error("a stop lets it ask without a pause")
		}
	})
}

func TestACrashInTheMiddleOfARequestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.hang = true
		_, stop := h.run(withACME(plainWish))
		h.cutAt(1) // from here on nothing is written any more
		stop()
		h.cutAt(0)
		for range 10 {
			k, stop := h.run(withACME(plainWish))
			h.cutAt(1)
			if status := k.Status(); status.Tries != 1 || status.LastError != "it was cut off" {
				t.Errorf("it failed %d times, %s", status.Tries, status.LastError)
			}
			pass(5 * time.Second)
			stop()
			h.cutAt(0)
		}
		if asked := len(h.acme.times()); asked != 1 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

func TestATornRecordWaits(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"format":"appliance-renewal","version":2}`, "\x00\x00\x00"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				h.ensure(withACME(plainWish))
				h.write(attemptsPath, []byte(text))
				_, stop := h.run(withACME(plainWish))
				if said := h.warnings(); len(said) != 1 || !strings.Contains(said[0], "is damaged") {
					t.Errorf("the warnings are %q", said)
				}
				pass(30 * time.Minute)
				stop()
				k, stop := h.run(withACME(plainWish))
				defer stop()
				pass(29 * time.Minute)
				if asked := len(h.acme.times()); asked != 0 || len(h.warnings()) != 0 {
					t.Errorf("it was asked %d times", asked)
				}
				pass(2 * time.Minute)
				if asked := len(h.acme.times()); asked != 1 || k.Status().Source != Issued || h.sys.Exists(attemptsPath) {
					t.Errorf("it was asked %d times", asked)
				}
			})
		})
	}
}

func TestNobodyIsAskedWithoutACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		k, stop := h.run(plainWish)
		defer stop()
		h.cutAt(1) // a full disk
		k.Wish(withACME(plainWish))
		pass(3 * time.Hour)
		if asked := len(h.acme.times()); asked != 0 {
			t.Errorf("it was asked %d times", asked)
		}
		if status := k.Status(); status.Tries == 0 || !strings.Contains(status.LastError, errCut.Error()) {
			t.Errorf("it failed %d times, %s", status.Tries, status.LastError)
		}
		h.cutAt(0)
		pass(10 * time.Hour)
		if k.Status().Source != Issued {
			t.Errorf("there is the %s", k.Status())
		}
	})
}

func TestTheClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		w := withACME(plainWish)
		_, stop := h.run(w)
		defer stop()
		h.jump(70 * dayLong) // a suspended host wakes up
		pass(time.Hour + time.Second)
		if asked := len(h.acme.times()); asked != 2 {
			t.Errorf("an hour after a jump it was asked %d times", asked)
		}
		h.check(w)
	})
}

func TestTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.acme.fail = func(int) error { return errDown }
		_, stop := h.run(withACME(plainWish))
		pass(5 * dayLong) // to the longest delay
		asked := len(h.acme.times())
		h.jump(-3650 * dayLong)
		pass(time.Hour)
		stop()
		k, stop := h.run(withACME(plainWish))
		defer stop()
		if now := len(h.acme.times()); now > asked+1 {
			t.Errorf("within an hour it was asked %d times", now-asked)
		}
		h.acme.does(func() { h.acme.fail = nil })
		pass(2*dayLong + 12*time.Hour) // twice the longest delay
		if now := len(h.acme.times()); now > asked+2 || k.Status().Source != Issued {
			t.Errorf("after it was set back it was asked %d times more", now-asked)
		}
	})
}

// A host without a clock of its own begins each boot in the past.
func TestABootInThePastDoesNotForgetALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const behind = 40 * 365 * dayLong
		h := newHost(t, time.Time{})
		h.jump(behind)
		h.acme.fail = func(int) error {
			return &acme.Refusal{Err: errDown, RateLimited: true, RetryAfter: h.now().Add(6 * dayLong)}
		}
		k, stop := h.run(withACME(plainWish))
		until := k.Status().NextTry
		stop()
		for range 5 {
			h.jump(-behind)
			k, stop = h.run(withACME(plainWish))
			pass(10 * time.Second)
			h.jump(behind) // the time comes from the network
			pass(2 * time.Hour)
			if next := k.Status().NextTry; !next.Equal(until) {
				t.Errorf("the next try is at %s, not %s", next, until)
			}
			stop()
		}
		if asked := len(h.acme.times()); asked != 1 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

// An authority counts who asks, not what they have set: whoever reloads again and again must not ask each time.
func TestALimitIsOfTheAuthority(t *testing.T) {
	const other = "https://other.example/directory"
	for _, test := range []struct {
		name    string
		change  func(*Wish)
		limited bool
		asked   bool
	}{
		{"how records are written", func(w *Wish) { w.ACME.DNS.Propagation = time.Minute }, true, false},
		{"the account's mail", func(w *Wish) { w.ACME.Email = "x@a.example" }, true, false},
		{"another name", func(w *Wish) { w.Names = []string{"a.example", "b.example"} }, true, false},
		{"another authority", func(w *Wish) { w.ACME.Directory = other }, true, true},
		{"no limit, but a mistake", func(w *Wish) { w.ACME.DNS.Password = "better" }, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				h.acme.fail = func(int) error {
					return &acme.Refusal{Err: errDown, RateLimited: test.limited, RetryAfter: h.now().Add(6 * dayLong)}
				}
				_, stop := h.run(withACME(plainWish))
				stop()
				w := withACME(plainWish)
				test.change(&w)
				for range 3 {
					_, stop = h.run(w)
					pass(time.Second)
					stop()
				}
				if asked := len(h.acme.times()); asked != 1 != test.asked {
					t.Fatalf("it was asked %d times", asked)
				}
				if test.asked {
					return
				}
				k, stop := h.run(w)
				defer stop()
				h.acme.does(func() { h.acme.fail = func(int) error { return errDown } })
				if _, err := k.Renew(t.Context()); err == nil || len(h.acme.times()) != 2 { // nobody who asks is told to wait
					t.Errorf("Renew says %v", err)
				}
				pass(5 * dayLong)
				if asked := len(h.acme.times()); asked != 2 {
					t.Errorf("after it, it was asked %d times", asked-2)
				}
				h.acme.does(func() { h.acme.fail = nil })
				pass(2 * dayLong)
				if status := k.Status(); status.Source != Issued || h.sys.Exists(attemptsPath) {
					t.Errorf("after its time there is the %s", status)
				}
			})
		})
	}
}

// A limit that a wrong clock has written must not lock a host out.
func TestALimitOfAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, time.Time{})
		h.jump(3650 * dayLong)
		h.acme.fail = func(int) error { return &acme.Refusal{Err: errDown, RateLimited: true} }
		_, stop := h.run(withACME(plainWish))
		stop()
		h.jump(-3650 * dayLong)
		h.acme.does(func() { h.acme.fail = nil })
		w := withACME(plainWish)
		w.ACME.Email = "x@a.example"
		k, stop := h.run(w)
		defer stop()
		if status := k.Status(); status.Source != Issued {
			t.Errorf("there is the %s, %s", status, status.NextTry)
		}
	})
}
