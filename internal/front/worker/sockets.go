package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

// Socket is one that visitors connect to. It outlives workers and programs.
type Socket struct {
	Kind    string // Plain or TLS; "" is one that a service manager lends, for what Listen makes of it
	Address string // it was bound to: "0.0.0.0:443", "[::]:443"
	file    *os.File
}

func (s *Socket) String() string { return s.Kind + "://" + s.Address }

// name is the socket's as in /proc/PID/fd, "" when it is closed.
func (s *Socket) name() string {
	info, err := s.file.Stat()
	if err != nil {
		return ""
	}
	return socketName(info.Sys().(*syscall.Stat_t).Ino)
}

// File is the socket itself; it stays the Front's.
func (s *Socket) File() *os.File { return s.file }

// NewSocket takes a listening socket that somebody else has made: a service manager, or the program before us.
func NewSocket(kind string, file *os.File) (*Socket, error) {
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("cannot take over the socket %s: %w", file.Name(), err)
	}
	defer listener.Close()
	return &Socket{kind, listener.Addr().String(), file}, nil
}

// Adopt takes sockets over before the first Listen, which keeps those that it wants. Those of no kind are lent: whoever
// made them has them open too, so that closing them would free no port, and only lose it. They are kept for any Listen
// to come, and are listened on by nobody meanwhile.
func (f *Front) Adopt(sockets []*Socket) {
	f.alter(func() {
		for _, s := range sockets {
			if s.Kind == "" {
				f.lent = append(f.lent, s)
			} else {
				f.sockets = append(f.sockets, s)
			}
		}
	})
}

// Sockets lists what is listened on.
func (f *Front) Sockets() []*Socket {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sockets)
}

// Listens says whether the sockets are those at the addresses wished for.
func (f *Front) Listens(plain, tls []string) bool {
	have := f.Sockets()
	for kind, addresses := range map[string][]string{Plain: plain, TLS: tls} {
		for _, address := range addresses {
			if find(have, kind, address) == nil {
				return false
			}
		}
	}
	return len(have) == len(plain)+len(tls)
}

// Listen makes the sockets those at the addresses wished for, such as ":443" or "192.0.2.1:443": what is there already
// is kept, and what is not wished for any more is closed. When one cannot be had, none is changed.
func (f *Front) Listen(plain, tls []string) error {
	f.mu.Lock()
	have, lent := slices.Clone(f.sockets), slices.Clone(f.lent)
	f.mu.Unlock()
	var want, opened []*Socket
	for _, kind := range []string{Plain, TLS} {
		for _, address := range map[string][]string{Plain: plain, TLS: tls}[kind] {
			if s := obtain(have, want, kind, address); s != nil {
				want = append(want, s)
				continue
			}
			s, err := borrow(lent, want, kind, address)
			if s == nil && err == nil {
				s, err = f.open(slices.Concat(have, lent), kind, address)
			}
			if err != nil {
				for _, s := range opened {
					s.file.Close()
				}
				return err
			}
			want, opened = append(want, s), append(opened, s)
		}
	}
	f.install(have, want)
	return nil
}

// install puts sockets in the place of those before.
func (f *Front) install(have, want []*Socket) {
	if len(want) == len(have) && !slices.ContainsFunc(want, func(s *Socket) bool { return !slices.Contains(have, s) }) {
		return
	}
	var gone []*Socket
	for _, s := range have {
		if !holds(want, s.file) {
			gone = append(gone, s)
		}
	}
	f.alter(func() {
		f.sockets, f.fresh = want, false
		for _, s := range gone {
			f.closed = append(f.closed, s.name())
		}
	})
	for _, s := range gone {
		s.file.Close()
	}
	if f.cfg.Bound != nil {
		f.cfg.Bound(want)
	}
	f.poke()
}

func holds(sockets []*Socket, file *os.File) bool {
	return slices.ContainsFunc(sockets, func(s *Socket) bool { return s.file == file })
}

// obtain answers the socket at address if we have it, nil else. One that was for another kind of visitors does as well.
func obtain(have, taken []*Socket, kind, address string) *Socket {
	if s := find(have, kind, address); s != nil {
		return s
	}
	for _, s := range have {
		if same(s.Address, address) && !holds(taken, s.file) {
			return &Socket{kind, s.Address, s.file}
		}
	}
	return nil
}

