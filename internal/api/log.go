package api

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept of the supervisor's own log, which is in memory as long as the supervisor is.
const (
	logLines   = 2000
	logBytes   = 512 << 10
	logLineMax = 8 << 10 // bytes of one line
)

// Log keeps the last lines of the supervisor's own log for GET /v1/log. It is an io.Writer that takes what goes to the
// journal: one line a call, its priority in front ("<6>text"). So both always say the same, with the same things hidden.
// It is safe for concurrent use.
type Log struct {
	feed[LogLine]
	size int // bytes of the texts that are kept
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{feed: newFeed[LogLine]()} }

// Write keeps one line.
func (l *Log) Write(line []byte) (int, error) {
	level, text := splitPriority(strings.TrimSuffix(string(line), "\n"))
	kept := LogLine{Time: time.Now(), Level: level, Text: clip(text)}
	l.add(func(id uint64) LogLine {
		kept.ID = id
		l.size += len(kept.Text)
		return kept
	}, l.excess)
	return len(line), nil
}

// excess is how many of the oldest lines must go.
func (l *Log) excess(kept []LogLine) (n int) {
	for len(kept)-n > logLines || l.size > logBytes {
		l.size -= len(kept[n].Text)
		n++
	}
	return n
}

// splitPriority takes the priority (sd-daemon(3)) off a line and names it as slog does.
func splitPriority(line string) (level, text string) {
	levels := map[string]string{"<3>": "ERROR", "<4>": "WARN"}
	if len(line) < 3 || line[0] != '<' || line[2] != '>' {
		return "INFO", line
	}
	if level = levels[line[:3]]; level == "" {
		level = "INFO"
	}
	return level, line[3:]
}

// clip bounds a line, and leaves no broken character at its end.
func clip(text string) string {
	if len(text) <= logLineMax {
		return text
	}
	end := logLineMax
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
