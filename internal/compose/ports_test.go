package compose

import (
	"net"
	"strconv"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestTaken(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	heldTCP, heldUDP := strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port), strconv.Itoa(udp.LocalAddr().(*net.UDPAddr).Port)

	for _, c := range []struct {
		name string
		port types.ServicePortConfig
		want bool
	}{
		{"same address", types.ServicePortConfig{HostIP: "127.0.0.1", Published: heldTCP, Protocol: "tcp"}, true},
		{"every address", types.ServicePortConfig{Published: heldTCP, Protocol: "tcp"}, true},
		{"datagrams", types.ServicePortConfig{HostIP: "127.0.0.1", Published: heldUDP, Protocol: "udp"}, true},
		{"another address", types.ServicePortConfig{HostIP: "127.0.0.2", Published: heldTCP, Protocol: "tcp"}, false},
		{"address of another host", types.ServicePortConfig{HostIP: "192.0.2.1", Published: heldTCP, Protocol: "tcp"}, false},
		{"any port", types.ServicePortConfig{Protocol: "tcp"}, false},
		{"a range", types.ServicePortConfig{Published: heldTCP + "-65535", Protocol: "tcp"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := taken(t.Context(), c.port); got != c.want {
				t.Errorf("taken is %t, not %t", got, c.want)
			}
		})
	}
}
