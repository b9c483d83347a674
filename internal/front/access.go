package front

import (
	"context"
	"io"
	"strconv"
	"sync"
	"time"
)

// accessLog writes a line for each request, in the order in which they end. Requests do not wait for it: if whoever
// takes the lines does not keep up, lines are lost, and a line says how many.
type accessLog struct {
	out  io.Writer
	wake chan struct{}
	done chan struct{}

	mu    sync.Mutex
	lines []byte
	lost  int
	ended bool
}

const (
	accessEvery = 200 * time.Millisecond
	accessFull  = 64 << 10 // is written at once
	accessMost  = 4 << 20
	accessLast  = time.Second // for the last lines, which tell of what was cut off
)

// newAccessLog answers nil, which keeps nothing, for no writer.
func newAccessLog(out io.Writer) *accessLog {
	if out == nil {
		return nil
	}
	a := &accessLog{out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go a.run()
	return a
}

func (a *accessLog) run() {
	defer close(a.done)
	var spare []byte
	for last := false; !last; {
		timer := time.NewTimer(accessEvery)
		select {
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
		a.mu.Lock()
		lines, lost := a.lines, a.lost
		a.lines, a.lost, last = spare[:0], 0, a.ended
		a.mu.Unlock()
		if lost > 0 {
			lines = append(strconv.AppendInt(lines, int64(lost), 10), " requests are not in this log: it could not be written fast enough\n"...)
		}
		if len(lines) > 0 {
			_, _ = a.out.Write(lines)
		}
		if spare = lines; cap(spare) > 4*accessFull {
			spare = nil
		}
	}
}

func (a *accessLog) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// close writes what there is, and does not wait for it much longer than until ctx ends: whoever takes the lines may be stuck.
// Lines that come later are lost.
func (a *accessLog) close(ctx context.Context) {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.nudge()
	select {
	case <-a.done:
		return
	case <-ctx.Done():
	}
	select {
	case <-a.done:
	case <-time.After(accessLast):
	}
}

// note adds the line of an exchange:
//
//	time address method host path protocol status bytes seconds service certificate "user agent"
func (a *accessLog) note(x *exchange) {
	if a == nil {
		return
	}
	took := time.Since(x.started)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.lines) > accessMost || a.ended {
		a.lost++
		return
	}
	a.lines = appendLine(a.lines, x, took)
	if len(a.lines) > accessFull {
		a.nudge()
	}
}

func appendLine(b []byte, x *exchange, took time.Duration) []byte {
	service, serial := "-", "-"
	if x.route != nil {
		service = x.route.service
	}
	if x.verdict != nil && x.verdict.serial != "" {
		serial = x.verdict.serial
	}
	b = x.started.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(append(b, ' '), x.conn.text...)
	b = appendWord(append(b, ' '), x.in.Method, 32)
	b = appendWord(append(b, ' '), x.in.Host, 256)
	b = appendWord(append(b, ' '), x.in.URL.EscapedPath(), 1024)
	b = append(append(b, ' '), x.in.Proto...)
	b = strconv.AppendInt(append(b, ' '), int64(x.status), 10)
	b = strconv.AppendInt(append(b, ' '), x.bytes, 10)
	b = strconv.AppendFloat(append(b, ' '), took.Seconds(), 'f', 4, 64)
	b = appendWord(append(b, ' '), service, 64)
	b = appendWord(append(b, ' '), serial, 64)
	b = append(b, ` "`...)
	b = appendText(b, x.in.UserAgent(), 256)
	return append(b, "\"\n"...)
}

// appendWord adds text that has no spaces in it.
func appendWord(b []byte, text string, most int) []byte {
	if text == "" {
		return append(b, '-')
	}
	return appendEscaped(b, text, most, ' ')
}

// appendText adds text that ends at a quote.
func appendText(b []byte, text string, most int) []byte { return appendEscaped(b, text, most, '"') }

// appendEscaped adds at most so many bytes of text. What could end a line, a word or a quote, or drive a terminal, is
// written as \xNN.
func appendEscaped(b []byte, text string, most int, end byte) []byte {
	const digits = "0123456789abcdef"
	for i := range min(len(text), most) {
		if c := text[i]; c < ' ' || c > '~' || c == end || c == '\\' {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	if len(text) > most {
		b = append(b, "..."...)
	}
	return b
}
