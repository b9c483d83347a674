package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/testbed"
)

// visited is a host whose front listens, and a visitor who trusts its certificate.
type visited struct {
	*testbed.Host
	plain, secure string // addresses
}

// frontCompose is the demo application with no port published: only the front leads to it.
var frontCompose = strings.Replace(testbed.Compose, `    ports: ["127.0.0.1:${ECS_DEMO_PORT}:8080"]`+"\n", "", 1)

func newVisited(t *testing.T) *visited {
	t.Helper()
	v := &visited{Host: newHost(t), plain: testbed.FreeAddress(t), secure: testbed.FreeAddress(t)}
	if frontCompose == testbed.Compose {
		t.Fatal("the demo still publishes a port")
	}
	v.WriteCompose(frontCompose)
	v.site("")
	return v
}

// site writes the layer that says where the front listens, and more lines below appliance.
func (v *visited) site(more string) {
	v.TB.Helper()
	v.Write("/app/env.d/10-site.yml", fmt.Sprintf(`appliance:
  listen: {http: ["%s"], https: ["%s"]}
  page: {vendor: Example Ltd., contact: help@example.org}
%s`, v.plain, v.secure, more))
}

// trust answers a client that trusts what the host shows to its other programs.
func (v *visited) trust() *http.Client {
	v.TB.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(v.Read("/data/etc/server.cert.pem"))) {
		v.TB.Fatal("no certificate is in place")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "box.example.org"}, MaxIdleConnsPerHost: 32, ForceAttemptHTTP2: true}
	v.TB.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask is a request to the site, and what comes back.
func (v *visited) ask(client *http.Client, path string, header ...string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(v.TB.Context(), http.MethodGet, "https://"+v.secure+path, nil)
	if err != nil {
		return 0, nil, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(body), err
}

// situation asks for the notice that programs get.
func (v *visited) situation(client *http.Client) string {
	code, _, body, err := v.ask(client, "/", "Accept", "application/json")
	if err != nil || code != http.StatusServiceUnavailable {
		return fmt.Sprintf("%d %v", code, err)
	}
	var notice struct{ Situation string }
	if err := json.Unmarshal([]byte(body), &notice); err != nil {
		return err.Error()
	}
	return notice.Situation
}

func (v *visited) awaitSituation(client *http.Client, want string) {
	v.TB.Helper()
	var last string
	for end := time.Now().Add(time.Minute); last != want; time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		if last = v.situation(client); time.Now().After(end) {
			v.TB.Fatalf("visitors are told %q, not %q", last, want)
		}
	}
}

func (v *visited) awaitOpen(client *http.Client) {
	v.TB.Helper()
	var code int
	var err error
	for end := time.Now().Add(time.Minute); code != http.StatusOK; time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		if code, _, _, err = v.ask(client, "/"); time.Now().After(end) {
			v.TB.Fatalf("visitors get %d, %v", code, err)
		}
	}
}

// crowd asks without a pause until it is told to stop, and counts what goes wrong.
type crowd struct {
	asked, failed atomic.Int64
	first         atomic.Value
	stop          chan struct{}
	all           sync.WaitGroup
}

