package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long the network sources may take all together: a start with nobody there shall cost 3 s at most.
const patience = 2800 * time.Millisecond

// askSideBySide asks all sources at once and waits for them in their order, for no more of them than are needed to decide.
func (s *search) askSideBySide(ctx context.Context, sources []source) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel() // first: those that are not needed any more give up at once
	replies := make([]chan reply, len(sources))
	for i, src := range sources {
		replies[i] = make(chan reply, 1)
		all.Go(func() { replies[i] <- src.reply(ctx) })
	}
	var got []reply
	intact := true
	for i := range sources {
		r := <-replies[i]
		got = append(got, r)
		intact = intact && r.verdict.Outcome != Broken
		if s.standsIn(r) || intact && r.found != nil {
			break
		}
	}
	return s.decide(sources, got)
}

// standsIn says whether the cached document takes the place of this reply: its own source answers nothing of use. One that
// says that it has nothing is believed.
func (s *search) standsIn(r reply) bool {
	return s.Cached != nil && r.verdict.Source == s.Cached.Source && (r.verdict.Outcome == Broken || r.silent())
}

// decide takes the first document, unless a broken source comes before it.
//
// The cached document makes up for broken sources before its own too: most clouds serve at one address, so a service that
// is down breaks several sources, and when the document came those before had nothing.
func (s *search) decide(sources []source, got []reply) (Result, error) {
	var result Result
	var broken []int
	for i, r := range got {
		result.Sources = append(result.Sources, r.verdict)
		if r.verdict.Outcome == Broken {
			broken = append(broken, i)
		}
	}
	first := slices.IndexFunc(got, func(r reply) bool { return r.found != nil || s.standsIn(r) })
	if first >= 0 && s.standsIn(got[first]) {
		v := &result.Sources[first]
		v.Outcome, v.Cached, v.Detail = Found, true, "the document that ran here before stands in: "+v.Detail
		result.Found, result.Cached = s.Cached, true
		return result, nil
	}
	if len(broken) > 0 {
		return result, brokenTogether(sources, got, broken)
	}
	if first >= 0 {
		result.Found = got[first].found
	}
	return result, nil
}

// brokenTogether is the error of the first broken source, which mentions the others.
func brokenTogether(sources []source, got []reply, broken []int) error {
	err := got[broken[0]].err
	var others []string
	for _, i := range broken[1:] {
		others = append(others, sources[i].name)
	}
	if len(others) > 0 {
		err = fmt.Errorf("%w (broken too: %s)", err, strings.Join(others, ", "))
	}
	return sources[broken[0]].broken(err)
}
