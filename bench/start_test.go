package bench

import (
	"maps"
	"time"
)

// The intervals of the health checks. Each check is a process that the engine starts: at many a second they are all that
// is measured of a start which does nothing, while a cold start waits for the first.
const (
	calm  = 2 * time.Second
	quick = 200 * time.Millisecond
)

// What is measured, as the rows call it.
const (
	noOp      = "no-op start"
	coldStart = "cold start"
	answers   = "start → API answers"
)

// noOpStart measures a start with everything up already: the supervisor was killed, the containers run.
func (s *suite) noOpStart(p plan) {
	shared := newHost(s.tb, s.programs.appliance, s.interval)
	_, supervisor := shared.walk()
	supervisor.Kill()
	before := shared.Containers()

	whole, internal := s.ours(noOp, "exec → healthy"), s.ours(noOp, "prepare-env → healthy")
	api := s.ours(answers, "exec → GET /v1/status")
	peer := s.v5(noOp, "up -d")
	turns := []turn{func(record recorder) {
		start, supervisor := shared.walk()
		supervisor.Kill()
		record(internal, start.walk)
		record(whole, start.healthy)
		record(api, start.api)
	}}
	if s.programs.composeV5 != "" { // on the same containers: the SDK finds them as it left them
		turns = append(turns, func(record recorder) {
			record(peer, timed(s.tb, shared.v5(s.programs.composeV5, "up", "-d")))
		})
	}
	if s.programs.composeV1 != "" { // it would replace the others' containers
		own := newHost(s.tb, s.programs.appliance, s.interval)
		timed(s.tb, own.v1(s.programs.composeV1, "up", "-d"))
		own.awaitHealthy()
		turns = append(turns, func(record recorder) {
			record(s.v1(noOp, "up -d"), timed(s.tb, own.v1(s.programs.composeV1, "up", "-d")))
		})
	}
	s.measure(p, turns...)
	if after := shared.Containers(); !maps.Equal(before, after) {
		s.tb.Fatalf("a start that should do nothing touched the containers:\nbefore %v\nafter  %v", before, after)
	}
	s.row(internal).requireBeside(s.row(peer), 1)
	s.row(whole).requireBeside(s.row(peer), 1)
	s.row(api).requireMedian(50)
}

// coldStart measures a first start on a host that has the images and nothing else.
func (s *suite) coldStart(p plan) {
	whole, peer := s.ours(coldStart, "exec → healthy"), s.v5(coldStart, "up -d --wait")
	own := newHost(s.tb, s.programs.appliance, quick)
	turns := []turn{func(record recorder) {
		start, supervisor := own.walk()
		supervisor.Kill()
		own.clear()
		record(whole, start.healthy)
	}}
	if s.programs.composeV5 != "" {
		theirs := newHost(s.tb, s.programs.appliance, quick)
		turns = append(turns, func(record recorder) {
			record(peer, timed(s.tb, theirs.v5(s.programs.composeV5, "up", "-d", "--wait")))
			theirs.clear()
		})
	}
	if s.programs.composeV1 != "" {
		theirs := newHost(s.tb, s.programs.appliance, quick)
		turns = append(turns, func(record recorder) {
			began := time.Now()
			timed(s.tb, theirs.v1(s.programs.composeV1, "up", "-d"))
			theirs.awaitHealthy() // it cannot wait itself
			record(s.v1(coldStart, "up -d, until healthy"), milliseconds(time.Since(began)))
			theirs.clear()
		})
	}
	s.measure(p, turns...)
	s.row(whole).requireBeside(s.row(peer), 1.15)
}
