package api

import (
	"sync"
	"time"
)

// Bus keeps the last events and hands new ones to whoever listens. It is safe for concurrent use and never blocks the
// one who publishes: a listener that falls behind further than the history reaches misses events, and sees that by the IDs.
type Bus struct {
	mu      sync.Mutex
	last    uint64
	history []Event
	more    chan struct{} // closed and replaced with every event
}

const historySize = 512 // events

// NewBus returns an empty bus. Its numbers begin with the time, in microseconds, so that a listener that comes back after
// the supervisor was replaced does not take the new events for known ones.
func NewBus() *Bus {
	return &Bus{last: uint64(time.Now().UnixMicro()), more: make(chan struct{})}
}

// Publish numbers the event, dates it and makes it known.
func (b *Bus) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.Version, e.ID = Version, b.last
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if len(b.history) == historySize {
		b.history = append(b.history[:0], b.history[1:]...)
	}
	b.history = append(b.history, e)
	close(b.more)
	b.more = make(chan struct{})
}

// After returns the known events behind the one with the given ID, and a channel that is closed when there are more. An
// ID that is yet to come is of another process whose clock was ahead: then all events are behind it.
func (b *Bus) After(id uint64) ([]Event, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id > b.last {
		id = 0
	}
	for i, e := range b.history {
		if e.ID > id {
			return append([]Event(nil), b.history[i:]...), b.more
		}
	}
	return nil, b.more
}
