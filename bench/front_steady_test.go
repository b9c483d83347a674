package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"appliance/bench/internal/steady"
	"appliance/internal/testbed"
)

// visitors are who must not notice anything: those who stay and those who come anew for each request, by both protocols,
// and those whose answers are always half done.
var visitors = []steady.Crowd{
	{Visitors: 24, Path: "/", Way: steady.KeepAlive},
	{Visitors: 8, Path: "/", Way: steady.HTTP2},
	{Visitors: 8, Path: "/", Way: steady.OneEach},
	{Visitors: 8, Path: "/slow/", Way: steady.KeepAlive},
	{Visitors: 8, Path: "/slow/", Way: steady.HTTP2},
}

// disturbance is what is done to a front while visitors are there, so and so often.
type disturbance struct {
	what  string
	times int
	do    func(n int)
}

// undisturbed counts the requests that fail while a front is disturbed, and goes on until enough have been asked.
func (s *suite) undisturbed(what string, c steady.Config, enough int, disturbances ...disturbance) {
	load := steady.New(c)
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Minute)
	defer cancel()
	done := make(chan steady.Result, 1)
	go func() { done <- load.Run(ctx) }()
	took := make([][]float64, len(disturbances))
	for round, goOn := 0, true; goOn; round++ { // they take turns
		goOn = false
		for i, d := range disturbances {
			if round < d.times {
				began := time.Now()
				d.do(round)
				took[i], goOn = append(took[i], milliseconds(time.Since(began))), true
			}
		}
	}
	for ctx.Err() == nil && load.Asked() < enough {
		time.Sleep(10 * time.Millisecond) // a poll with a deadline
	}
	cancel()
	result := <-done
	if result.Asked < enough {
		s.tb.Fatalf("only %d of %d requests in time", result.Asked, enough)
	}
	for i, d := range disturbances {
		s.add(series{d.what + " under load", "appliance", "ms"}, took[i]...)
	}
	s.judgeFailures(what, result)
}

func (s *suite) judgeFailures(what string, result steady.Result) {
	failed := 0
	for _, text := range slices.SortedFunc(maps.Keys(result.Failed), func(a, b string) int { return cmp.Compare(result.Failed[b], result.Failed[a]) }) {
		failed += result.Failed[text]
		s.report.note("%s: %d × %s", what, result.Failed[text], text)
	}
	row := s.add(series{fmt.Sprintf("failed of %d requests, %s", result.Asked, what), "appliance", ""}, float64(failed))
	if result.Again > 0 {
		s.report.note("%s: %d requests were sent away untouched by HTTP/2, and answered at once by the next worker", what, result.Again)
	}
	row.Requirement = &Requirement{Text: "none", Factor: float64(failed), Pass: failed == 0}
	s.add(series{"the slowest of them", "appliance", "ms"}, milliseconds(result.Slowest))
}

// add puts a row of samples into the report.
func (s *suite) add(of series, samples ...float64) *Row {
	row := &Row{What: of.what, Who: of.who, Unit: of.unit, Summary: summarize(samples), Samples: samples}
	s.report.Rows = append(s.report.Rows, row)
	return row
}

// workers replaces the worker behind the sockets, and the certificate, under load.
func (f *fronts) workers(times, enough int) {
	second := newIdentity(f.tb, f.tb.TempDir())
	f.undisturbed(fmt.Sprintf("worker and certificate changed %d times", times),
		steady.Config{Address: f.ours.address, TLS: trust(f.id, second), Size: answerSize, Crowds: visitors}, enough,
		disturbance{"another worker", times, func(int) {
			another := testbed.FreeAddress(f.tb) // other sockets are for another worker
			if err := f.ours.front.Listen([]string{another}, []string{f.ours.address}); err != nil {
				f.tb.Fatal(err)
			}
			f.ours.tell(f.tb)
		}},
		disturbance{"another certificate", times, func(n int) {
			f.ours.state.Certificate = &[]identity{second, f.id}[n%2].KeyPair
			f.ours.tell(f.tb)
		}})
}
