package compose

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	oneShot, stays := role{oneShot: true}, role{stays: true}
	for _, c := range []struct {
		name     string
		role     role
		restart  string
		is       ContainerInfo
		why      string
		hopeless bool
	}{
		{"running", role{}, "", ContainerInfo{State: "running"}, "", false},
		{"ended well", role{}, "", ContainerInfo{State: "exited"}, "", false},
		{"ended well, not to be restarted", role{}, "no", ContainerInfo{State: "exited"}, "", false},
		{"ended well, restarted on failure", role{}, "on-failure:3", ContainerInfo{State: "exited"}, "", false},
		{"ended well, but is to run", role{}, "always", ContainerInfo{State: "exited"}, "it ended with status 0", false},
		{"ended well, but something needs it", stays, "", ContainerInfo{State: "exited"}, "it ended with status 0", true},
		{"ended well, needed, restarted on failure", stays, "on-failure", ContainerInfo{State: "exited"}, "it ended with status 0", true},
		{"ended badly", role{}, "", ContainerInfo{State: "exited", ExitCode: 3}, "it ended with status 3", true},
		{"ended badly, restarts for ever", role{}, "on-failure", ContainerInfo{State: "exited", ExitCode: 3, Restarts: 9}, "it ended with status 3", false},
		{"ended badly, restarts left", role{}, "on-failure:3", ContainerInfo{State: "exited", ExitCode: 3, Restarts: 2}, "it ended with status 3", false},
		{"ended badly, no restarts left", role{}, "on-failure:3", ContainerInfo{State: "exited", ExitCode: 3, Restarts: 3}, "it ended with status 3", true},
		{"one-shot at work", oneShot, "", ContainerInfo{State: "running"}, "it has not ended yet", false},
		{"one-shot at work, says it is healthy", oneShot, "", ContainerInfo{State: "running", Health: "healthy"}, "it has not ended yet", false},
		{"one-shot not started", oneShot, "", ContainerInfo{State: "created"}, "it is created", false},
		{"one-shot done", oneShot, "on-failure", ContainerInfo{State: "exited", Restarts: 2}, "", false},
		{"one-shot failed", oneShot, "", ContainerInfo{State: "exited", ExitCode: 1}, "it ended with status 1", true},
		{"just restarted", role{}, "always", ContainerInfo{State: "running", Restarts: 2, Started: now.Add(-time.Second)}, "it has just been restarted (2 times)", false},
		{"restarted long ago", role{}, "always", ContainerInfo{State: "running", Restarts: 2, Started: now.Add(-time.Minute)}, "", false},
		{"restarted before the clock was set back", role{}, "always", ContainerInfo{State: "running", Restarts: 2, Started: now.Add(time.Hour)}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			service := Service{Containers: []ContainerInfo{c.is}}
			service.judge(types.ServiceConfig{Restart: c.restart}, c.role, now)
			if service.Why != c.why || service.Hopeless != c.hopeless || service.Ready != (c.why == "") {
				t.Errorf("ready %t, hopeless %t: %q; want hopeless %t: %q", service.Ready, service.Hopeless, service.Why, c.hopeless, c.why)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	_, text, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		name string
		is   ContainerInfo
		want error
	}{
		{"its own address", ContainerInfo{State: "running", Address: loopback}, nil},
		{"the host's network", ContainerInfo{State: "running", OnHost: true}, nil},
		{"the host's network, ended", ContainerInfo{State: "exited", OnHost: true}, ErrNotAnswering},
		{"no address", ContainerInfo{State: "running"}, ErrNotAnswering},
	} {
		t.Run(c.name, func(t *testing.T) {
			services := []Service{{Name: "web", Containers: []ContainerInfo{c.is}}}
			err := (&Engine{}).Probe(t.Context(), Route{Service: "web", Port: Port(port), Health: "/healthz"}, services)
			if !errors.Is(err, c.want) {
				t.Errorf("the answer is %v, not %v", err, c.want)
			}
		})
	}
}
