package bench

import (
	"os/exec"
	"time"
)

const (
	anonymous = "memory, anonymous"
	resident  = "memory, resident"
)

// restingMemory measures what stays in memory some time after all is well, following a cold start, which takes the most.
func (s *suite) restingMemory(p plan, rest time.Duration) {
	own := newHost(s.tb, s.programs.appliance, s.interval)
	turns := []turn{func(record recorder) {
		_, supervisor := own.walk()
		m := s.memoryAfter(rest, supervisor.Cmd.Process.Pid)
		supervisor.Kill()
		own.clear()
		record(megabytes(s.ours(anonymous, "run")), m.anonymous)
		record(megabytes(s.ours(resident, "run")), m.resident)
	}}
	attached := func(who func(what, command string) series, up func(h *host) *exec.Cmd) {
		theirs := newHost(s.tb, s.programs.appliance, s.interval)
		turns = append(turns, func(record recorder) {
			cmd := up(theirs)
			if err := cmd.Start(); err != nil {
				s.tb.Fatal(err)
			}
			theirs.awaitHealthy()
			m := s.memoryAfter(rest, cmd.Process.Pid)
			_ = cmd.Process.Kill() // it was there a moment ago
			_ = cmd.Wait()         // it was killed
			theirs.clear()
			record(megabytes(who(anonymous, "up, attached")), m.anonymous)
			record(megabytes(who(resident, "up, attached")), m.resident)
		})
	}
	if s.programs.composeV5 != "" {
		attached(s.v5, func(h *host) *exec.Cmd { return h.v5(s.programs.composeV5, "up") })
	}
	if s.programs.composeV1 != "" {
		attached(s.v1, func(h *host) *exec.Cmd { return h.v1(s.programs.composeV1, "up") })
	}
	s.measure(p, turns...)
	s.row(s.ours(anonymous, "run")).requireEach(12)
	s.row(s.ours(resident, "run")).requireEach(35)
}

func (s *suite) memoryAfter(rest time.Duration, pid int) memory {
	time.Sleep(rest) // what is measured is what stays: there is no condition to wait for
	m, err := memoryOf(pid)
	if err != nil {
		s.tb.Fatal(err)
	}
	return m
}

func megabytes(of series) series {
	of.unit = "MB"
	return of
}
