package ui

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/api"
	"appliance/internal/compose"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", -time.Minute: "0 s", 12 * time.Millisecond: "12 ms", 900 * time.Microsecond: "0 ms", 6440 * time.Millisecond: "6.4 s", 7 * time.Second: "7 s",
		59999 * time.Millisecond: "59 s", time.Minute: "1 min 00 s", 61 * time.Minute: "1 h 01 min", 25 * time.Hour: "1 d 1 h", math.MaxInt64: "106751 d 23 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 31, 4, 0, time.Local)
	for at, want := range map[time.Time]string{
		now.Add(-time.Hour): "05:31:04", now.Add(-7 * time.Hour): "22 Nov 23:31", now.AddDate(-1, 0, 0): "23 Nov 2025 06:31", now.Add(18 * time.Hour): "24 Nov 00:31",
	} {
		if got := clock(at, now); got != want {
			t.Errorf("%s is %q, want %q", at, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_449: "99.4 kB", 99_949: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB", 42e9: "42.0 GB", 960e9: "960 GB", math.MaxUint64: "18.4 EB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestTimeline(t *testing.T) {
	at := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	got := newTimeline([]api.Step{
		{Phase: "prepare-env", Name: "source", State: "unchanged", Started: at, Took: time.Second},
		{Phase: "run", Name: "up", State: "done", Detail: "one\ntwo", Started: at.Add(time.Hour), Took: 8 * time.Second}, // an hour of waiting is not drawn
		{Phase: "run", Name: "healthy", State: "running", Started: at.Add(2 * time.Hour)},
	}, at.Add(2*time.Hour+time.Second))
	want := timeline{Total: 10 * time.Second, Phases: []stretch{
		{Name: "prepare-env", Took: time.Second, Bars: []bar{{Name: "source", State: "unchanged", Width: 10, Took: time.Second, Started: at}}},
		{Name: "run", Took: 9 * time.Second, Bars: []bar{
			{Name: "up", State: "done", Why: "one", From: 10, Width: 80, Took: 8 * time.Second, Started: at.Add(time.Hour)},
			{Name: "healthy", State: "running", From: 90, Width: 10, Took: time.Second, Running: true, Started: at.Add(2 * time.Hour)},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However odd the clock was, each bar is on the paper and can be seen.
func TestBarsStayInTheirPlace(t *testing.T) {
	now := time.Now()
	for name, steps := range map[string][]api.Step{
		"none": nil, "nothing took time": {{State: "done"}, {State: "done"}}, "back in time": {{State: "done", Took: -time.Hour}, {State: "running", Started: now.Add(time.Hour)}},
		"very unlike": {{State: "done", Took: time.Nanosecond}, {State: "done", Took: 1000 * time.Hour}, {State: "failed", Took: time.Nanosecond}},
	} {
		for _, phase := range newTimeline(steps, now).Phases {
			for _, b := range phase.Bars {
				if !(b.From >= 0 && b.Width >= thinnest && b.From+b.Width <= 100.001) || b.Took < 0 {
					t.Errorf("%s: a bar is %+v", name, b)
				}
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	here := &api.Supervisor{PID: 1}
	for _, test := range []struct {
		name       string
		status     api.Status
		trouble    string
		word, tone string
	}{
		{"healthy", api.Status{State: "run", Healthy: true, Resting: true, Supervisor: here}, "", "Healthy", good},
		{"cleaning up", api.Status{State: "cleanup", Healthy: true, Supervisor: here}, "", "Healthy", good},
		{"coming up", api.Status{State: "run", Step: "up", Supervisor: here}, "", "Starting", busy},
		{"between two steps", api.Status{State: "run", Supervisor: here}, "", "Starting", busy},
		{"out of health", api.Status{State: "run", Resting: true, Supervisor: here}, "", "Out of health", bad},
		{"failed", api.Status{State: "failed", Resting: true, Supervisor: here}, "", "Failed", bad},
		{"standing by", api.Status{State: "standby", Resting: true, Supervisor: here}, "", "Standby", quiet},
		{"updating", api.Status{State: "update", Supervisor: here}, "", "Updating", busy},
		{"first steps", api.Status{State: "prepare-env", Supervisor: here}, "", "Starting", busy},
		{"away", api.Status{State: "run", Healthy: true}, "", "Not running", bad},
		{"stopped out of health", api.Status{State: "run", Resting: true}, "", "Not running", bad},
		{"nobody can tell", api.Status{}, "cannot ask", "Unknown", bad},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := newVerdict(test.status, test.trouble); v.Word != test.word || v.Tone != test.tone {
				t.Errorf("it is %q, %s; want %q, %s", v.Word, v.Tone, test.word, test.tone)
			}
		})
	}
}

// The line under the word does not say the word again.
func TestSummaryBelowTheWord(t *testing.T) {
	here := &api.Supervisor{PID: 1}
	for _, test := range []struct {
		status api.Status
		want   string
	}{
		{api.Status{State: "run", Healthy: true, Summary: "run: healthy, 9 services https://a.example/", Supervisor: here}, "9 services https://a.example/"},
		{api.Status{State: "run", Resting: true, Summary: "run: out of health: web: it is gone", Supervisor: here}, "web: it is gone"},
		{api.Status{State: "standby", Summary: "standby: appliance.standby is true", Supervisor: here}, "appliance.standby is true"},
		{api.Status{State: "run", Step: "up", Summary: "run: up", Supervisor: here}, "run: up"},
		{api.Status{State: "run", Summary: "not running; last known: run"}, "run"},
	} {
		if got := newVerdict(test.status, "").Summary; got != test.want {
			t.Errorf("%q is %q, want %q", test.status.Summary, got, test.want)
		}
	}
}

// It has been out of health for less time than in its state.
func TestOutOfHealthSince(t *testing.T) {
	entered, ill := time.Unix(1000, 0), time.Unix(2000, 0)
	s := api.Status{State: "run", Resting: true, Since: entered, TroubleSince: &ill, Supervisor: &api.Supervisor{}}
	if v := newVerdict(s, ""); !v.Since.Equal(ill) {
		t.Errorf("it is since %s", v.Since)
	}
	s.Supervisor = nil
	if v := newVerdict(s, ""); !v.Since.IsZero() {
		t.Errorf("nobody runs since %s", v.Since)
	}
}

func TestImageName(t *testing.T) {
	for image, want := range map[string]imageName{
		"":                                    {Path: []string{""}},
		"redis":                               {Path: []string{"redis"}},
		"redis:7":                             {Path: []string{"redis"}, Tag: ":7"},
		"registry.example.org:5000/ecs/web":   {Path: []string{"registry.example.org:5000/", "ecs/", "web"}},
		"registry.example.org:5000/ecs/web:1": {Path: []string{"registry.example.org:5000/", "ecs/", "web"}, Tag: ":1"},
		"ecs/web:1@sha256:00":                 {Path: []string{"ecs/", "web"}, Tag: ":1@sha256:00"},
	} {
		if diff := cmp.Diff(want, nameOf(image)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", image, diff)
		}
	}
}

// The turn of a one-shot comes when what it needs is there; one that has not come is no trouble as long as there is a walk.
func TestAOneShotWhoseTurnHasNotCome(t *testing.T) {
	waiting := []compose.Service{{Name: "migrate", OneShot: true, Why: "it has no container"}}
	hopeless := []compose.Service{{Name: "migrate", OneShot: true, Hopeless: true, Why: "it has no container"}}
	for _, test := range []struct {
		name        string
		services    []compose.Service
		status      api.Status
		state, tone string
	}{
		{"on its way", waiting, api.Status{State: "run", Step: "up"}, "not yet", quiet},
		{"it cannot come", hopeless, api.Status{State: "run", Step: "up"}, "absent", bad},
		{"nothing more comes", waiting, api.Status{State: "run", Resting: true}, "absent", bad},
		{"failed", waiting, api.Status{State: "failed", Resting: true}, "absent", bad},
	} {
		test.status.Supervisor = &api.Supervisor{}
		if row := serviceRows(test.services, walks(test.status))[0]; row.State != test.state || row.Tone != test.tone {
			t.Errorf("%s: it is %q, %s; want %q, %s", test.name, row.State, row.Tone, test.state, test.tone)
		}
	}
}

func TestServiceRows(t *testing.T) {
	at := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	running := compose.ContainerInfo{Name: "c", State: "running", Health: "healthy", Started: at, Image: "i"}
	ill := running
	ill.Health = "unhealthy"
	got := serviceRows([]compose.Service{
		{Name: "fine", Ready: true, Containers: []compose.ContainerInfo{running}},
		{Name: "once", Ready: true, Containers: []compose.ContainerInfo{{Name: "c", State: "exited"}}},
		{Name: "ill", Why: "its health check fails", Containers: []compose.ContainerInfo{ill}},
		{Name: "gone", Why: "it has no container"},
		{Name: "dead", Why: "it ended with status 3", Containers: []compose.ContainerInfo{{Name: "c", State: "exited", ExitCode: 3, Health: "healthy"}}},
		{Name: "plain", Ready: true, Containers: []compose.ContainerInfo{{Name: "c", State: "running", Started: at}}},
	}, true)
	want := []serviceRow{
		{Service: "ill", Container: "c", State: "unhealthy", Tone: bad, Why: "its health check fails", Up: at, Image: "i"},
		{Service: "gone", State: "absent", Tone: bad, Why: "it has no container"},
		{Service: "dead", Container: "c", State: "exited", Tone: bad, Why: "it ended with status 3"},
		{Service: "fine", Container: "c", State: "healthy", Tone: good, Up: at, Image: "i"},
		{Service: "plain", Container: "c", State: "running", Tone: good, Up: at},
		{Service: "once", Container: "c", State: "done", Tone: quiet},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCertificateView(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 31, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, test := range []struct {
		name        string
		certificate api.Certificate
		trouble     string
		tone        string
		days        int
		today       float64
	}{
		{"none", api.Certificate{}, "", quiet, 0, 0},
		{"not known", api.Certificate{NotAfter: now}, "cannot ask", quiet, 0, 0},
		{"fresh", api.Certificate{Source: "acme", NotBefore: now.Add(-30 * day), NotAfter: now.Add(60 * day)}, "", good, 60, 33.3},
		{"soon", api.Certificate{Source: "acme", NotBefore: now.Add(-80 * day), NotAfter: now.Add(10*day - 1)}, "", warn, 9, 88.9},
		{"urgent", api.Certificate{Source: "acme", NotBefore: now.Add(-90 * day), NotAfter: now.Add(2 * day)}, "", bad, 2, 97.8},
		{"over", api.Certificate{Source: "acme", NotBefore: now.Add(-90 * day), NotAfter: now.Add(-time.Second)}, "", bad, -1, 100},
		{"yet to begin", api.Certificate{Source: "supplied", NotBefore: now.Add(day), NotAfter: now.Add(90 * day)}, "", bad, 90, 0},
		{"our own", api.Certificate{Source: "self-signed", NotBefore: now, NotAfter: now.Add(397 * day)}, "", warn, 397, 0},
		{"no life at all", api.Certificate{Source: "acme", NotBefore: now, NotAfter: now}, "", bad, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := newCertificateView(test.certificate, test.trouble, now); v.Tone != test.tone || v.Days != test.days || v.Today != test.today {
				t.Errorf("it is %s, %d days, at %.1f %%; want %s, %d, %.1f", v.Tone, v.Days, v.Today, test.tone, test.days, test.today)
			}
		})
	}
}

func TestStorageView(t *testing.T) {
	v := newStorageView(api.Storage{Volumes: []api.Volume{{Path: "/", Size: 100, Free: 21}, {Path: "/data", Size: 100, Free: 20}, {Path: "/volatile", Size: 1000, Free: 80}, {Path: "/odd", Free: 5}, {Path: "/more", Size: 5, Free: 9}}}, "")
	var got []string
	for _, volume := range v.Volumes {
		got = append(got, volume.Tone)
	}
	if diff := cmp.Diff([]string{good, warn, bad, good, good}, got); diff != "" || v.Volumes[1].Used != 80 || v.Volumes[4].Used != 0 {
		t.Errorf("%+v (-want +got):\n%s", v.Volumes, diff)
	}
	v = newStorageView(api.Storage{Volumes: []api.Volume{{Size: 100, Free: 3, Level: "ample"}, {Size: 100, Free: 90, Level: "warn"}, {Size: 100, Free: 90, Level: "hold"},
		{Size: 100, Free: 90, Level: "protect"}, {Size: 100, Free: 90, Level: "ample", Problem: "doubtful"}, {Size: 100, Free: 90, Level: "ample", Problem: "gone", ToDo: "mount it"}}}, "")
	got = nil
	for _, volume := range v.Volumes {
		got = append(got, volume.Tone)
	}
	if diff := cmp.Diff([]string{good, warn, bad, bad, warn, bad}, got); diff != "" {
		t.Errorf("by level (-want +got):\n%s", diff)
	}
}