// borrow answers a copy of the socket at address that is lent to us, nil if there is none. It is ours to close.
func borrow(lent, taken []*Socket, kind, address string) (*Socket, error) {
	for _, s := range lent {
		if !same(s.Address, address) || slices.ContainsFunc(taken, func(t *Socket) bool { return t.Address == s.Address }) {
			continue
		}
		raw, err := s.file.SyscallConn()
		if err != nil {
			return nil, fmt.Errorf("cannot use the socket at %s: %w", s.Address, err)
		}
		copied := -1
		if controlErr := raw.Control(func(fd uintptr) { copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err == nil {
			err = controlErr
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use the socket at %s: %w", s.Address, err)
		}
		return &Socket{kind, s.Address, os.NewFile(uintptr(copied), s.file.Name())}, nil
	}
	return nil, nil
}

// How long a port may be in use by a worker: one whose supervisor was killed lets go as soon as it notices, and one of ours
// that drains as soon as its successor serves, which on a busy machine takes a while.
const (
	takenWait = time.Second
	ownWait   = 10 * time.Second
)

// open opens a socket. One of ours that has the port already, at other addresses, is about to go: for the moment both have it.
func (f *Front) open(have []*Socket, kind, address string) (*Socket, error) {
	var config net.ListenConfig
	for _, s := range have {
		if samePort(s.Address, address) {
			config.Control = func(_, _ string, c syscall.RawConn) error { return setShared(c, 1) }
			share(s.file, 1)
			defer share(s.file, 0)
		}
	}
	network := network(address)
	listener, err := config.Listen(context.Background(), network, address)
	for begun := time.Now(); errors.Is(err, syscall.EADDRINUSE) && time.Since(begun) < ownWait; {
		if time.Since(begun) > takenWait && !f.lingers(address) {
			break
		}
		time.Sleep(20 * time.Millisecond)
		listener, err = config.Listen(context.Background(), network, address)
	}
	if err != nil {
		return nil, explain(address, err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	share(file, 0)
	return &Socket{kind, listener.Addr().String(), file}, nil
}

// lingers says whether a socket that we have closed still listens on the port of address: a worker of before has it.
func (f *Front) lingers(address string) bool {
	f.mu.Lock()
	closed := slices.Clone(f.closed)
	for _, s := range slices.Concat(f.sockets, f.lent) { // listens for good, as do the copies of what is lent
		closed = slices.DeleteFunc(closed, func(name string) bool { return name == s.name() })
	}
	f.mu.Unlock()
	return slices.ContainsFunc(listening(address), func(name string) bool { return slices.Contains(closed, name) })
}

// network is IPv4 alone for an address of it: package net takes 0.0.0.0 for "all addresses of IPv6 too".
func network(address string) string {
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

func find(have []*Socket, kind, address string) *Socket {
	for _, s := range have {
		if s.Kind == kind && same(s.Address, address) {
			return s
		}
	}
	return nil
}

// share lets another socket of our user have the port too, or no longer. Where that fails, the port is in use.
func share(file *os.File, yes int) {
	if c, err := file.SyscallConn(); err == nil {
		_ = setShared(c, yes)
	}
}

func setShared(c syscall.RawConn, yes int) (err error) {
	return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, yes) }), err)
}

func samePort(bound, wished string) bool {
	_, boundPort, err := net.SplitHostPort(bound)
	_, port, wishedErr := net.SplitHostPort(wished)
	return err == nil && wishedErr == nil && boundPort == port
}

// same says whether a socket bound to one address is what the other wishes for.
func same(bound, wished string) bool { return sameOn(bound, wished, hasIPv6) }

// sameOn is same on a host with or without IPv6: without it, IPv4 is all that there is.
func sameOn(bound, wished string, ipv6 func() bool) bool {
	host, _, err := net.SplitHostPort(wished)
	boundHost, _, boundErr := net.SplitHostPort(bound)
	if err != nil || boundErr != nil || !samePort(bound, wished) {
		return false
	}
	at, err := netip.ParseAddr(host)
	boundAt, boundErr := netip.ParseAddr(boundHost)
	switch {
	case err == nil && boundErr == nil:
		return at == boundAt
	case host == "" && boundErr == nil:
		return boundAt == netip.IPv6Unspecified() || boundAt == netip.IPv4Unspecified() && !ipv6()
	}
	named, err := net.ResolveTCPAddr("tcp", wished) // "localhost:443"
	return err == nil && named.String() == bound
}

// hasIPv6 says whether the kernel has it at all; package net then listens on both at once.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// explain says who has the address, and what to do.
func explain(address string, err error) error {
	var holder string
	todo := "see that the address belongs to this host, or name others in appliance.listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		holder = holderOf(address)
		todo = fmt.Sprintf("stop %s, name other addresses in appliance.listen, or set appliance.front to external or off",
			cmp.Or(holder, "what listens there (`ss -ltnp` tells)"))
		if strings.HasSuffix(holder, "(PID 1)") {
			todo = "run `systemctl list-sockets`, which names the unit that has the port: appliance.socket hands it over at `systemctl restart appliance`, any other has to be stopped"
		}
	case errors.Is(err, syscall.EACCES):
		todo = "run as root, or name ports above 1023 in appliance.listen"
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "listen tcp4 "), "listen tcp ")
	if holder != "" {
		text += " by " + holder
	}
	err = &listenError{fmt.Sprintf("cannot listen: %s", text), err}
	return remedy.Passing(remedy.With(err, todo))
}

type listenError struct {
	text  string
	cause error
}

func (e *listenError) Error() string { return e.text }
func (e *listenError) Unwrap() error { return e.cause }
