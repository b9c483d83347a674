package compose

import (
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"
)

func TestAddressIn(t *testing.T) {
	four, other, six := netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("172.19.0.2"), netip.MustParseAddr("fd00::2")
	for _, c := range []struct {
		name     string
		networks map[string]*network.EndpointSettings
		want     netip.Addr
	}{
		{"none", nil, netip.Addr{}},
		{"not connected yet", map[string]*network.EndpointSettings{"a": nil, "b": {}}, netip.Addr{}},
		{"always the same of several", map[string]*network.EndpointSettings{"b": {IPAddress: other}, "a": {IPAddress: four}}, four},
		{"IPv6 alone", map[string]*network.EndpointSettings{"a": {GlobalIPv6Address: six}}, six},
		{"IPv4 first", map[string]*network.EndpointSettings{"a": {GlobalIPv6Address: six}, "b": {IPAddress: four, GlobalIPv6Address: six}}, four},
	} {
		for range 50 { // a map has no order
			if got := addressIn(c.networks); got != c.want {
				t.Fatalf("%s: %v", c.name, got)
			}
		}
	}
}
