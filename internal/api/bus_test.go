package api

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBusIsBounded(t *testing.T) {
	b := NewBus()
	for i := range 3 * historySize {
		b.Publish(Event{Text: fmt.Sprint(i)})
	}
	events, _ := b.After(0)
	if len(events) != historySize || events[0].Text != fmt.Sprint(2*historySize) || events[historySize-1].Text != fmt.Sprint(3*historySize-1) {
		t.Errorf("%d events are kept, from %q to %q; want the last %d", len(events), events[0].Text, events[len(events)-1].Text, historySize)
	}
	for i, e := range events[1:] {
		if e.ID != events[i].ID+1 {
			t.Fatalf("the number %d follows %d", e.ID, events[i].ID)
		}
	}
}

// A listener that does not listen keeps nobody waiting, and sees by the numbers that it has missed something.
func TestASlowListenerMissesEvents(t *testing.T) {
	b := NewBus()
	b.Publish(Event{Text: "first"})
	first, more := b.After(0)
	for range historySize + 10 {
		b.Publish(Event{})
	}
	select {
	case <-more:
	default:
		t.Fatal("the listener is not told that there is more")
	}
	next, _ := b.After(first[0].ID)
	if gap := next[0].ID - first[0].ID; gap != 11 {
		t.Errorf("the next number is %d further, want 11: ten were missed", gap)
	}
}

func TestBusAfter(t *testing.T) {
	b := NewBus()
	begun := b.last
	for _, text := range []string{"a", "b", "c"} {
		b.Publish(Event{Text: text})
	}
	for _, test := range []struct {
		name string
		id   uint64
		want string
	}{
		{"from the start", 0, "abc"},
		{"behind the first", begun + 1, "bc"},
		{"up to date", begun + 3, ""},
		{"a number of the process before", begun - 1000, "abc"},
		{"a number that is yet to come", begun + 1000, "abc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			events, more := b.After(test.id)
			var got string
			for _, e := range events {
				got += e.Text
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			select {
			case <-more:
				t.Error("there is said to be more")
			default:
			}
		})
	}
}

func TestEventsKeepTheirTime(t *testing.T) {
	b := NewBus()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.Publish(Event{Time: at})
	b.Publish(Event{})
	events, _ := b.After(0)
	if !events[0].Time.Equal(at) || time.Since(events[1].Time) > time.Minute {
		t.Errorf("times are %s and %s", events[0].Time, events[1].Time)
	}
}

func TestPublishersAndListenersTogether(t *testing.T) {
	const publishers, each = 4, 100
	b := NewBus()
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				b.Publish(Event{})
			}
		})
	}
	for range 3 {
		all.Go(func() {
			last, seen := uint64(0), 0
			for seen < publishers*each {
				events, more := b.After(last)
				for _, e := range events {
					if last > 0 && e.ID != last+1 {
						t.Errorf("the number %d follows %d", e.ID, last)
					}
					last, seen = e.ID, seen+1
				}
				if len(events) == 0 {
					<-more
				}
			}
		})
	}
	all.Wait()
}
