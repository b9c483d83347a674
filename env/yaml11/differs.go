package yaml11

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Differs tells whether YAML 1.2 gives another meaning to an unquoted scalar.
func Differs(k Kind, printed, written string) bool {
	switch k {
	case Boolean:
		return !slices.Contains([]string{"true", "false"}, strings.ToLower(written))
	case Integer:
		_, digits := cutSign(written)
		return signed(written[0] == '-', digits) != printed && !strings.HasPrefix(written, "0x") || strings.Contains(written, "_")
	case Float:
		return strings.ContainsAny(written, "_:")
	case Timestamp:
		return printed != written
	case Text:
		return coreNumber(written)
	}
	return false
}

// coreNumber recognises numbers of YAML 1.2 only: 1e3, 0o17, -.5 and 08.
func coreNumber(s string) bool {
	if octal, ok := strings.CutPrefix(s, "0o"); ok {
		return octal != "" && strings.Trim(octal, "01234567") == ""
	}
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}
