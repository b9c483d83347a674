package systemd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// LogHandler writes one line a record, the message first. Below a journal the line begins with its priority and has no
// time, because the journal keeps its own.
type LogHandler struct {
	mu      *sync.Mutex
	out     io.Writer
	journal bool
	attrs   []slog.Attr
}

// NewLogHandler returns a handler that writes to out.
func NewLogHandler(out io.Writer, journal bool) *LogHandler {
	return &LogHandler{mu: &sync.Mutex{}, out: out, journal: journal}
}

// Enabled shows everything from Info on.
func (*LogHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs adds attributes to each line.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &with
}

// WithGroup is not used here; attributes stay flat.
func (h *LogHandler) WithGroup(string) slog.Handler { return h }

// Handle writes the record.
func (h *LogHandler) Handle(_ context.Context, rec slog.Record) error {
	var line bytes.Buffer
	if h.journal {
		fmt.Fprintf(&line, "<%d>", priority(rec.Level))
	} else {
		fmt.Fprintf(&line, "%s %-5s ", rec.Time.Format(time.RFC3339), rec.Level)
	}
	line.WriteString(oneLine(rec.Message))
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&line, " %s=%s", a.Key, quote(a.Value.Resolve().String()))
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	rec.Attrs(write)
	line.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.out.Write(line.Bytes())
	return err
}

// priority is the syslog priority of a level (sd-daemon(3)).
func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	}
	return 6
}

// oneLine takes out of a message what would end the line or give orders to a terminal: some of it comes from containers.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(text, "\n", " | "))
}

func quote(text string) string {
	if text == "" || strings.ContainsAny(text, " \"=") || strings.ContainsFunc(text, unicode.IsControl) {
		return strconv.Quote(text)
	}
	return text
}
