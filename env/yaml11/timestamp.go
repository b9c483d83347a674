package yaml11

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var errDate = errors.New("a date that is not in the calendar")

// clock is the time of day of a timestamp.
type clock struct {
	hour, minute, second int
	fraction             string // six digits, or nothing
	zone                 string // as printed: +05:30, or nothing
}

// timestampText recognises a date or a time and prints it as Python's str does. Without a tag, a date alone needs two
// digits for month and day; ok says whether it is a timestamp at all, err whether there is no such day or time.
func timestampText(s string, tagged bool) (printed string, ok bool, err error) {
	if len(s) < 8 || s[4] != '-' {
		return "", false, nil
	}
	year, rest, ok := digits(s, 4, 4)
	if !ok {
		return "", false, nil
	}
	month, rest, okMonth := digits(rest[1:], 1, 2)
	if !okMonth || !strings.HasPrefix(rest, "-") {
		return "", false, nil
	}
	day, rest, okDay := digits(rest[1:], 1, 2)
	if !okDay || rest == "" && len(s) != len("2006-01-02") && !tagged {
		return "", false, nil
	}
	if year == 0 || month == 0 || month > 12 || day == 0 || day > daysIn(year, month) {
		err = errDate
	}
	printed = fmt.Sprintf("%04d-%02d-%02d", year, month, day)
	if rest == "" {
		return printed, true, err
	}
	at, ok, errTime := scanClock(rest)
	if !ok {
		return "", false, nil
	}
	printed += fmt.Sprintf(" %02d:%02d:%02d", at.hour, at.minute, at.second)
	if at.fraction != "" {
		printed += "." + at.fraction
	}
	return printed + at.zone, true, errors.Join(err, errTime)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// digits reads at least low and at most high decimal digits.
func digits(s string, low, high int) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < high && s[i] >= '0' && s[i] <= '9' {
		n = 10*n + int(s[i]-'0')
		i++
	}
	return n, s[i:], i >= low
}

// scanClock reads " 12:30:00.5 +05:30" after a date.
func scanClock(s string) (at clock, ok bool, err error) {
	rest := strings.TrimLeft(s, " \t")
	if rest == s {
		if s[0]|0x20 != 't' {
			return at, false, nil
		}
		rest = s[1:]
	}
	for i, part := range []*int{&at.hour, &at.minute, &at.second} {
		low := 2
		if i == 0 {
			low = 1
		} else if !strings.HasPrefix(rest, ":") {
			return at, false, nil
		} else {
			rest = rest[1:]
		}
		if *part, rest, ok = digits(rest, low, 2); !ok {
			return at, false, nil
		}
	}
	if at.hour > 23 || at.minute > 59 || at.second > 59 {
		err = errDate
	}
	if strings.HasPrefix(rest, ".") {
		n := span(strings.ReplaceAll(rest[1:], "_", "x"), 10)
		at.fraction, rest = rest[1:1+n], rest[1+n:]
		at.fraction = (at.fraction + "000000")[:6]
		if at.fraction == "000000" {
			at.fraction = ""
		}
	}
	zone, ok, errZone := scanZone(strings.TrimLeft(rest, " \t"))
	if strings.TrimLeft(rest, " \t") == "" && rest != "" {
		return at, false, nil
	}
	at.zone = zone
	return at, ok, errors.Join(err, errZone)
}

// scanZone reads Z, +5 or -05:30, and prints it as Python does.
func scanZone(s string) (printed string, ok bool, err error) {
	switch {
	case s == "":
		return "", true, nil
	case s == "Z":
		return "+00:00", true, nil
	case s[0] != '-' && s[0] != '+':
		return "", false, nil
	}
	hours, rest, ok := digits(s[1:], 1, 2)
	if !ok {
		return "", false, nil
	}
	offset := 60 * hours
	if rest != "" {
		minutes, end, ok := digits(strings.TrimPrefix(rest, ":"), 2, 2)
		if !ok || rest[0] != ':' || end != "" {
			return "", false, nil
		}
		offset += minutes
	}
	if offset >= 24*60 {
		err = errDate
	}
	sign := s[:1]
	if offset == 0 {
		sign = "+"
	}
	return fmt.Sprintf("%s%02d:%02d", sign, offset/60, offset%60), true, err
}
