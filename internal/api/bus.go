package api

import "time"

// Bus keeps the last events and hands new ones to whoever listens. It is safe for concurrent use and never blocks the
// one who publishes: a listener that falls behind further than the history reaches misses events, and sees that by the IDs.
type Bus struct{ feed[Event] }

const historySize = 512 // events

// NewBus returns an empty bus.
func NewBus() *Bus { return &Bus{newFeed[Event]()} }

// Publish numbers the event, dates it and makes it known.
func (b *Bus) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	b.add(func(id uint64) Event {
		e.Version, e.ID = Version, id
		return e
	}, func(kept []Event) int { return max(0, len(kept)-historySize) })
}
