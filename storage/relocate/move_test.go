package relocate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMove(t *testing.T) {
	for _, test := range []struct {
		name   string
		apart  bool
		stuck  bool
		action Action
	}{
		{"to another file system", true, false, Copy},
		{"within one file system", false, false, Rename},
		{"within one file system that does not let it go", false, true, Rename},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, test.apart)
			h.stuck = test.stuck
			plant(t, h.path(h.move.From))
			want := described(t, h.path(h.move.From))
			r := h.relocator()
			found, err := r.Look(h.move)
			must(t, err)
			if found.Action != test.action || len(h.effects) > 0 {
				t.Errorf("it is found to be %+v, with the effects %q", found, h.effects)
			}
			must(t, r.wholly(t.Context(), h.move))
			h.moved(want)
			if diff := cmp.Diff([]string{"stop " + unit, "start " + unit}, h.asked); diff != "" {
				t.Errorf("of the units was asked (-want +got):\n%s", diff)
			}
			done := len(h.effects)
			if found, err := r.Look(h.move); err != nil || found.Work() {
				t.Errorf("after it there is %+v, %v", found, err)
			}
			must(t, r.wholly(t.Context(), h.move))
			if again := h.effects[done:]; len(again) > 0 {
				t.Errorf("the second time has the effects %q", again)
			}
			t.Logf("%d effects\n%s", done, &h.log)
		})
	}
}
