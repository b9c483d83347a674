package compose

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestPublished(t *testing.T) {
	p := &Project{project: &types.Project{Services: types.Services{"web": {WorkloadSpec: types.WorkloadSpec{Ports: []types.ServicePortConfig{
		{Target: 443, Published: "443", Protocol: "udp"}, // of HTTP/3, where no server of ours is sent to
		{Target: 443, Published: "8443", Protocol: "tcp", HostIP: "127.0.0.1"},
		{Target: 80, Protocol: "tcp"},
		{Target: 81, Published: "81", HostIP: "::1"},
	}}}}}}
	for port, want := range map[Port]string{443: "127.0.0.1:8443", 80: "", 81: "[::1]:81", 82: ""} {
		if got := p.Published(Route{Service: "web", Port: port}); got != want {
			t.Errorf("%d: %q, not %q", port, got, want)
		}
	}
}
