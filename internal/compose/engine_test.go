package compose

import (
	"io"
	"log/slog"
	"testing"

	"github.com/sirupsen/logrus"

	"appliance/internal/system"
)

func TestSDKLogStaysWithTheFirst(t *testing.T) {
	open := func() logrus.Hook {
		t.Helper()
		cfg := Config{System: system.New(system.Config{Root: t.TempDir()}), Host: "unix:///nowhere.sock", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		engine, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { engine.Close() })
		hooks := logrus.StandardLogger().Hooks[logrus.WarnLevel]
		if len(hooks) != 1 {
			t.Fatalf("%d hooks listen to the SDK", len(hooks))
		}
		return hooks[0]
	}
	if first, second := open(), open(); first != second {
		t.Error("opening an engine again took the SDK's log away from the first")
	}
}
