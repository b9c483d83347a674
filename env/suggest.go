package env

import (
	"maps"
	"slices"
	"strings"
)

// suggest answers the key that was probably meant by an unknown one: the nearest at the same place, or the same name
// at another place below appliance.
func (s *schema) suggest(place []string, name string) string {
	if len(name) > 40 {
		return ""
	}
	node, _ := s.at(place)
	if node == nil {
		return ""
	}
	best, least := "", 1+len(name)/3
	wanted := plainKey(name)
	for _, known := range slices.Sorted(maps.Keys(node.target(s).Properties)) {
		if d := distance(wanted, plainKey(known)); d < least || d == least && best == "" {
			best, least = known, d
		}
	}
	if best != "" {
		return best
	}
	return s.elsewhere(s.Properties["appliance"], "appliance", wanted)
}

// plainKey makes keys comparable that differ only in case and punctuation.
func plainKey(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

func (s *schema) elsewhere(node *schema, path, wanted string) string {
	properties := node.target(s).Properties
	for _, known := range slices.Sorted(maps.Keys(properties)) {
		below := path + "." + known
		if plainKey(known) == wanted {
			return below
		}
		if found := s.elsewhere(properties[known], below, wanted); found != "" {
			return found
		}
	}
	return ""
}

// distance counts the insertions, removals, changes and swaps of neighbours between two short texts.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}
