// Package worker runs the front as a process of its own and keeps it running: a supervisor's Front starts the worker,
// hands it the listening sockets, tells it each new state, and has another one take over when sockets or program change.
// The one before serves what it has begun to its end.
package worker

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"appliance/internal/front"
)

// order is what a supervisor tells a worker, one JSON document after the other.
type order struct {
	Number uint64       `json:"number"`
	State  *front.State `json:"state,omitempty"`
	Drain  bool         `json:"drain,omitempty"` // take no new connections; end when the last one has gone
}

// report is a worker's answer to a state: it is in force, as far as Error says nothing else.
type report struct {
	Number uint64 `json:"number"`
	Error  string `json:"error,omitempty"`
}

// line is one end of the way that orders and reports take. A worker whose line ends has lost its supervisor.
type line struct {
	*net.UnixConn
	in  *json.Decoder
	out *json.Encoder
}

func newLine(file *os.File) (*line, error) {
	defer file.Close() // FileConn duplicates it
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("cannot use the control socket of the front: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("cannot use the control socket of the front: it is a %T", conn)
	}
	return &line{unixConn, json.NewDecoder(unixConn), json.NewEncoder(unixConn)}, nil
}

// newPair returns both ends of a new line: ours, and the file for the worker.
func newPair() (*line, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the control socket of the front: %w", err)
	}
	ours, err := newLine(os.NewFile(uintptr(fds[0]), "front control"))
	theirs := os.NewFile(uintptr(fds[1]), "front control of the worker")
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}