func (v *visited) crowd(n int) *crowd {
	c := &crowd{stop: make(chan struct{})}
	client := v.trust()
	for range n {
		c.all.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				code, _, body, err := v.ask(client, "/")
				if err == nil && code != http.StatusOK {
					err = fmt.Errorf("status %d: %.200s", code, body)
				}
				if c.asked.Add(1); err != nil {
					c.failed.Add(1)
					c.first.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	return c
}

// none ends the crowd and expects that nothing has gone wrong.
func (c *crowd) none(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.all.Wait()
	t.Logf("%d requests, %d failed", c.asked.Load(), c.failed.Load())
	if c.failed.Load() > 0 || c.asked.Load() == 0 {
		t.Errorf("%d of %d requests failed, the first: %v", c.failed.Load(), c.asked.Load(), c.first.Load())
	}
}

func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	want := c.asked.Load() + n
	awaitCondition(t, time.Minute, "asked often enough", func() bool { return c.asked.Load() >= want })
}

func TestVisitorsSeeThePageThenTheSite(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.WriteCompose(strings.Replace(frontCompose, "environment: {DEMO_FAIL:", "environment: {DEMO_START_DELAY: 4s, DEMO_FAIL:", 1))
	s := v.Start()
	v.Await(time.Minute, "at its health", func(s api.Status) bool { return s.State == "run" && s.Step == "healthy" })
	client := v.trust()
	code, header, body, err := v.ask(client, "/", "Accept", "text/html", "Accept-Language", "de")
	if err != nil || code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Fatalf("%d %v %v", code, header, err)
	}
	for _, want := range []string{`lang="de"`, "Example Ltd.", "help@example.org"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if got := v.situation(client); got != "starting" {
		t.Errorf("visitors are told %q", got)
	}
	v.AwaitHealthy(time.Minute)
	if code, _, body, err := v.ask(client, "/"); err != nil || code != http.StatusOK || !strings.Contains(body, "It works.") {
		t.Errorf("%d %v: %s", code, err, body)
	}
	if code, _, _, _ := v.ask(client, "/.well-known/appliance/health"); code != http.StatusOK {
		t.Errorf("the health check gets %d", code)
	}
	stop(t, v.Host, s)
	if conn, err := net.Dial("tcp", v.secure); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}

func TestPlainLeadsToTLS(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	v.AwaitHealthy(time.Minute)
	client := v.trust()
	res, err := client.Get("http://" + v.plain + "/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	_, port, _ := net.SplitHostPort(v.secure)
	if want := "https://box.example.org:" + port + "/a?b=c"; res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != want {
		t.Errorf("%d to %q, not %q", res.StatusCode, res.Header.Get("Location"), want)
	}
}

func TestVisitorsNoticeNoReplacement(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	v.AwaitHealthy(time.Minute)
	c := v.crowd(8)
	for range 4 {
		before := v.Await(time.Minute, "served", func(s api.Status) bool { return s.Front != nil && s.Front.PID != 0 && s.Resting })
		done(t, v.Host, "reload", "--exec")
		v.Await(time.Minute, "served by another worker", func(s api.Status) bool {
			return s.Front != nil && s.Front.PID != 0 && s.Front.PID != before.Front.PID
		})
		c.more(t, 20)
	}
	done(t, v.Host, "reload")
	c.more(t, 20)
	c.none(t)
}

func TestACrashOfTheSupervisorLetsVisitorsWaitNotFail(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	s := v.Start()
	v.AwaitHealthy(time.Minute)
	s.Kill()
	v.Start()
	client := v.trust()
	v.awaitOpen(client)
	// From the first answer on it is the site and not the page: the application has not gone away.
	for range 20 {
		if code, _, body, err := v.ask(client, "/"); code != http.StatusOK {
			t.Fatalf("%d %v: %s", code, err, body)
		}
	}
	v.AwaitHealthy(time.Minute)
}

func TestAWorkerThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	pid := v.AwaitHealthy(time.Minute).Front.PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.Await(time.Minute, "served by another worker", func(s api.Status) bool { return s.Front.PID != 0 && s.Front.PID != pid })
	v.awaitOpen(v.trust())
}

// withCgo says whether this program is built with C, as it is for the race detector; what is shipped is not.
func withCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return !ok || slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "CGO_ENABLED" && s.Value == "1" })
}

// To start a process without an environment of its own is to hand on all of ours: proxies with passwords, credentials of systemd.
func TestAWorkerKnowsOnlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	secret := []string{"PATH=/bin", "HTTPS_PROXY=http://user:secret@proxy", "NOTIFY_SOCKET=/run/systemd/notify"}
	for name, c := range map[string]struct{ all, want []string }{
		"below systemd": {append(secret, "JOURNAL_STREAM=8:1", "TZ=Europe/Vienna"), []string{"JOURNAL_STREAM=8:1", "TZ=Europe/Vienna"}},
		"without":       {secret, []string{}},
	} {
		if diff := cmp.Diff(c.want, workerEnv(c.all)); diff != "" { // nil is not the same as empty
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAWorkerHasNoRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give rights up")
	}
	v := newVisited(t)
	v.Start()
	pid := v.AwaitHealthy(time.Minute).Front.PID
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(value)
		switch name {
		case "Uid", "Gid":
			for _, id := range fields {
				if n, err := strconv.Atoi(id); err != nil || n == 0 {
					t.Errorf("%s is %s", name, value)
				}
			}
		case "Groups":
			if len(fields) > 0 && !(len(fields) == 1 && fields[0] != "0") {
				t.Errorf("it has the groups %s", value)
			}
		case "CapEff", "CapPrm", "CapAmb":
			if strings.Trim(fields[0], "0") != "" {
				t.Errorf("%s is %s", name, value)
			}
		case "NoNewPrivs":
			if fields[0] != "1" && !withCgo() { // the runtime cannot reach the threads of C
				t.Error("it may get new rights")
			}
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for entry := range strings.SplitSeq(strings.TrimRight(string(environ), "\x00"), "\x00") {
		if name, _, _ := strings.Cut(entry, "="); name == "PATH" || name == "HOME" {
			t.Errorf("it knows %s", entry)
		}
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && (strings.HasPrefix(target, v.Root) || strings.Contains(target, "docker")) {
			t.Errorf("it has %s open", target)
		}
	}
}

func TestSickServiceShowsThePageAndComesBack(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.WriteCompose(strings.Replace(frontCompose, "unhealthy_timeout: 10s", "unhealthy_timeout: 60s", 1))
	v.Start()
	v.AwaitHealthy(time.Minute)
	client := v.trust()
	testbed.Docker(t, "pause", containerName(v.Host, "web"))
	v.awaitSituation(client, "unhealthy")
	if code, _, _, _ := v.ask(client, "/.well-known/appliance/health/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready is %d", code)
	}
	if code, _, _, _ := v.ask(client, "/.well-known/appliance/health/live"); code != http.StatusOK {
		t.Errorf("live is %d", code)
	}
	testbed.Docker(t, "unpause", containerName(v.Host, "web"))
	v.awaitOpen(client)
}

