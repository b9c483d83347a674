package front

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// TuneMemory has the whole process, until ctx ends, collect garbage seldom while little is in use and more eagerly once
// it is much: collecting a small heap over and over costs a third of the speed, but idle connections by the ten thousand
// shall not have as much garbage again beside them.
//
// What a burst has left is given back to the host when it is over: a connection that rests needs a third of what its
// handshake took.
func TuneMemory(ctx context.Context) {
	seen := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}}
	was := debug.SetGCPercent(gcPercent(0))
	defer debug.SetGCPercent(was)
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var allocated, returned uint64
	for percent := gcPercent(0); ; {
		metrics.Read(seen)
		live, allocs := seen[0].Value.Uint64(), seen[1].Value.Uint64()
		unused := seen[2].Value.Uint64() + seen[3].Value.Uint64() - min(live, seen[3].Value.Uint64()) // free, and garbage
		if next := gcPercent(live); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		if quiet := allocs-allocated < burst; quiet && unused > spare && allocs-returned > spare {
			debug.FreeOSMemory()
			returned = allocs
		}
		allocated = allocs
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

const (
	burst = 2 << 20  // bytes a second that say that there is work
	spare = 16 << 20 // bytes that are worth the work of giving them back
)

// gcPercent is how much garbage there may be, in percent of what is in use: 32 MB, but never less than 40 %.
func gcPercent(live uint64) int {
	const room = 32 << 20
	return int(max(40, min(800, 100*room/max(live, 1))))
}
