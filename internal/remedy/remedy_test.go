package remedy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"appliance/internal/remedy"
)

func TestOf(t *testing.T) {
	cause := fmt.Errorf("cannot read it: %w", fs.ErrPermission)
	hinted := remedy.With(cause, "ask as root")
	for _, test := range []struct {
		name   string
		err    error
		remedy string
		text   string
	}{
		{"none", cause, "", "cannot read it: permission denied"},
		{"its own", hinted, "ask as root", "cannot read it: permission denied"},
		{"kept when wrapped", fmt.Errorf("cannot start: %w", hinted), "ask as root", "cannot start: cannot read it: permission denied"},
		{"kept when joined", errors.Join(errors.New("first"), hinted), "ask as root", "first\ncannot read it: permission denied"},
		{"the outermost wins", remedy.With(fmt.Errorf("cannot start: %w", hinted), "start it"), "start it", "cannot start: cannot read it: permission denied"},
		{"lost when the cause is hidden", fmt.Errorf("cannot start: %v", hinted), "", "cannot start: cannot read it: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := remedy.Of(test.err); got != test.remedy {
				t.Errorf("Of = %q, want %q", got, test.remedy)
			}
			if got := test.err.Error(); got != test.text {
				t.Errorf("text = %q, want %q", got, test.text)
			}
		})
	}
	if !errors.Is(hinted, fs.ErrPermission) {
		t.Error("the cause cannot be told any more")
	}
}

func TestNoErrorStaysNone(t *testing.T) {
	if err := remedy.With(nil, "do nothing"); err != nil {
		t.Errorf("With(nil) = %v", err)
	}
	if got := remedy.Of(nil); got != "" {
		t.Errorf("Of(nil) = %q", got)
	}
}
