package ui

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/compose"
	"appliance/internal/remedy"
)

const (
	tag    = `<script>alert('x')</script><img src=x onerror=alert(1)>"'`
	breaks = "\r\n\r\nevent: verdict\r\ndata: <h2>Healthy</h2>\r\n\r\n"
)

// hostile is a supervisor that repeats what strangers have written.
func hostile() scene {
	now := time.Now()
	s := failure(now)
	s.status.Summary, s.status.URLs = tag, []string{"javascript:alert(1)", "https://ok.example.org/" + tag}
	*s.status.Failure = api.Failure{Phase: tag, Step: tag, Cause: tag + breaks, ToDo: tag}
	s.status.Services = []compose.Service{{Name: tag, Why: tag, Containers: []compose.ContainerInfo{{Name: tag, Image: tag, State: tag, Health: tag}}}, {Name: tag}}
	s.status.Steps = []api.Step{{Phase: tag, Name: tag, State: tag, Detail: tag}}
	s.status.Env, s.status.Front = &api.EnvInfo{Origin: tag, SHA256: tag}, &api.Front{Mode: tag, Listening: []string{tag}, Trouble: tag}
	s.status.Trial, s.status.Supervisor = &api.Trial{Outcome: tag}, &api.Supervisor{Version: tag}
	s.certificate.Names, s.certificate.Issuer, s.certificate.LastError, s.certificate.Warnings = []string{tag}, tag, tag, []string{tag}
	s.volumes = []api.Volume{{Path: tag, Size: 1}}
	s.plan.Changes = []api.Change{{Phase: tag, Step: tag, Action: tag, Why: tag}}
	s.events = []api.Event{{Kind: tag, Text: tag + breaks}}
	s.lines = []string{"<3>" + tag + breaks}
	return s
}

func TestNothingOfStrangersIsObeyed(t *testing.T) {
	r := newRig(t, hostile(), func(c *Config) { c.Host = tag })
	v := r.enter(t)
	for _, path := range []string{"", "plan"} {
		code, page := v.get(t, v.room+path)
		own := strings.Replace(page, "<script>"+scriptText+"</script>", "", 1)
		if code != http.StatusOK || !strings.Contains(page, "&lt;script&gt;alert(&#39;x&#39;)") {
			t.Errorf("/%s is %d\n%s", path, code, page)
		}
		for _, bad := range []string{"<script", "<img", "onerror=alert(1)>", `href="javascript:`} {
			if strings.Contains(own, bad) {
				t.Errorf("/%s has %q:\n%s", path, bad, own)
			}
		}
	}
}

// message is a server-sent event as a browser takes it.
type message struct{ id, event, data string }

// listen hands what the stream at address sends to seen until that answers false.
func (v *visitor) listen(t *testing.T, address, last string, seen func(message) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", last)
	res, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is %d %s", res.StatusCode, kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	lines.Split(anyLineEnd)
	var m message
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data += value + "\n"
		case "":
			if !seen(m) {
				return
			}
			m = message{}
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
}

// anyLineEnd splits as the standard has it: at CR, LF or both.
func anyLineEnd(data []byte, atEOF bool) (int, []byte, error) {
	for i, c := range data {
		if c == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			return i + 2, data[:i], nil
		}
		if c == '\r' || c == '\n' {
			return i + 1, data[:i], nil
		}
	}
	return 0, nil, nil
}

