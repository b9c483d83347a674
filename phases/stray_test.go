package phases

import (
	"path/filepath"
	"testing"
)

// A host may have what belongs below /data where the links to it are to be: somebody copied it there before the first start.
func TestWhatIsWhereALinkShouldBe(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", environment)
	h.write("app/ecs-ca/ca.key", "theirs")
	h.write("app/etc/hooks/own", "theirs")
	start := func() {
		t.Helper()
		for _, phase := range []string{"prepare-env", "prepare-appliance"} {
			if err := Single(t.Context(), h.config(&manager{}), phase); err != nil {
				t.Fatal(err)
			}
		}
	}
	start()
	for path, want := range map[string]string{"data/ecs-ca/ca.key": "theirs", "app/ecs-ca/ca.key": "theirs", "data/etc/hooks/own": "theirs"} {
		if got := h.read(path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
	}
	h.write("volatile/ecs-cache/own", "theirs")
	h.remove("app/ecs-cache")
	h.write("app/ecs-cache/own", "another") // as from a backup: what is in force stays so
	start()
	aside, err := filepath.Glob(filepath.Join(h.root, "app/ecs-cache.aside-*/own"))
	if len(aside) != 1 || err != nil || h.read("app/ecs-cache/own") != "theirs" {
		t.Fatalf("aside is %q, %v; in force is %q", aside, err, h.read("app/ecs-cache/own"))
	}
}

// A boot wipes the environment in force. Where the next one is no good, an application whose data is there still comes back.
func TestDataStandsWithoutAnEnvironment(t *testing.T) {
	h, _ := prepared(t)
	h.remove("run")
	w := readingWalk(h.config(&manager{}))
	if err := w.dataStands(t.Context()); err != nil {
		t.Errorf("it says %v", err)
	}
	h.remove("data")
	if err := readingWalk(h.config(&manager{})).dataStands(t.Context()); err == nil {
		t.Error("without its data it may be started")
	}
}
