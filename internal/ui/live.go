package ui

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"appliance/internal/api"
)

// position is up to where a browser knows the events and the log.
type position struct{ event, line uint64 }

func (p position) String() string { return fmt.Sprintf("%d.%d", p.event, p.line) }

// positionOf reads what String wrote; nonsense is the beginning.
func positionOf(text string) (p position) {
	if _, err := fmt.Sscanf(text, "%d.%d", &p.event, &p.line); err != nil {
		return position{}
	}
	return p
}

const (
	lookAgain   = time.Second            // what no event tells of, like storage, is looked for this often
	lookSoon    = 150 * time.Millisecond // after an event: it rarely comes alone
	reconnect   = time.Second            // to a supervisor that is away
	writeWithin = 20 * time.Second       // a browser that takes nothing for so long has gone
	heartbeat   = 15 * time.Second       // so that a tunnel does not take a silent stream for a dead one, and we see who has gone
)

// live streams, as HTML, what changes on the page.
func (v *View) live(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	at := positionOf(cmp.Or(req.Header.Get("Last-Event-ID"), req.URL.Query().Get("after")))
	w.Header().Set("Content-Type", "text/event-stream")
	events, lines := make(chan api.Event), make(chan api.LogLine)
	go follow(ctx, at.event, v.cfg.Supervisor.Events, events, func(e api.Event) uint64 { return e.ID })
	go follow(ctx, at.line, v.cfg.Supervisor.Log, lines, func(l api.LogLine) uint64 { return l.ID })
	s := &stream{view: v, w: w, control: http.NewResponseController(w), at: at, sent: map[string]string{}}
	again := time.NewTimer(0)
	defer again.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	soon := false
	for s.err == nil {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			s.at.event = e.ID
			s.send("history", "event", e)
			if !soon { // not put off by those that follow
				soon = true
				again.Reset(lookSoon)
			}
		case l := <-lines:
			s.at.line = l.ID
			s.send("log", "line", l)
		case <-again.C:
			s.changed(v.look(ctx))
			soon = false
			again.Reset(lookAgain)
		case <-beat.C:
			s.write([]byte(": still here\n\n"))
		}
	}
}

// follow hands what a feed has behind last to items, over restarts of the supervisor, until ctx ends.
func follow[T any](ctx context.Context, last uint64, feed func(context.Context, uint64, func(T) bool) error, items chan<- T, id func(T) uint64) {
	for ctx.Err() == nil {
		_ = feed(ctx, last, func(item T) bool { // that nobody answers is shown by the status
			select {
			case <-ctx.Done():
				return false
			case items <- item:
				last = id(item)
				return true
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(reconnect):
		}
	}
}

// stream is one browser that listens.
type stream struct {
	view    *View
	w       http.ResponseWriter
	control *http.ResponseController
	at      position
	sent    map[string]string // fingerprints, by section
	err     error
}

// changed sends the sections that look different now.
func (s *stream) changed(l look) {
	for _, section := range l.sections() {
		print := section.fingerprint()
		if s.sent[section.Name] != print {
			s.sent[section.Name] = print
			s.send(section.Name, section.Name, section.Data)
		}
	}
}

// send sends data, shown by a template, as a server-sent event.
func (s *stream) send(event, template string, data any) {
	html, err := s.view.paper.render(template, data)
	if err != nil {
		s.err = err
		return
	}
	var message bytes.Buffer
	fmt.Fprintf(&message, "id: %s\nevent: %s\n", s.at, event)
	// A carriage return would end a line of the stream too, and what follows it could pose as another event.
	html = bytes.ReplaceAll(html, []byte("\r"), nil)
	for line := range bytes.SplitSeq(html, []byte("\n")) {
		fmt.Fprintf(&message, "data: %s\n", line)
	}
	message.WriteByte('\n')
	s.write(message.Bytes())
}

func (s *stream) write(message []byte) {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWithin)) // where it cannot be set, the kernel gives up in the end
	if _, s.err = s.w.Write(message); s.err == nil {
		s.err = s.control.Flush()
	}
}
