package api

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/systemd"
)

func texts(lines []LogLine) (all []string) {
	for _, l := range lines {
		all = append(all, l.Level+" "+l.Text)
	}
	return all
}

// What the API tells is what the journal is told, character by character.
func TestLogKeepsWhatTheJournalGets(t *testing.T) {
	own, journal := NewLog(), &strings.Builder{}
	log := slog.New(slog.NewMultiHandler(systemd.NewLogHandler(journal, true), systemd.NewLogHandler(own, true)))
	log.With("service", "web").Warn("out of\nhealth", "why", "it ended \x1b[2J")
	log.Error("cannot go on")
	log.Info("entering run", "attempt", 1)
	log.Debug("not for everyday")
	lines, _ := own.After(0)
	want := []string{`WARN out of | health service=web why="it ended \x1b[2J"`, "ERROR cannot go on", "INFO entering run attempt=1"}
	if diff := cmp.Diff(want, texts(lines)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, line := range strings.Split(strings.TrimSpace(journal.String()), "\n") {
		if line[3:] != lines[i].Text {
			t.Errorf("the journal got %q, the log has %q", line, lines[i].Text)
		}
	}
	if since := time.Since(lines[0].Time); since < 0 || since > time.Minute {
		t.Errorf("the first line is of %s", lines[0].Time)
	}
}

func TestLogIsBounded(t *testing.T) {
	for _, test := range []struct {
		name  string
		line  string
		first int // of 5000 lines, the oldest that is kept
	}{
		{"by lines", "<6>%04d", 5000 - logLines},
		{"by bytes", "<6>%04d" + strings.Repeat("x", 1020), 5000 - logBytes/1024},
		{"empty lines", "<6>%.0d", 5000 - logLines},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewLog()
			for i := range 5000 {
				fmt.Fprintf(l, test.line, i)
			}
			lines, _ := l.After(0)
			size := 0
			for i, line := range lines {
				size += len(line.Text)
				if i > 0 && line.ID != lines[i-1].ID+1 {
					t.Fatalf("the number %d follows %d", line.ID, lines[i-1].ID)
				}
			}
			if len(lines) != 5000-test.first || size > logBytes {
				t.Errorf("%d lines of %d bytes are kept, want %d", len(lines), size, 5000-test.first)
			}
		})
	}
}

func TestOneLineIsBounded(t *testing.T) {
	l := NewLog()
	fmt.Fprint(l, "<4>"+strings.Repeat("ä", 1<<20)+"\n")
	lines, _ := l.After(0)
	if text := lines[0].Text; len(text) > logLineMax+len("…") || !utf8.ValidString(text) || !strings.HasSuffix(text, "ä…") {
		t.Errorf("%d bytes are kept, valid: %t", len(text), utf8.ValidString(text))
	}
}

func TestPriorities(t *testing.T) {
	for line, want := range map[string]string{
		"plain\n": "INFO plain", "<": "INFO <", "<6": "INFO <6", "<6>": "INFO ", "<7>detail": "INFO detail", "<3>x\n": "ERROR x", "\n": "INFO ",
	} {
		l := NewLog()
		fmt.Fprint(l, line)
		lines, _ := l.After(0)
		if diff := cmp.Diff([]string{want}, texts(lines)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func TestLogIsReplayedAndThenLive(t *testing.T) {
	s := serve(t)
	fmt.Fprint(s.ownLog, "<6>one\n")
	fmt.Fprint(s.ownLog, "<4>two\n")
	past, err := s.client.PastLog(t.Context())
	if diff := cmp.Diff([]string{"INFO one", "WARN two"}, texts(past)); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	var live []LogLine
	err = s.client.Log(t.Context(), past[0].ID, func(l LogLine) bool {
		if live = append(live, l); len(live) < 3 {
			fmt.Fprintf(s.ownLog, "<3>live %d\n", len(live)) // only now: the listener is there
		}
		return len(live) < 3
	})
	if diff := cmp.Diff([]string{"WARN two", "ERROR live 1", "ERROR live 2"}, texts(live)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	s.publish("first", "second")
	events, err := s.client.PastEvents(t.Context())
	if err != nil || len(events) != 2 || events[1].Text != "second" {
		t.Errorf("past events are %+v, %v", events, err)
	}
}
