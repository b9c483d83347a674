package compose

import (
	"context"
	"strings"
	"sync"

	"github.com/docker/compose/v5/pkg/api"
)

// Progress is one step of the engine's work on one object.
type Progress struct {
	Object string // "Container ecs-web-1", "Image postgres:15"
	Text   string // "Creating", "Pulled"
	Failed string // the cause, when it failed
}

// reporter hands the SDK's events on. It is safe for concurrent use.
type reporter struct {
	report func(Progress)
	mu     sync.Mutex
}

func (*reporter) Start(context.Context, string) {}
func (*reporter) Done(string, bool)             {}

func (r *reporter) On(events ...api.Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range events {
		if r.report == nil || event.ParentID != "" { // layers of an image are too many to tell
			continue
		}
		p := Progress{Object: event.ID, Text: event.Text}
		if event.Status == api.Error {
			p.Failed = strings.TrimSpace(event.Text + " " + event.Details)
		}
		r.report(p)
	}
}

// shortened is an error that tells its first line and the last ones: some carry the output of a whole build.
type shortened struct{ error }

const tailLines = 10

func (s shortened) Error() string {
	lines := strings.Split(strings.TrimSpace(s.error.Error()), "\n")
	return strings.Join(append(lines[:1:1], lines[max(1, len(lines)-tailLines):]...), "\n")
}

func (s shortened) Unwrap() error { return s.error }

// tailWriter keeps the last bytes written to it, for an error text.
type tailWriter struct {
	mu   sync.Mutex
	tail []byte
}

const tailSize = 2000 // bytes

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = append(w.tail, p...)
	w.tail = w.tail[max(0, len(w.tail)-tailSize):]
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.tail))
}
