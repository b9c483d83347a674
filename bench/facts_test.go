package bench

import (
	"os"
	"testing"
)

func TestParseRollup(t *testing.T) {
	m, err := parseRollup([]byte("00400000-7ffc ---p 00000000 00:00 0    [rollup]\nRss:               10000 kB\nPss:                1 kB\nAnonymous:          5000 kB\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (memory{anonymous: 5.12, resident: 10.24}); m != want {
		t.Errorf("%+v, not %+v", m, want)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Rss: many kB\nAnonymous: 1 kB\n"} {
		if m, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %+v", bad, m)
		}
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	m, err := memoryOf(os.Getpid())
	if err != nil {
		t.Skip(err) // not every kernel lets us
	}
	if m.anonymous <= 0 || m.resident < m.anonymous {
		t.Errorf("impossible: %+v", m)
	}
}

func TestField(t *testing.T) {
	if got := field("a\t: 1\nmodel name\t: a processor\n", "model name"); got != "a processor" {
		t.Errorf("got %q", got)
	}
	if got := field("a: 1\n", "b"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