func TestTheStreamTellsOnlyWhatItIsToTell(t *testing.T) {
	r := newRig(t, hostile())
	v := r.enter(t)
	count := map[string]int{}
	v.listen(t, v.room+"live", "", func(m message) bool {
		count[m.event]++
		if m.event == "verdict" && !strings.Contains(m.data, `data-title="Failed"`) || strings.Contains(m.data, "<script") || m.id == "" {
			t.Errorf("a message is %+v", m)
		}
		return len(count) < 10
	})
	want := map[string]int{"verdict": 1, "warnings": 1, "actions": 1, "steps": 1, "services": 1, "certificate": 1, "storage": 1, "facts": 1, "history": 1, "log": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is no failure yet is a plain list, and only text.
func TestWarningsAreListed(t *testing.T) {
	s := healthy(time.Now())
	s.status.Warnings = []api.Warning{{Code: "space-warn", Since: time.Now(), Text: "/data is <b>filling</b> up", Remedy: "free space on it"}, {Code: "x", Since: time.Now(), Text: "another"}}
	r := newRig(t, s)
	v := r.enter(t)
	v.listen(t, v.room+"live", "", func(m message) bool {
		if m.event != "warnings" {
			return true
		}
		if strings.Count(m.data, `class="notice warn"`) != 2 || !strings.Contains(m.data, "/data is &lt;b&gt;filling&lt;/b&gt; up") || !strings.Contains(m.data, "To do: free space on it.") {
			t.Errorf("it shows %s", m.data)
		}
		return false
	})
}

func TestTheStreamGoesOnWhereItEnded(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	v := r.enter(t)
	var last string
	seen := 0
	v.listen(t, v.room+"live", "nonsense", func(m message) bool {
		if m.event == "history" || m.event == "log" {
			seen++
			last = m.id
		}
		return seen < len(r.scene.events)+len(r.scene.lines)
	})
	r.bus.Publish(statechange("only this is new"))
	v.listen(t, v.room+"live", last, func(m message) bool {
		if m.event == "log" || m.event == "history" && !strings.Contains(m.data, "only this is new") {
			t.Errorf("sent again: %+v", m)
		}
		return m.event != "history"
	})
}

// What has not changed is not sent again; what has, is.
func TestTheStreamSendsWhatChanges(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	v := r.enter(t)
	after := map[string]int{}
	changed := false
	v.listen(t, v.room+"live", "", func(m message) bool {
		switch {
		case changed:
			after[m.event]++
		case m.event == "facts": // the last of the first look
			changed = true
			now := healthy(time.Now())
			now.certificate.NotAfter = now.certificate.NotBefore.Add(24 * time.Hour)
			now.status.Steps, now.status.Since, now.status.Services = r.scene.status.Steps, r.scene.status.Since, r.scene.status.Services
			now.status.Supervisor = r.scene.status.Supervisor
			r.play(now)
		}
		return after["certificate"] == 0
	})
	delete(after, "history")
	delete(after, "log")
	if diff := cmp.Diff(map[string]int{"certificate": 1}, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestActions(t *testing.T) {
	for _, test := range []struct {
		action string
		scene  func(time.Time) scene
	}{{"clear", failure}, {"reload", healthy}, {"renew", healthy}, {"confirm", onTrial}, {"revert", onTrial}} {
		t.Run(test.action, func(t *testing.T) {
			r := newRig(t, test.scene(time.Now()))
			v := r.enter(t)
			if _, page := v.get(t, v.room); !strings.Contains(page, `value="`+test.action+`"`) {
				t.Errorf("the page does not offer it\n%s", page)
			}
			if code, page := v.do(t, test.action); code != http.StatusOK || !strings.Contains(page, `class="notice good"`) {
				t.Errorf("it answers %d\n%s", code, page)
			}
			r.mu.Lock()
			r.answer = remedy.With(errors.New("cannot do that <now>"), "wait a while")
			r.mu.Unlock()
			if code, page := v.do(t, test.action); code != http.StatusConflict || !strings.Contains(page, "cannot do that &lt;now&gt;") || !strings.Contains(page, "To do: wait a while.") {
				t.Errorf("a refusal is %d\n%s", code, page)
			}
			if diff := cmp.Diff([]string{test.action, test.action}, r.askedFor()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestActionsThatAreNone(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	v := r.enter(t)
	for _, action := range []string{"", "stop", "reexec", "try", "../status", "certificate/renew", strings.Repeat("x", 1<<20)} {
		if code, _ := v.do(t, action); code != http.StatusBadRequest {
			t.Errorf("%.20q is %d", action, code)
		}
	}
	if asked := r.askedFor(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
}

func TestNobodyAnswers(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	v := r.enter(t)
	r.server.Close()
	code, page := v.get(t, v.room)
	if code != http.StatusOK || !strings.Contains(page, "Not running") || !strings.Contains(page, "from its record: run") || strings.Contains(page, "<form") {
		t.Errorf("the page is %d\n%s", code, page)
	}
	if code, page := v.do(t, "reload"); code != http.StatusConflict || !strings.Contains(page, "To do: start it with `systemctl start appliance`.") {
		t.Errorf("an action is %d\n%s", code, page)
	}
	if code, page := v.get(t, v.room+"plan"); code != http.StatusOK || !strings.Contains(page, "no supervisor is running") {
		t.Errorf("the plan is %d\n%s", code, page)
	}
	r.serve(t)
	if _, page := v.get(t, v.room); !strings.Contains(page, "Healthy") {
		t.Errorf("when it is back, the page is\n%s", page)
	}
}

// Where one looks how fresh it all is, one reads by which clock.
func TestTheZoneIsShown(t *testing.T) {
	r := newRig(t, healthy(time.Now()))
	v := r.enter(t)
	_, page := v.get(t, v.room)
	if header, _, _ := strings.Cut(page, "</header>"); !strings.Contains(header, "times in </span>"+time.Now().Format("MST")) {
		t.Errorf("the header is\n%s", header)
	}
}

// A page that was opened while nobody answers says why it has nothing to tell of before.
func TestEmptyListsSayWhyTheyAre(t *testing.T) {
	quiet := healthy(time.Now())
	quiet.events, quiet.lines = nil, nil
	r := newRig(t, quiet)
	v := r.enter(t)
	if _, page := v.get(t, v.room); strings.Count(page, `data-empty="Nothing yet."></ol>`) != 2 {
		t.Errorf("where nothing has happened, the page is\n%s", page)
	}
	r.server.Close()
	if _, page := v.get(t, v.room); strings.Count(page, `data-empty="Nothing can be shown: no supervisor is running."></ol>`) != 2 {
		t.Errorf("where nobody answers, the page is\n%s", page)
	}
}

func TestWhoMayOnlyLookIsOfferedNothing(t *testing.T) {
	for name, scene := range map[string]func(time.Time) scene{"healthy": healthy, "failed": failure, "on trial": onTrial} {
		t.Run(name, func(t *testing.T) {
			may := false
			r := newRig(t, scene(time.Now()), func(c *Config) { c.MayAct = func() bool { return may } })
			v := r.enter(t)
			if _, page := v.get(t, v.room); strings.Contains(page, "<form") || strings.Count(page, "root can act: <code>sudo appliance ui</code>") != 1 {
				t.Errorf("the page is\n%s", page)
			}
			may = true
			if _, page := v.get(t, v.room); !strings.Contains(page, "<form") || strings.Contains(page, "root can act") {
				t.Errorf("for root, the page is\n%s", page)
			}
		})
	}
}

// mute is a supervisor of which nobody hears anything.
type mute struct{ Supervisor }

func (mute) Status(context.Context) (api.Status, error) { return api.Status{}, nil }
func (mute) Certificate(context.Context) (api.Certificate, error) {
	return api.Certificate{}, nil
}
func (mute) Storage(context.Context) (api.Storage, error) { return api.Storage{}, nil }
func (mute) Events(ctx context.Context, _ uint64, _ func(api.Event) bool) error {
	<-ctx.Done()
	return ctx.Err()
}
func (mute) Log(ctx context.Context, _ uint64, _ func(api.LogLine) bool) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestTheStreamStaysAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := New(Config{Supervisor: mute{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*heartbeat+time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		v.live(w, httptest.NewRequest(http.MethodGet, "/live", nil).WithContext(ctx))
		if beats := strings.Count(w.Body.String(), "\n\n: still here\n\n"); beats == 0 || strings.Count(w.Body.String(), ": still here") != 4 {
			t.Errorf("the stream is\n%s", w.Body)
		}
	})
}

// authority takes its time for a certificate.
type authority struct {
	Supervisor
	takes time.Duration
	ended error
}

func (a *authority) RenewCertificate(ctx context.Context) (api.Certificate, error) {
	select {
	case <-ctx.Done():
		a.ended = ctx.Err()
	case <-time.After(a.takes):
	}
	return api.Certificate{}, a.ended
}

func TestARenewalIsNotWaitedForTooLong(t *testing.T) {
	for _, test := range []struct {
		name  string
		takes time.Duration
		tone  string
		ended error
	}{
		{"quick", 3 * time.Second, good, nil},
		{"slow", 5 * time.Minute, busy, nil},
		{"never", 24 * time.Hour, busy, context.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &authority{takes: test.takes}
				v, err := New(Config{Supervisor: slow})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				said := v.renew()
				if took := time.Since(begun); said.Tone != test.tone || took > patience {
					t.Errorf("after %s it says %+v", took, said)
				}
				time.Sleep(renewLimit)
				synctest.Wait()
				if !errors.Is(slow.ended, test.ended) {
					t.Errorf("it ended with %v, want %v", slow.ended, test.ended)
				}
			})
		})
	}
}

func TestServeEnds(t *testing.T) {
	t.Run("when it is told to, with streams open", func(t *testing.T) {
		r := newRig(t, healthy(time.Now()))
		v := r.enter(t)
		v.listen(t, v.room+"live", "", func(message) bool {
			r.stop()
			return false
		})
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("when nobody asks any more", func(t *testing.T) {
		r := newRig(t, healthy(time.Now()), func(c *Config) { c.Idle = 300 * time.Millisecond })
		v := r.enter(t)
		begun := time.Now()
		looks := 0
		v.listen(t, v.room+"live", "", func(m message) bool { // one who looks on is not nobody
			if m.event == "steps" {
				looks++
			}
			s := healthy(time.Now())
			s.status.Steps = s.status.Steps[looks%5:]
			r.play(s)
			return looks < 3 // a second each
		})
		if took := time.Since(begun); took < time.Second {
			t.Errorf("that took only %s", took)
		}
		select {
		case err := <-r.ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("it goes on")
		}
	})
}

// Whoever comes again and again to be turned away is not somebody who looks.
func TestWhoIsTurnedAwayKeepsNothingAlive(t *testing.T) {
	r := newRig(t, healthy(time.Now()), func(c *Config) { c.Idle = 400 * time.Millisecond })
	knock := time.NewTicker(50 * time.Millisecond)
	defer knock.Stop()
	for end := time.After(20 * time.Second); ; {
		select {
		case err := <-r.ended:
			if err != nil {
				t.Error(err)
			}
			return
		case <-end:
			t.Fatal("it goes on")
		case <-knock.C:
			if res, err := http.Get(r.base + "/favicon.ico"); err == nil { // else it has ended
				res.Body.Close()
			}
		}
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ended := make(chan time.Duration, 1)
		i := newIdle(time.Hour, func() { ended <- time.Since(begun) })
		ask := func(takes time.Duration) {
			i.watch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(takes) })).
				ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		time.Sleep(50 * time.Minute)
		ask(0)
		go ask(5 * time.Hour)
		time.Sleep(time.Minute)
		ask(0)
		if took := <-ended; took != 50*time.Minute+6*time.Hour {
			t.Errorf("it ended after %s", took)
		}
	})
}

func TestNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newIdle(0, func() { t.Error("it ended") })
		time.Sleep(10_000 * time.Hour)
		synctest.Wait()
	})
}
