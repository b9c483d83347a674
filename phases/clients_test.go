package phases

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestWhenTheFilesOfClientsAreRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // somebody writes there; 0: nobody does
		times int
		want  time.Duration
	}{
		{"nobody writes", 0, 0, clientsPause},
		{"one file after the other", settleClients / 2, 2, settleClients + settleClients/2},
		{"somebody writes all the time", settleClients / 2, 1 << 20, restlessClients},
		{"somebody writes now and then", 2 * settleClients, 1 << 20, settleClients},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				changes, begun := make(chan fsnotify.Event), time.Now()
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				go func() {
					for i := range c.times {
						if i > 0 && !pause(ctx, nil, c.every) {
							return
						}
						select {
						case changes <- fsnotify.Event{}:
						case <-ctx.Done():
							return
						}
					}
				}()
				(&visitors{}).awaitClients(t.Context(), changes)
				if took := time.Since(begun); took != c.want {
					t.Errorf("they are read after %s", took)
				}
			})
		})
	}
	t.Run("the directory is not there yet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			(&visitors{}).awaitClients(t.Context(), nil)
			if took := time.Since(begun); took != probePause {
				t.Errorf("it is looked for after %s", took)
			}
		})
	})
}
