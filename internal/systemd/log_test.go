package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

func TestLinesBelowAJournal(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"plain", func(l *slog.Logger) { l.Info("entering run") }, "<6>entering run\n"},
		{"warning", func(l *slog.Logger) { l.Warn("watch out") }, "<4>watch out\n"},
		{"error", func(l *slog.Logger) { l.Error("broken") }, "<3>broken\n"},
		{"not for everyday", func(l *slog.Logger) { l.Debug("detail") }, ""},
		{"attributes", func(l *slog.Logger) { l.Info("up", "service", "web", "took", 3*time.Second, "n", 2) }, "<6>up service=web took=3s n=2\n"},
		{"quoted where needed", func(l *slog.Logger) { l.Info("up", "a", "two words", "b", "", "c", `x="y"`, "d", "two\nlines") },
			`<6>up a="two words" b="" c="x=\"y\"" d="two\nlines"` + "\n"},
		{"an error", func(l *slog.Logger) { l.Error("broken", "err", errors.New("cannot do it")) }, `<3>broken err="cannot do it"` + "\n"},
		{"no error", func(l *slog.Logger) { l.Info("fine", "err", error(nil)) }, "<6>fine err=<nil>\n"},
		{"several lines stay one entry", func(l *slog.Logger) { l.Error("one\ntwo") }, "<3>one | two\n"},
		{"no orders to a terminal", func(l *slog.Logger) { l.Info("pulled\r\x1b[2Jweb", "by", "\x1b[31m") }, "<6>pulled  [2Jweb by=\"\\x1b[31m\"\n"},
		{"values that speak for themselves", func(l *slog.Logger) { l.Info("key", "is", secret("s3cret")) }, "<6>key is=hidden\n"},
		{"with attributes", func(l *slog.Logger) {
			a := l.With("unit", "appliance")
			a.With("x", 1).Info("one")
			a.Info("two", "y", 2)
			l.Info("three")
		}, "<6>one unit=appliance x=1\n<6>two unit=appliance y=2\n<6>three\n"},
		{"groups are flat", func(l *slog.Logger) { l.WithGroup("g").Info("one", "x", 1) }, "<6>one x=1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			test.log(slog.New(NewLogHandler(&out, true)))
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinesForPeopleHaveATimeAndALevel(t *testing.T) {
	var out bytes.Buffer
	rec := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), slog.LevelWarn, "watch out", 0)
	if err := NewLogHandler(&out, false).Handle(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("2026-01-02T03:04:05Z WARN  watch out\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each line is one write, also from many loggers of one handler: a journal takes it for one entry.
func TestLinesAreNotMixed(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewLogHandler(&out, true))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for range 50 {
				log.With("n", n).Info(strings.Repeat(fmt.Sprint(n), 100))
			}
		})
	}
	all.Wait()
	for line := range strings.Lines(out.String()) {
		if want := fmt.Sprintf("<6>%s n=%c\n", strings.Repeat(line[3:4], 100), line[3]); line != want {
			t.Fatalf("a line is %q", line)
		}
	}
}
