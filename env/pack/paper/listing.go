package paper

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// span is a piece of a printed row: text as it stands in the document, or a box that says which character is meant.
type span struct {
	text  string
	boxed bool
}

// row is one printed row: number is that of the line which begins in it, 0 where a long line goes on.
type row struct {
	number int
	spans  []span
}

// rows sets the document in rows of at most width characters. What cannot be seen or told apart on paper is boxed: tabs
// and other control characters, bytes that are no UTF-8, blanks at the end of a line, and characters that the font lacks.
func rows(document []byte, width int, has func(rune) bool) []row {
	var set []row
	number := 0
	for line := range strings.Lines(string(document)) {
		number++
		text, ended := strings.CutSuffix(line, "\n")
		spans := boxes(text, has)
		if !ended {
			spans = append(spans, span{"no line end", true})
		}
		set = append(set, wrap(number, spans, width)...)
	}
	return set
}

// boxes answers the characters of a line, each a span of its own.
func boxes(line string, has func(rune) bool) []span {
	visible := len(strings.TrimRight(line, " "))
	spans := make([]span, 0, len(line))
	for at := 0; at < len(line); {
		r, size := utf8.DecodeRuneInString(line[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			spans = append(spans, span{fmt.Sprintf("0x%02X", line[at]), true})
		case at >= visible, !unicode.IsPrint(r), !has(r):
			spans = append(spans, span{fmt.Sprintf("U+%04X", r), true})
		default:
			spans = append(spans, span{line[at : at+size], false})
		}
		at += size
	}
	return spans
}

// wrap fills rows with single characters and boxes, and joins what is alike.
func wrap(number int, spans []span, width int) []row {
	set := []row{{number: number}}
	used := 0
	for _, s := range spans {
		length := utf8.RuneCountInString(s.text)
		if used+length > width {
			set = append(set, row{})
			used = 0
		}
		used += length
		last := &set[len(set)-1]
		if n := len(last.spans); n > 0 && !s.boxed && !last.spans[n-1].boxed {
			last.spans[n-1].text += s.text
			continue
		}
		last.spans = append(last.spans, s)
	}
	return set
}
