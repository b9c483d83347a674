package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary be the demo, so that signals and exit codes
// are those of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_TEST_AS_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestJournalAfterACrash(t *testing.T) {
	const (
		one = `{"seq":1,"kind":"visit","time":"2026-01-02T03:04:05Z"}` + "\n"
		two = `{"seq":2,"kind":"job","time":"2026-01-02T03:04:06Z"}` + "\n"
	)
	tests := []struct {
		name             string
		journal, counter string
		want             totals
		log, damage      string
	}{
		{name: "new"},
		{name: "clean", journal: one + two, counter: `{"records":2,"visits":1}`, want: totals{2, 1}},
		{name: "torn last line", journal: one + two[:20], counter: `{"records":1,"visits":1}`,
			want: totals{1, 1}, log: "cut off a torn last line of 20 bytes"},
		{name: "killed between journal and counter", journal: one + two, counter: `{"records":1,"visits":1}`,
			want: totals{2, 1}, log: "counter was one behind"},
		{name: "killed at the very first record", journal: one, want: totals{1, 1}, log: "counter was one behind"},
		{name: "torn line that was acknowledged", journal: one + two[:20], counter: `{"records":2,"visits":1}`,
			want: totals{1, 1}, log: "damaged", damage: "counter says 2 records"},
		{name: "gap", journal: two, counter: `{"records":1,"visits":0}`, log: "damaged", damage: "gap in the sequence: 2 follows 0"},
		{name: "journal lost", counter: `{"records":7,"visits":3}`, log: "damaged", damage: "journal has 0 and 0"},
		{name: "counter lost", journal: one + two, want: totals{2, 1}, log: "damaged", damage: "counter says 0 records"},
		{name: "counter rolled back", journal: one + two, counter: `{"records":2,"visits":0}`,
			want: totals{2, 1}, log: "damaged", damage: "and 0 visits"},
		{name: "line that is no record", journal: one + "\x00\x00\n", counter: `{"records":1,"visits":1}`,
			want: totals{1, 1}, log: "damaged", damage: "line 2 is no record"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "journal"), test.journal)
			write(t, filepath.Join(dir, "counter"), test.counter)
			var log bytes.Buffer
			j, err := openJournal(dir, &log)
			if err != nil {
				t.Fatal(err)
			}
			got, err := j.check()
			if got != test.want {
				t.Errorf("check() = %+v, want %+v", got, test.want)
			}
			matches(t, "damage", errorText(err), test.damage)
			matches(t, "log", log.String(), test.log)
			_, err = j.append(job)
			matches(t, "append", errorText(err), test.damage)
		})
	}
}

