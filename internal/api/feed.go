package api

import (
	"sync"
	"time"
)

// feed keeps the last items that were added, numbers them without a gap, and wakes whoever waits for more. It is safe
// for concurrent use and never blocks the one who adds: a listener that falls behind further than what is kept misses
// items, and sees that by the numbers.
type feed[T any] struct {
	mu   sync.Mutex
	last uint64
	kept []T
	more chan struct{} // closed and replaced with every item
}

// newFeed returns an empty feed. Its numbers begin with the time, in microseconds, so that a listener that comes back
// after the supervisor was replaced does not take new items for known ones.
func newFeed[T any]() feed[T] {
	return feed[T]{last: uint64(time.Now().UnixMicro()), more: make(chan struct{})}
}

// add keeps the item that number makes of its ID, and drops as many of the oldest as excess says.
func (f *feed[T]) add(number func(id uint64) T, excess func(kept []T) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.kept = append(f.kept, number(f.last))
	n := excess(f.kept)
	clear(f.kept[:n])
	f.kept = f.kept[n:]
	close(f.more)
	f.more = make(chan struct{})
}

// After returns what is kept behind the item with the given ID, and a channel that is closed when there is more. An ID
// that is yet to come is of another process whose clock was ahead: then everything is behind it.
func (f *feed[T]) After(id uint64) ([]T, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(len(f.kept))
	if id <= f.last {
		n = min(n, f.last-id)
	}
	if n == 0 {
		return nil, f.more
	}
	return append([]T(nil), f.kept[uint64(len(f.kept))-n:]...), f.more
}
