package bench

import (
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBenchFront measures the front and how it comes by a certificate, beside the peers.
func TestBenchFront(t *testing.T) {
	if !*full {
		t.Skip("only with -full; TestSmokeFront tries the harness")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	build := filepath.Join(repository(t), "build")
	s := suite{ctx: ctx, report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(ctx)}}
	s.programs.appliance = buildProgram(t, build, "appliance")
	times := func(n int) int { return max(1, int(float64(n)**rounds)) }
	for _, part := range []struct {
		name    string
		measure func(*suite)
	}{
		{"load", func(s *suite) { f := s.newFronts(); f.invite(); f.loads(plan{1, times(5)}, 4*time.Second) }},
		{"idle", func(s *suite) { f := s.newFronts(); f.invite(); f.idle([]int{5_000}, 5*time.Second) }},
		{"crowd", func(s *suite) { f := s.newFronts(); f.idle([]int{50_000}, 5*time.Second) }},
		{"steady", func(s *suite) { f := s.newFronts(); f.workers(20, 100_000) }},
		{"replacement", func(s *suite) { s.replacements(20, 100_000) }},
		{"certificate", func(s *suite) {
			lego, version := buildPeer(s.tb, filepath.Join(build, "peers"), "lego", "github.com/go-acme/lego/v4", "./cmd/lego")
			a := s.newAuthority(0)
			s.issues(plan{1, times(7)}, a, a.clients(lego, version)...)
			polite := s.newAuthority(3) // as Pebble does by itself
			s.issues(plan{0, times(3)}, polite, polite.own(), polite.lego(lego, version))
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := s
			own.tb = t
			part.measure(&own)
		})
	}
	publish(t, s.report, filepath.Join(build, "bench-front.json"))
}

// TestSmokeFront tries the harness on ours alone, with few of everything.
func TestSmokeFront(t *testing.T) {
	if *full {
		t.Skip("TestBenchFront measures it all")
	}
	s := suite{tb: t, ctx: t.Context(), report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(t.Context())}}
	s.programs.appliance = buildProgram(t, t.TempDir(), "appliance")
	f := s.newFronts()
	f.idle([]int{1000}, 0)
	f.workers(3, 2000)
	a := s.newAuthority(0)
	s.issues(plan{0, 1}, a, a.own())
	var text strings.Builder
	if err := s.report.WriteMarkdown(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", &text)
	for _, row := range s.report.Rows {
		if q := row.Requirement; q != nil && !q.Pass && (row.Unit == "" || q.Factor > generousFront) {
			t.Errorf("%s: %s", row.What, q)
		}
	}
}

// generousFront is by how much a number may miss its limit in a smoke test: of few connections, what a worker needs anyhow
// is a part that counts.
const generousFront = 4
