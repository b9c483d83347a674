package ui

import (
	"fmt"
	"strings"
	"time"
)

// span writes a duration as people say it, with the two units that matter. view.js counts on in the same words.
func span(d time.Duration) string {
	s := int(d / time.Second)
	switch {
	case d < 0:
		return "0 s"
	case d > 0 && d < time.Second:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", float64(d.Truncate(100*time.Millisecond))/float64(time.Second))
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 60*60:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 24*60*60:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// clock writes a moment by this host's clock, with as much of its date as now does not tell.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	switch {
	case t.Year() != now.Year():
		return t.Format("2 Jan 2006 15:04")
	case t.YearDay() != now.YearDay():
		return t.Format("2 Jan 15:04")
	}
	return t.Format(time.TimeOnly)
}

// imageName is a reference to an image, in parts after each of which a line may be broken; none is within the tag.
type imageName struct {
	Path []string
	Tag  string // ":2026-11", "@sha256:…"
}

func nameOf(image string) (n imageName) {
	last := strings.LastIndexByte(image, '/') + 1
	if end := strings.IndexAny(image[last:], ":@"); end >= 0 {
		image, n.Tag = image[:last+end], image[last+end:]
	}
	n.Path = strings.SplitAfter(image, "/")
	return n
}

// bytesOf writes a size with the unit that disks are sold by.
func bytesOf(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 || value >= 99.5 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
