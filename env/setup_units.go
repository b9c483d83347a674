package env

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Position is a place on a disk: so many bytes from its begin, or so many hundredths of a percent of it.
type Position struct {
	Bytes      uint64
	Hundredths uint64 // of a percent; only where Percent
	Percent    bool
}

// On answers the position on a disk of so many bytes, in bytes.
func (p Position) On(size uint64) uint64 {
	if !p.Percent {
		return p.Bytes
	}
	return size/10000*p.Hundredths + size%10000*p.Hundredths/10000
}

var positionShape = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*|%)$`)

// parsePosition reads a position as parted understands it: a number alone is in megabytes of 1000² bytes.
func parsePosition(text string) (Position, error) {
	m := positionShape.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Position{}, fmt.Errorf("expected a position such as 1MiB, 20GB or 100%%, found %q", text)
	}
	number, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return Position{}, err
	}
	if m[2] == "%" {
		if number > 100 {
			return Position{}, fmt.Errorf("expected at most 100%%, found %s%%", m[1])
		}
		return Position{Percent: true, Hundredths: uint64(math.Round(number * 100))}, nil
	}
	unit, known := map[string]float64{"": 1e6, "b": 1, "s": 512, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}[strings.ToLower(m[2])]
	if !known || number*unit > 1<<62 {
		return Position{}, fmt.Errorf("expected one of the units s, B, kB, MB, GB, TB, kiB, MiB, GiB, TiB and %%, found %q", m[2])
	}
	return Position{Bytes: uint64(number * unit)}, nil
}

var sizeShape = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)$`)

// parseSize reads a size as LVM understands it: units are powers of 1024 in either case, a number alone is in MiB. Nothing is 0.
func parseSize(text string) (uint64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	m := sizeShape.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("expected a size such as 20g, found %q", text)
	}
	number, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, err
	}
	letter := strings.ToLower(m[2])
	if len(letter) > 1 { // gb, GiB
		letter = strings.TrimSuffix(strings.TrimSuffix(letter, "b"), "i")
	}
	unit, known := map[string]float64{"": 1 << 20, "b": 1, "s": 512, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}[letter]
	if !known || number*unit > 1<<62 {
		return 0, fmt.Errorf("expected one of the units b, s, k, m, g, t and p, found %q", m[2])
	}
	if size := uint64(number * unit); size > 0 {
		return size, nil
	}
	return 0, fmt.Errorf("expected a size of more than nothing, found %q", text)
}
