package testbed

import (
	"fmt"
	"syscall"
	"testing"
)

// Deaf is an address on this host that answers no attempt to connect, as one behind a network that drops packets: its queue
// of connections is full.
func Deaf(tb testing.TB) string {
	tb.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { syscall.Close(socket) })
	local := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(socket, local); err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		tb.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		tb.Fatal(err)
	}
	address := bound.(*syscall.SockaddrInet4)
	for range 2 { // fill the queue
		client, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { syscall.Close(client) })
		if err := syscall.Connect(client, address); err != nil && err != syscall.EINPROGRESS { //nolint:errorlint // a bare errno
			tb.Fatal(err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", address.Port)
}
