package storage

import (
	"fmt"

	"appliance/internal/system"
)

// Level is how little space a file system has left.
type Level int

// The levels there are, each worse than the one before.
const (
	Ample   Level = iota
	Warn          // people should know
	Hold          // no new work is taken on
	Protect       // whoever writes is stopped
)

func (l Level) String() string { return [...]string{"ample", "warn", "hold", "protect"}[l] }

// Limits are the shares of a file system, in percent, below which it is at the level.
type Limits struct{ Warn, Hold, Protect int }

// margin is how much more has to be free, in percent of the file system, for a better level than before: what is written and
// removed all the time must not make it go up and down.
const margin = 1

// Level judges what is free, of bytes and of files, by the level it was at before.
func (l Limits) Level(s system.Space, before Level) Level {
	at := Ample
	for level, limit := range map[Level]int{Warn: l.Warn, Hold: l.Hold, Protect: l.Protect} {
		if level <= before {
			limit += margin
		}
		if FreePercent(s) < float64(limit) {
			at = max(at, level)
		}
	}
	return at
}

// FreePercent is the share that is free, of bytes or of files, whichever is less.
func FreePercent(s system.Space) float64 {
	free := 100.0
	if s.Size > 0 {
		free = 100 * float64(s.Free) / float64(s.Size)
	}
	if s.AllFiles > 0 { // some file systems make room for files as they need it
		free = min(free, 100*float64(s.Files)/float64(s.AllFiles))
	}
	return free
}

// Bytes writes a size for people.
func Bytes(n uint64) string {
	value, unit := float64(n), 0
	for ; value >= 1000 && unit < 5; unit++ {
		value /= 1000
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %cB", value, " kMGTP"[unit])
}

// Share tells what is free, for people: "1.2 GB (8.0 %)", or of files where those are what is scarce.
func Share(s system.Space) string {
	if percent := FreePercent(s); s.AllFiles > 0 && s.Size > 0 && percent < 100*float64(s.Free)/float64(s.Size) {
		return fmt.Sprintf("%d files (%.1f %%)", s.Files, percent)
	}
	return fmt.Sprintf("%s (%.1f %%)", Bytes(s.Free), FreePercent(s))
}
