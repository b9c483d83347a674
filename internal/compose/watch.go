package compose

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"appliance/internal/remedy"
)

// Event is something that happened to a container of the project.
type Event struct {
	Service   string
	Container string
	Action    string // as the engine names it: "die", "start", "oom", "health_status: unhealthy", …
	ExitCode  int    // for "die"
	Time      time.Time
}

// Watch hands every event of the project's containers since now to seen, until ctx ends or the engine goes away; that is
// the error. The engine is asked for what happened since the call, so nothing is missed while the stream opens.
func (e *Engine) Watch(ctx context.Context, project string, seen func(Event)) error {
	since := e.cfg.System.Now()
	stream := e.client.Events(ctx, client.EventsListOptions{
		Filters: projectFilter(project).Add("type", string(events.ContainerEventType)),
		Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
	})
	for {
		select {
		case err := <-stream.Err:
			return remedy.With(fmt.Errorf("cannot watch the engine: %w", err), startEngine)
		case msg := <-stream.Messages:
			if strings.HasPrefix(string(msg.Action), "exec_") { // health checks of the engine itself
				continue
			}
			code, _ := strconv.Atoi(msg.Actor.Attributes["exitCode"])
			seen(Event{
				Service: msg.Actor.Attributes[api.ServiceLabel], Container: msg.Actor.Attributes["name"],
				Action: string(msg.Action), ExitCode: code, Time: time.Unix(0, msg.TimeNano),
			})
		}
	}
}
