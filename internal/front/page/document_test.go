package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestThePageAsPlainText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := time.Now().Add(50 * time.Second)
		n := situations(time.Now())["starting"]
		n.NextTry = &next
		w := httptest.NewRecorder()
		boardWith(n).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		want := `portal.example.org: Starting up
The application is starting. It opens as soon as everything is ready.
Step 8 of 11: Start the services
Since: 23:58 UTC (1 min 23 s)
Next attempt: 00:00 UTC (50 s)
Provided by: Example Ltd.
Contact: support@example.org, +43 1 234567
`
		if diff := cmp.Diff(want, w.Body.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestTimesThatCannotBe(t *testing.T) {
	now := time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC)
	past := now.Add(-time.Hour)
	n := Notice{Situation: Failed, Since: time.Unix(0, 0), NextTry: &past, Steps: []Step{
		{Phase: "run", Name: "up", State: "running", Started: now.Add(time.Hour)},
		{Phase: "run", Name: "names", State: "failed", Took: -time.Hour},
	}}
	d := view{Notice: clean(n)}.document(english, "./", now)
	if d.Since != nil {
		t.Errorf("it is said to last since %s", d.Since.Text)
	}
	if d.NextTry.Span != "any moment" || d.NextTry.Seconds != 0 {
		t.Errorf("the next attempt is in %q, %d", d.NextTry.Span, d.NextTry.Seconds)
	}
	if got := []string{d.Phases[0].Steps[0].Span, d.Phases[0].Steps[1].Span}; !cmp.Equal(got, []string{"0 s", "0 s"}) {
		t.Errorf("the steps took %q", got)
	}
	n.Since = now.Add(-30 * time.Hour)
	if got := (view{Notice: clean(n)}).document(english, "./", now).Since; got.Text != "2026-10-01, 06:00 UTC" || got.Span != "1 d 6 h" {
		t.Errorf("since %q, %q", got.Text, got.Span)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 900 * time.Millisecond: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s",
		time.Hour: "1 h 0 min", 26*time.Hour + 59*time.Minute: "1 d 2 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	running := Step{Name: "up", State: "running"}
	done := Step{Name: "x", State: "done"}
	for _, test := range []struct {
		name  string
		n     Notice
		total int
		now   string
	}{
		{"nothing yet", Notice{}, 0, ""},
		{"unknown total", Notice{Steps: []Step{done, running}}, 0, "Step 2"},
		{"known total", Notice{Steps: []Step{done, running}, Total: 9}, 9, "Step 2 of 9"},
		{"nothing yet of many", Notice{Total: 9}, 9, ""},
		{"a total that cannot be", Notice{Steps: []Step{done, running}, Total: 1}, 0, "Step 2"},
		{"between two", Notice{Steps: []Step{done}, Total: 2}, 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.n.progress(&inEnglish); got.Total != test.total || got.Now != test.now {
				t.Errorf("got %d, %q", got.Total, got.Now)
			}
		})
	}
}

// Who has failed after a month of health has not failed to start, and a list of steps that all went well would say so.
func TestOnlyAStartThatBrokeOffShowsItsSteps(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name, last string
		situation  Situation
		shown      bool
	}{
		{"it failed in a step", "failed", Failed, true},
		{"it failed later", "done", Failed, false},
		{"it is starting", "running", Starting, true},
		{"it is interrupted", "done", Unhealthy, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := Notice{Situation: test.situation, Since: now, Steps: walk(now)}
			n.Steps[len(n.Steps)-1].State = test.last
			d := view{Notice: clean(n)}.document(english, "./", now)
			if (len(d.Phases) > 0) != test.shown {
				t.Errorf("%d phases are shown", len(d.Phases))
			}
			if file := string(File(n)); strings.Contains(file, "Start the services") != test.shown {
				t.Errorf("the file is\n%s", file)
			}
		})
	}
}

func TestThePageAsAFile(t *testing.T) {
	now := time.Now()
	n := situations(now)["failed"]
	n.Steps, n.Language = walk(now), german
	n.Steps[len(n.Steps)-1].State = "failed"
	file := string(File(n))
	for _, want := range []string{`lang="de"`, `<meta http-equiv="refresh" content="30">`, "Zurzeit nicht verfügbar", "Dienste starten", "9 s",
		n.Since.UTC().Format("15:04 UTC"), "öffnet diese Seite sie von selbst"} {
		if !strings.Contains(file, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, not := range []string{"<script", "<noscript", `id="lost"`, "1 min 23 s", "12 s"} {
		if strings.Contains(file, not) {
			t.Errorf("%q is in it", not)
		}
	}
}
