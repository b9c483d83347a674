package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const connections = 100 // of visitors at a time

// loads measures requests per second and the time that 99 of 100 answers keep to, with all cores busy.
func (f *fronts) loads(p plan, each time.Duration) {
	for _, generator := range []struct {
		protocol, program string
		run               func(*fronts, contender, time.Duration) load
	}{
		{"HTTP/1.1", "wrk", (*fronts).wrk},
		{"HTTP/2", "h2load", (*fronts).h2load},
	} {
		if _, err := exec.LookPath(generator.program); err != nil {
			f.report.note("%s is not installed: %s is not measured", generator.program, generator.protocol)
			continue
		}
		var n noise
		silent := map[string]bool{}
		what := func(of string) string {
			return fmt.Sprintf("%s, %d connections: %s", generator.protocol, connections, of)
		}
		var turns []turn
		for _, c := range f.all {
			turns = append(turns, func(record recorder) {
				n.look(f.tb)
				before, log := cpuOf(f.tb, c), f.logged(c)
				l := generator.run(f, c, each)
				if f.logged(c)-log < l.answers*20 {
					silent[c.who] = true
				}
				record(series{what("requests"), c.who, "1/s"}, l.rate)
				record(series{what("p99"), c.who, "ms"}, l.p99)
				record(series{what("processor time of one"), c.who, "µs"}, (cpuOf(f.tb, c)-before).Seconds()*1e6/l.answers)
			})
		}
		f.measure(p, turns...)
		for who := range silent {
			f.report.note("%s has not logged each request: its numbers are too good", who)
		}
		f.judgeLoad(what)
		f.report.note("%s by %s, %s a turn; load average before the turns %.1f to %.1f",
			generator.protocol, generator.program, each, slices.Min(n), slices.Max(n))
	}
}

func (f *fronts) judgeLoad(what func(string) string) {
	const ours, caddy, nginx = "appliance", "Debian's caddy", "Debian's nginx"
	rate, p99 := f.report.find(what("requests"), ours), f.report.find(what("p99"), ours)
	rate.requireNoLess(f.report.find(what("requests"), caddy))
	p99.requireBeside(f.report.find(what("p99"), caddy), 1)
	if peer := f.report.find(what("requests"), nginx); peer != nil {
		f.report.note("%s: %.2f × nginx", what("requests"), rate.Median/peer.Median)
	}
	if peer := f.report.find(what("p99"), nginx); peer != nil {
		f.report.note("%s: %.2f × nginx", what("p99"), p99.Median/peer.Median)
	}
}

// logged is how many bytes are in a contender's log: all write one, to a file.
func (f *fronts) logged(c contender) float64 {
	f.tb.Helper()
	info, err := os.Stat(c.log)
	if err != nil {
		f.tb.Fatal(err)
	}
	return float64(info.Size())
}

// load is what a generator has seen.
type load struct {
	answers float64
	rate    float64 // answers per second
	p99     float64 // milliseconds
}

func (f *fronts) wrk(c contender, each time.Duration) load {
	f.tb.Helper()
	cmd := exec.CommandContext(f.ctx, "wrk", "--threads=2", fmt.Sprint("--connections=", connections),
		fmt.Sprintf("--duration=%.0fs", each.Seconds()), "--latency", "https://"+c.address+"/")
	out, err := cmd.Output()
	if err != nil {
		f.tb.Fatalf("%v: %v", cmd.Args, err)
	}
	l, err := parseWrk(string(out))
	if err != nil {
		f.tb.Fatalf("wrk before %s: %v", c.who, err)
	}
	return l
}

var wrkNumbers = regexp.MustCompile(`(?s)\n +99% +([0-9.]+)(us|ms|s)\n.*? (\d+) requests in .*\nRequests/sec: +([0-9.]+)\n`)

// parseWrk reads what wrk 4.1 prints. Answers that were not right make it worthless.
func parseWrk(out string) (load, error) {
	for _, bad := range []string{"Non-2xx", "Socket errors"} {
		if strings.Contains(out, bad) {
			return load{}, fmt.Errorf("cannot use a run with failures: %s", out)
		}
	}
	found := wrkNumbers.FindStringSubmatch(out)
	if found == nil {
		return load{}, fmt.Errorf("cannot read the output: %s", out)
	}
	p99, err := time.ParseDuration(found[1] + found[2])
	if err != nil {
		return load{}, err
	}
	answers, err := strconv.ParseFloat(found[3], 64)
	if err != nil {
		return load{}, err
	}
	rate, err := strconv.ParseFloat(found[4], 64)
	return load{answers, rate, milliseconds(p99)}, err
}

func (f *fronts) h2load(c contender, each time.Duration) load {
	f.tb.Helper()
	log := filepath.Join(f.tb.TempDir(), "h2load.log")
	cmd := exec.CommandContext(f.ctx, "h2load", "--threads=2", fmt.Sprint("--clients=", connections), "--max-concurrent-streams=1",
		fmt.Sprintf("--duration=%.0fs", each.Seconds()), "--log-file="+log, "https://"+c.address+"/")
	out, err := cmd.Output()
	if err != nil {
		f.tb.Fatalf("%v: %v", cmd.Args, err)
	}
	took, err := readH2Log(log)
	if err != nil || len(took) == 0 || !strings.Contains(string(out), " 0 failed, 0 errored, 0 timeout") {
		f.tb.Fatalf("h2load before %s: %v\n%s", c.who, err, out)
	}
	slices.Sort(took)
	return load{float64(len(took)), float64(len(took)) / each.Seconds(), rank(took, 0.99) / 1e3}
}

// readH2Log reads when each request began, its status and how many microseconds it took.
func readH2Log(path string) (took []float64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[1] != "200" {
			return nil, fmt.Errorf("cannot use a run with failures: %q", lines.Text())
		}
		us, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, err
		}
		took = append(took, us)
	}
	return took, lines.Err()
}

// cpuOf is the processor time that a contender has used so far; the kernel counts in hundredths of a second.
func cpuOf(tb testing.TB, c contender) time.Duration {
	tb.Helper()
	var ticks time.Duration
	for _, pid := range c.processes(tb) {
		text := readText(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // from the third on, see proc_pid_stat
		if len(fields) < 13 {
			tb.Fatalf("cannot read what process %d of %s has used: %q", pid, c.who, text)
		}
		for _, field := range fields[11:13] { // in user mode and in the kernel
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			ticks += time.Duration(n)
		}
	}
	return ticks * 10 * time.Millisecond
}

func TestParseWrk(t *testing.T) {
	const good = `Running 2s test @ https://127.0.0.1:4433/
  2 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.20ms    3.10ms  40.00ms   70.00%
    Req/Sec    12.00k     1.00k   13.00k    75.00%
  Latency Distribution
     50%    3.90ms
     75%    5.00ms
     90%    7.00ms
     99%   12.50ms
  48000 requests in 2.00s, 55.00MB read
Requests/sec:  23990.10
Transfer/sec:     27.50MB
`
	got, err := parseWrk(good)
	if want := (load{48000, 23990.1, 12.5}); err != nil || got != want {
		t.Errorf("%+v, %v instead of %+v", got, err, want)
	}
	if got, err := parseWrk(strings.Replace(good, "12.50ms", "900.00us", 1)); err != nil || got.p99 != 0.9 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"failures": good + "  Non-2xx or 3xx responses: 5\n", "connections": good + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
		"nothing": "", "no p99": strings.Replace(good, "99%", "98%", 1),
	} {
		if got, err := parseWrk(text); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
