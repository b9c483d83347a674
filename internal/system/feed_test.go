package system_test

import (
	"slices"
	"testing"

	"appliance/internal/system"
)

func TestAProgramReadsInputThatNobodySees(t *testing.T) {
	var effects []string
	sys := system.New(system.Config{Root: t.TempDir(), Observe: func(e system.Effect) error {
		effects = append(effects, e.String())
		return nil
	}})
	if out, err := sys.CommandInput(t.Context(), "secret", "cat"); out != "secret" || err != nil {
		t.Errorf("it answers %q, %v", out, err)
	}
	if !slices.Equal(effects, []string{"exec cat"}) {
		t.Errorf("effects: %q", effects)
	}
	if out, err := sys.Reader().QueryInput(t.Context(), "secret", "cat"); out != "secret" || err != nil {
		t.Errorf("a reader gets %q, %v", out, err)
	}
	if _, err := sys.Reader().CommandInput(t.Context(), "", "true"); err == nil {
		t.Error("a reader may run a command")
	}
}

func TestStatusOfAProgram(t *testing.T) {
	sys := system.New(system.Config{Root: t.TempDir()})
	_, err := sys.Query(t.Context(), "sh", "-c", "exit 7")
	if system.Status(err) != 7 || system.Status(nil) != -1 {
		t.Errorf("status %d of %v", system.Status(err), err)
	}
	if _, err := sys.Query(t.Context(), "no-such-program-here"); system.Status(err) != -1 || sys.HasProgram("no-such-program-here") || !sys.HasProgram("sh") {
		t.Errorf("status %d of %v", system.Status(err), err)
	}
}
