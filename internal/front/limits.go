package front

import (
	"cmp"
	"syscall"
	"time"
)

// Limits bound what strangers can take. A zero field means its default.
//
// A header has to come within a time as a whole: HeaderTime, or of HTTP/2, where nothing else can come meanwhile, Idle. A body
// has to come byte after byte only: no least rate is asked of it. One that spares a phone at the edge of its net, or a device
// that sends what it measures as it comes, is not felt by those who mean harm. What bounds bodies that trickle is how many
// requests an address may have under way; each costs a connection to the application, which knows best how long an upload of
// its own may take.
type Limits struct {
	Header      int           // bytes of a request's line and header fields together; 32 kB
	HeaderTime  time.Duration // from a request's first byte to the end of its header; 10 s
	Handshake   time.Duration // of TLS; 10 s
	Idle        time.Duration // between two requests on a connection; 2 min
	Park        time.Duration // of that, before the connection gives most of its memory back; 1 s
	Stall       time.Duration // without a byte from, or taken by, a client that is in the middle of something; 1 min
	Connections int           // open at a time; 65 536, and never more than half of the files the process may open
	PerAddress  int           // of those, for one IPv4 address or one IPv6 /64; a quarter: whole hospitals are behind one address
	Requests    int           // under way at a time, since HTTP/2 puts many on a connection; 32 768
	// Of those, for one address or network as above; a quarter: else a hundred connections of one visitor could take them all.
	RequestsPerAddress int
	Dial               time.Duration // to reach a backend; 3 s
	Avoid              time.Duration // how long a backend that refused is left alone; 2 s
	DrainIdle          time.Duration // that a connection may idle on once the server drains; 5 s
}

func (l Limits) withDefaults() Limits {
	connections := min(cmp.Or(l.Connections, 1<<16), openFiles()/2)
	requests := cmp.Or(l.Requests, 1<<15)
	return Limits{
		Header:             cmp.Or(l.Header, 32<<10),
		HeaderTime:         cmp.Or(l.HeaderTime, 10*time.Second),
		Handshake:          cmp.Or(l.Handshake, 10*time.Second),
		Idle:               cmp.Or(l.Idle, 2*time.Minute),
		Park:               cmp.Or(l.Park, time.Second),
		Stall:              cmp.Or(l.Stall, time.Minute),
		Connections:        connections,
		PerAddress:         cmp.Or(l.PerAddress, max(1, connections/4)),
		Requests:           requests,
		RequestsPerAddress: cmp.Or(l.RequestsPerAddress, max(1, requests/4)),
		Dial:               cmp.Or(l.Dial, 3*time.Second),
		Avoid:              cmp.Or(l.Avoid, 2*time.Second),
		DrainIdle:          cmp.Or(l.DrainIdle, 5*time.Second),
	}
}

// openFiles is how many files the process may have open: a connection needs one, and another on the way to its backend.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<24))
}