func TestARecreatedContainerIsFollowed(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	v.AwaitHealthy(time.Minute)
	before := ids(v.Host)
	v.WriteCompose(strings.Replace(frontCompose, "    command: [web]", "    command: [web]\n    labels: {changed: \"yes\"}", 1))
	done(t, v.Host, "reload")
	if after := ids(v.Host); after["/"+containerName(v.Host, "web")] == before["/"+containerName(v.Host, "web")] {
		t.Fatal("the container is the same one")
	}
	if code, _, body, err := v.ask(v.trust(), "/"); code != http.StatusOK {
		t.Errorf("%d %v: %s", code, err, body)
	}
}

func TestStandbyAndFailureHaveTheirPage(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	v.AwaitHealthy(time.Minute)
	client := v.trust()
	v.site("  standby: true\n")
	done(t, v.Host, "reload")
	v.awaitSituation(client, "standby")
	v.site("")
	v.WriteCompose(strings.Replace(frontCompose, "start_timeout: 60s", "start_timeout: 3s", 1))
	v.WriteEnv("    web: {fail: unhealthy}\n")
	_, _, _ = v.Run("reload")
	v.AwaitFailed(time.Minute)
	v.awaitSituation(client, "failed")
	_, _, body, _ := v.ask(client, "/", "Accept", "text/html")
	for _, secret := range []string{"DEMO_FAIL", "docker logs", v.Root} {
		if strings.Contains(body, secret) {
			t.Errorf("the page tells %q", secret)
		}
	}
}

func TestAnAddressInUseFailsAndNamesTheHolder(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	l, err := net.Listen("tcp", v.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v.Start()
	failure := v.AwaitFailed(time.Minute).Failure
	if want := fmt.Sprintf("(PID %d)", os.Getpid()); failure.Step != "front" || !strings.Contains(failure.Cause, want) || !strings.Contains(failure.Cause, v.secure) || failure.NextTry == nil {
		t.Errorf("%+v", failure)
	}
	l.Close()
	done(t, v.Host, "clear")
	v.AwaitHealthy(time.Minute)
	v.awaitOpen(v.trust())
}

func TestAPortThatTheApplicationTakesItself(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	_, port, _ := net.SplitHostPort(v.secure)
	v.WriteCompose(strings.Replace(frontCompose, "    command: [web]", "    command: [web]\n    ports: [\"127.0.0.1:"+port+":8080\"]", 1))
	v.Start()
	failure := v.AwaitFailed(time.Minute).Failure
	if failure.Step != "front" || !strings.Contains(failure.Cause, "service web publishes port "+port) || !strings.Contains(failure.ToDo, "x-appliance.routes") {
		t.Errorf("%+v", failure)
	}
}

// Addresses change without losing those who are connected.
func TestOtherAddresses(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.Start()
	v.AwaitHealthy(time.Minute)
	client := v.trust()
	if code, _, _, err := v.ask(client, "/"); code != http.StatusOK {
		t.Fatal(code, err)
	}
	before := v.secure
	v.secure = testbed.FreeAddress(t)
	v.site("")
	done(t, v.Host, "reload")
	v.awaitOpen(client)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", before)
		if err != nil {
			break
		}
		conn.Close()
		if ctx.Err() != nil {
			t.Fatal("the address before still answers")
		}
	}
}

// A boot wipes what is known of the application but for the record. Where the environment is no good then, visitors are led to what
// ran last, and to the next one only when it has proved itself.
func TestVisitorsOfABootWithABrokenEnvironment(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	supervisor := v.Start()
	v.AwaitHealthy(time.Minute)
	client := v.trust()
	v.awaitOpen(client)
	supervisor.Kill()
	if err := os.RemoveAll(filepath.Join(v.Root, "run")); err != nil {
		t.Fatal(err)
	}
	v.Write("/app/env.d/20-broken.yml", "appliance: [\n")
	v.Start()
	if status := v.AwaitFailed(time.Minute); status.Failure == nil || status.Failure.Phase != "prepare-env" {
		t.Fatalf("it is %s: %+v", status.State, status.Failure)
	}
	v.awaitOpen(client)
	v.Write("/app/env.d/20-broken.yml", "{}\n")
	done(t, v.Host, "clear")
	v.AwaitHealthy(time.Minute)
	v.awaitOpen(client)
}
