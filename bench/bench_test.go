package bench

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	full   = flag.Bool("full", false, "measure everything, beside the peers, and write build/bench.json")
	rounds = flag.Float64("rounds", 1, "with -full, how many times the usual number of rounds")
)

// programs are what is measured. A peer that is not there is "".
type programs struct {
	appliance string
	flatyaml  string
	composeV5 string
	v5        string // its version
	composeV1 string
	python    string // with PyYAML
	yq        string
}

// suite is one run of the measurements.
type suite struct {
	tb       testing.TB
	ctx      context.Context
	programs programs
	interval time.Duration // between health checks, where no cold start is measured
	report   *Report
}

func (s *suite) ours(what, command string) series { return series{what, "appliance: " + command, "ms"} }

func (s *suite) v5(what, command string) series {
	return series{what, "Compose CLI " + s.programs.v5 + ": " + command, "ms"}
}

func (s *suite) v1(what, command string) series {
	return series{what, "docker-compose 1.29: " + command, "ms"}
}

// measure lets contenders take turns and adds their rows to the report.
func (s *suite) measure(p plan, turns ...turn) {
	s.tb.Helper()
	rows := interleave(p, func() bool { return s.ctx.Err() == nil }, turns...)
	if s.ctx.Err() != nil {
		s.tb.Fatal("interrupted") // ends the test in order: what was made on the engine is removed
	}
	s.report.Rows = append(s.report.Rows, rows...)
}

func (s *suite) row(of series) *Row { return s.report.find(of.what, of.who) }

// TestBench measures everything, beside the peers.
func TestBench(t *testing.T) {
	if !*full {
		t.Skip("only with -full; TestSmoke tries the harness")
	}
	t.Setenv("APPLIANCE_ENGINE", "require")
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	build := filepath.Join(repository(t), "build")
	s := suite{ctx: ctx, interval: calm, report: &Report{Version: 1, Began: time.Now()}}
	s.programs = programs{appliance: buildProgram(t, build, "appliance"), flatyaml: buildProgram(t, build, "flatyaml")}
	s.programs.composeV5, s.programs.v5 = buildCompose(t, filepath.Join(build, "peers"))
	if s.programs.composeV1 = findComposeV1(ctx); s.programs.composeV1 == "" {
		s.report.note("docker-compose 1.29 (Python) is not installed: not measured")
	}
	if s.programs.python = findPython(ctx); s.programs.python == "" {
		s.report.note("python3 with PyYAML is not installed (Debian's python3-yaml): not measured")
	}
	if s.programs.yq = findYq(ctx); s.programs.yq == "" {
		s.report.note("yq is not installed (Debian's yq): not measured")
	}
	s.report.Facts = gatherFacts(ctx)
	times := func(warm, n int) plan { return plan{warm, max(1, int(float64(n)**rounds))} }
	for _, part := range []struct {
		name    string
		measure func(*suite)
	}{
		{"environment", func(s *suite) { s.environment(times(3, 60)) }},
		{"sources", func(s *suite) { s.silentSources(times(0, 5)) }},
		{"no-op start", func(s *suite) { s.noOpStart(times(2, 30)) }},
		{"cold start", func(s *suite) { s.coldStart(times(1, 15)) }},
		{"memory", func(s *suite) { s.restingMemory(times(0, 5), 5*time.Second) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := s
			own.tb = t
			part.measure(&own)
		})
	}
	publish(t, s.report, filepath.Join(build, "bench.json"))
}

func publish(t *testing.T, report *Report, path string) {
	report.Took = time.Since(report.Began).Round(time.Second).String()
	report.note("the verdict's number is the measured value by the limit; medians are compared, of memory the worst sample")
	report.note("health checks each %s for cold starts, else each %s: more often, they are what is measured", quick, calm)
	if err := report.WriteMarkdown(os.Stdout); err != nil {
		t.Error(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := report.WriteJSON(file); err != nil {
		t.Error(err)
	}
}

// generous is by how much a number may miss its limit on a machine that does other things as well. Memory does not
// depend on those.
var generous = map[string]float64{"ms": 20, "MB": 1.5}

// TestSmoke tries the harness on the appliance alone, with a round or two.
func TestSmoke(t *testing.T) {
	if *full {
		t.Skip("TestBench measures it all")
	}
	s := suite{tb: t, ctx: t.Context(), interval: quick, report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(t.Context())}}
	dir := t.TempDir()
	s.programs = programs{appliance: buildProgram(t, dir, "appliance"), flatyaml: buildProgram(t, dir, "flatyaml")}
	s.environment(plan{0, 3})
	s.silentSources(plan{0, 1})
	s.noOpStart(plan{0, 2})
	s.restingMemory(plan{0, 1}, 0)
	var text strings.Builder
	if err := s.report.WriteMarkdown(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", &text)
	for _, row := range s.report.Rows {
		switch q := row.Requirement; {
		case row.Min <= 0:
			t.Errorf("%s, %s: %g %s cannot be", row.What, row.Who, row.Min, row.Unit)
		case q != nil && q.Factor > generous[row.Unit]:
			t.Errorf("%s, %s: %.1f times the limit (%s)", row.What, row.Who, q.Factor, q.Text)
		case row.What == noOp && row.Median > 10_000:
			t.Errorf("%s, %s: %.0f %s", row.What, row.Who, row.Median, row.Unit)
		}
	}
}