// write makes no file for an empty text.
func write(t *testing.T, path, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// matches wants got to be empty when want is, and to contain want otherwise.
func matches(t *testing.T, what, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func TestJournalTakesBackARecordThatFails(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(visit); err != nil {
		t.Fatal(err)
	}
	// A directory in the place of the counter's temporary file is a disk that
	// takes the record and refuses the counter.
	if err := os.Mkdir(filepath.Join(dir, "counter.new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(visit); err == nil {
		t.Fatal("append() = nil, want an error")
	}
	if got, err := j.check(); err != nil || got != (totals{1, 1}) {
		t.Errorf("after a failed record check() = %+v, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "counter.new")); err != nil {
		t.Fatal(err)
	}
	if got, err := j.append(job); err != nil || got != (totals{2, 1}) {
		t.Errorf("append() = %+v, %v: want record 2", got, err)
	}
}

func TestCheckSeesDamageBehindItsBack(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(visit); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(storeHandler(j, failNot))
	defer srv.Close()
	status, body := get(t, srv.URL+"/check")
	if diff := cmp.Diff(`{"records":1,"visits":1,"ok":true}`+"\n", body); status != http.StatusOK || diff != "" {
		t.Errorf("check answers %d:\n%s", status, diff)
	}
	// The counter goes with the journal, as when a volume is rolled back.
	for _, name := range []string{"journal", "counter"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if status, body = get(t, srv.URL+"/check"); status != http.StatusInternalServerError {
		t.Errorf("after the loss check answers %d: %s", status, body)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestWebCountsVisits(t *testing.T) {
	j, err := openJournal(t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(storeHandler(j, failNot))
	defer store.Close()
	web := httptest.NewServer(webHandler(store.URL, failNot))
	defer web.Close()
	for range 3 {
		get(t, web.URL)
	}
	if _, body := get(t, web.URL); !strings.Contains(body, "Visits: 4\n") || !strings.Contains(body, "Jobs done: 0\n") {
		t.Errorf("page = %s", body)
	}
	if status, body := get(t, web.URL+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz answers %d: %s", status, body)
	}
	store.Close()
	for _, path := range []string{"/", "/healthz"} {
		if status, body := get(t, web.URL+path); status != http.StatusServiceUnavailable {
			t.Errorf("%s without a store answers %d: %s", path, status, body)
		}
	}
}

func TestUnhealthyRolesStillWork(t *testing.T) {
	j, err := openJournal(t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(storeHandler(j, failUnhealthy))
	defer store.Close()
	if status, _ := get(t, store.URL+"/healthz"); status != http.StatusServiceUnavailable {
		t.Errorf("healthz of the store answers %d", status)
	}
	heartbeat := filepath.Join(t.TempDir(), "heartbeat")
	cfg := config{store: store.URL, heartbeat: heartbeat, fail: failUnhealthy, log: io.Discard}
	if err := work(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := probeFile(heartbeat, time.Minute, time.Now()); err == nil {
		t.Error("an unhealthy worker has a heartbeat")
	}
	if got := j.stats(); got.jobs() != 1 {
		t.Errorf("stats() = %+v, want the job to be done", got)
	}
}

func TestProbe(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/good" {
			http.Error(w, "the reason", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "heartbeat")
	write(t, file, "x")
	old := filepath.Join(t.TempDir(), "heartbeat")
	write(t, old, "x")
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string // part of the error, empty for healthy
	}{
		{"answers", []string{srv.URL + "/good"}, ""},
		{"refuses", []string{srv.URL + "/bad"}, "503 Service Unavailable: the reason"},
		{"fresh", []string{"--fresh", "1m", file}, ""},
		{"stale", []string{"--fresh", "1m", old}, "heartbeat is 1h0m0"},
		{"any age", []string{old}, ""},
		{"missing", []string{"--fresh", "1m", file + ".not"}, "no such file"},
		{"nothing", nil, "wants one URL or file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			matches(t, "probe", errorText(probe(t.Context(), test.args)), test.want)
		})
	}
}

func TestProcess(t *testing.T) {
	tests := []struct {
		name   string
		env    []string
		within time.Duration
		want   string // what Wait says
	}{
		{"SIGTERM ends it cleanly", nil, 5 * time.Second, ""},
		{"hang ignores SIGTERM", []string{"DEMO_FAIL=hang"}, 500 * time.Millisecond, "signal: killed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := freeAddr(t)
			cmd := program(t, append(test.env, "DEMO_ADDR="+addr, "DEMO_DIR="+t.TempDir()), "store")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitForListener(t, addr)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(test.within, func() { cmd.Process.Kill() })
			defer kill.Stop()
			if got := errorText(cmd.Wait()); got != test.want {
				t.Errorf("Wait() = %q, want %q", got, test.want)
			}
		})
	}
}

func TestProcessFails(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"told to exit", []string{"DEMO_FAIL=exit"}, []string{"worker"}, "DEMO_FAIL=exit"},
		{"misspelt failure", []string{"DEMO_FAIL=exti"}, []string{"worker"}, "want unhealthy, exit or hang"},
		{"bad delay", []string{"DEMO_START_DELAY=2"}, []string{"worker"}, "DEMO_START_DELAY"},
		{"no role", nil, nil, "no role given"},
		{"unknown role", nil, []string{"wbe"}, `no such role "wbe"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := program(t, test.env, test.args...).CombinedOutput()
			if errorText(err) != "exit status 1" {
				t.Errorf("Wait() = %v", err)
			}
			matches(t, "output", string(out), test.want)
		})
	}
}

// TestKillMinusNine kills a store under load, again and again: no record that
// was acknowledged may be missing, and the sequence has no gap.
func TestKillMinusNine(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for range 5 {
		addr := freeAddr(t)
		cmd := program(t, []string{"DEMO_ADDR=" + addr, "DEMO_DIR=" + dir}, "store")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitForListener(t, addr)
		kill := time.AfterFunc(50*time.Millisecond, func() { cmd.Process.Kill() })
		for {
			got, err := post(t.Context(), "http://"+addr+"/jobs")
			if err != nil {
				break
			}
			acknowledged = got.Records
		}
		kill.Stop()
		if err := cmd.Wait(); errorText(err) != "signal: killed" {
			t.Fatalf("Wait() = %v", err)
		}
	}
	j, err := openJournal(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got, err := j.check()
	if err != nil || acknowledged == 0 || got.Records < acknowledged {
		t.Errorf("check() = %+v, %v after %d acknowledged records", got, err, acknowledged)
	}
}

func TestStartDelayEndsWithSIGTERM(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("DEMO_START_DELAY", "1h")
	if err := run(ctx, []string{"web"}, io.Discard); err != nil {
		t.Errorf("run() = %v", err)
	}
}

func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), append(env, "DEMO_TEST_AS_PROGRAM=1")...)
	return cmd
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitForListener(t *testing.T, addr string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", addr)
}
