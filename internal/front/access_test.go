package front

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestEveryRequestHasItsLine(t *testing.T) {
	s := start(t, Limits{}, func(state *State) { state.Routes = to(upstream(t, hello)) })
	c := s.client(t, nil)
	for i := range 20 {
		do(t, c, http.MethodGet, fmt.Sprintf("/path%%20%d?secret=1", i), http.Header{"User-Agent": {"evil\"\xff[31m\\"}}, nil)
	}
	wait(t, "the lines are written", func() bool { return strings.Count(s.access.String(), "\n") == 20 })
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 127\.0\.0\.1 GET example\.test /path%20(\d+) HTTP/1\.1 200 5 \d+\.\d{4} web - "evil\\x22\\xff\[31m\\x5c"$`)
	for i, line := range strings.Split(strings.TrimSpace(s.access.String()), "\n") {
		if m := form.FindStringSubmatch(line); m == nil || m[1] != fmt.Sprint(i) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if strings.Contains(s.access.String()+s.logs.String(), "secret") {
		t.Error("a query is in the log")
	}
}

// stuck is a writer that does not get on.
type stuck struct{ free chan bool }

func (s stuck) Write(p []byte) (int, error) {
	<-s.free
	return len(p), nil
}

func TestRequestsDoNotWaitForTheirLines(t *testing.T) {
	out := stuck{make(chan bool)}
	a := newAccessLog(out)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.test/"+strings.Repeat("x", 1000), nil)
	x := &exchange{in: r, conn: &conn{text: "192.0.2.1"}, started: time.Now()}
	for range 2 * accessMost / 1000 {
		a.note(x)
	}
	a.mu.Lock()
	lost, kept := a.lost, len(a.lines)
	a.mu.Unlock()
	if lost == 0 || kept > accessMost+2000 {
		t.Errorf("%d lost, %d bytes kept", lost, kept)
	}
	close(out.free)
	a.close(t.Context())
}

func TestADrainDoesNotWaitForAStuckLog(t *testing.T) {
	out := stuck{make(chan bool)}
	defer close(out.free)
	s := NewServer(Config{Access: out})
	s.access.mu.Lock()
	s.access.lines = append(s.access.lines, "a line\n"...)
	s.access.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	drained := make(chan bool)
	go func() { _ = s.Drain(ctx); close(drained) }()
	select {
	case <-drained:
	case <-time.After(10 * time.Second):
		t.Error("the drain outlasts its context")
	}
}

// When connections are cut off since the time is up, their lines are what tells of it.
func TestTheLastLinesAreWrittenWhenTheTimeIsUp(t *testing.T) {
	out := &lines{}
	a := newAccessLog(out)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.test/last", nil)
	a.note(&exchange{in: r, conn: &conn{text: "192.0.2.1"}, started: time.Now()})
	ended, end := context.WithCancel(t.Context())
	end()
	if a.close(ended); !strings.Contains(out.String(), "/last") {
		t.Errorf("%q", out.String())
	}
}

func TestLinesAreBounded(t *testing.T) {
	r, _ := http.NewRequestWithContext(t.Context(), strings.Repeat("M", 1000), "https://"+strings.Repeat("h", 5000)+"/"+strings.Repeat("p", 20_000), nil)
	r.Header.Set("User-Agent", strings.Repeat("u", 20_000))
	line := appendLine(nil, &exchange{in: r, conn: &conn{text: "192.0.2.1"}}, time.Second)
	if len(line) > 2000 {
		t.Errorf("%d bytes", len(line))
	}
}

func BenchmarkLine(b *testing.B) {
	r, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://example.test/some/path", nil)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	x := &exchange{in: r, conn: &conn{text: "192.0.2.1"}, started: time.Now()}
	var line []byte
	for b.Loop() {
		line = appendLine(line[:0], x, time.Millisecond)
	}
}
