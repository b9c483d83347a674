package yaml11

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits is the longest number that Python prints; reading longer ones takes time that grows with their square.
const maxDigits = 4300

var errNumber = errors.New("a number that cannot be read") // never with the number: it may be a secret

// number is a scanned integer: its sign and its digits in their base, underscores included. Base 60 has colons.
type number struct {
	negative bool
	digits   string
	base     int
}

func cutSign(s string) (negative bool, rest string) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[0] == '-', s[1:]
	}
	return false, s
}

// span counts the bytes at the start of s that are digits of the base or underscores.
func span(s string, base int) int {
	i := 0
	for i < len(s) {
		c, digit := s[i], false
		switch {
		case c == '_':
			digit = true
		case c <= '9':
			digit = c >= '0' && int(c-'0') < base
		case base == 16:
			digit = c|0x20 >= 'a' && c|0x20 <= 'f'
		}
		if !digit {
			return i
		}
		i++
	}
	return i
}

// scanInt recognises the integers of YAML 1.1: binary, octal with a leading 0, decimal, hexadecimal and sexagesimal.
func scanInt(s string) (number, bool) {
	negative, s := cutSign(s)
	whole := func(digits string, base int) (number, bool) {
		return number{negative, digits, base}, digits != "" && span(digits, base) == len(digits)
	}
	switch {
	case s == "":
		return number{}, false
	case s == "0":
		return whole(s, 10)
	case strings.HasPrefix(s, "0b"):
		return whole(s[2:], 2)
	case strings.HasPrefix(s, "0x"):
		return whole(s[2:], 16)
	case s[0] == '0':
		return whole(s[1:], 8)
	case s[0] < '1' || s[0] > '9':
		return number{}, false
	}
	i := span(s, 10)
	if i == len(s) {
		return number{negative, s, 10}, true
	}
	return number{negative, s, 60}, minutes(s[i:]) == len(s)-i
}

// minutes counts the bytes at the start of s that are sexagesimal places such as ":5" or ":59".
func minutes(s string) int {
	i := 0
	for i < len(s) && s[i] == ':' {
		n := span(strings.ReplaceAll(s[i+1:min(i+3, len(s))], "_", "x"), 10)
		switch {
		case n == 2 && s[i+1] <= '5':
			i += 3
		case n == 1 || n == 2: // of ":75" only ":7" is a place, so that what follows does not fit
			i += 2
		default:
			return i
		}
	}
	return i
}

// decimal prints the number as Python does.
func (n number) decimal() (string, error) {
	if len(n.digits) > 4*maxDigits {
		return "", errNumber
	}
	digits := strings.ReplaceAll(n.digits, "_", "")
	sum := new(big.Int)
	switch {
	case n.base == 10 && len(digits) <= maxDigits:
		return signed(n.negative, digits), nil
	case n.base == 60:
		for place := range strings.SplitSeq(digits, ":") {
			part, ok := new(big.Int).SetString(place, 10)
			if !ok {
				return "", errNumber
			}
			sum.Add(sum.Mul(sum, big.NewInt(60)), part)
		}
	case digits == "" && n.base == 8: // "0_" is a zero
	default:
		if _, ok := sum.SetString(digits, n.base); !ok {
			return "", errNumber
		}
	}
	printed := sum.String()
	if len(printed) > maxDigits {
		return "", errNumber
	}
	return signed(n.negative, printed), nil
}

func signed(negative bool, digits string) string {
	if negative && digits != "0" {
		return "-" + digits
	}
	return digits
}

// taggedInt reads the value of an explicit !!int, which takes a little more than an unquoted integer may be.
func taggedInt(s string) (string, error) {
	s = strings.TrimSpace(s)
	n, ok := scanInt(s)
	if negative, rest := cutSign(s); !ok && strings.HasPrefix(rest, "0o") {
		n, ok = number{negative, rest[2:], 8}, rest != "0o"
	}
	if !ok {
		return "", errNumber
	}
	return n.decimal()
}

// isFloat recognises the floats of YAML 1.1. An exponent needs a point before it and a sign: 1e3 is text.
func isFloat(s string) bool {
	switch s {
	case ".nan", ".NaN", ".NAN":
		return true
	}
	_, rest := cutSign(s)
	switch rest {
	case "":
		return false
	case ".inf", ".Inf", ".INF":
		return true
	}
	if rest[0] == '.' { // no sign here: -.5 is text
		n := span(rest[1:], 10)
		return rest == s && n > 0 && rest[1] != '_' && isExponent(rest[1+n:])
	}
	i := span(rest, 10)
	if i == 0 || rest[0] == '_' {
		return false
	}
	rest = rest[i:]
	if places := minutes(rest); places > 0 {
		rest = rest[places:]
		return rest != "" && rest[0] == '.' && span(rest[1:], 10) == len(rest)-1
	}
	return rest != "" && rest[0] == '.' && isExponent(rest[1+span(rest[1:], 10):])
}

// isExponent accepts nothing, or e+5.
func isExponent(s string) bool {
	if s == "" {
		return true
	}
	return len(s) > 2 && s[0]|0x20 == 'e' && (s[1] == '+' || s[1] == '-') &&
		!strings.Contains(s, "_") && span(s[2:], 10) == len(s)-2
}

// floatText prints a float as Python does.
func floatText(s string) (string, error) {
	negative, digits := cutSign(strings.ToLower(strings.ReplaceAll(s, "_", "")))
	sign := 1.0
	if negative {
		sign = -1
	}
	switch digits {
	case ".inf":
		return pyFloat(math.Inf(int(sign))), nil
	case ".nan":
		return "nan", nil
	}
	sum, base := 0.0, 1.0
	places := strings.Split(digits, ":")
	for i := len(places) - 1; i >= 0; i-- { // in Python's order, for the same rounding
		part := strings.TrimSpace(places[i])
		f, err := strconv.ParseFloat(part, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(part, "xp") {
			return "", errNumber
		}
		sum += f * base
		base *= 60
	}
	return pyFloat(sign * sum), nil
}

// pyFloat is Python's repr of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
func pyFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	case f != 0 && (math.Abs(f) < 1e-4 || math.Abs(f) >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
