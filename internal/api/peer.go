package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Group is the group whose members may read.
const Group = "appliance"

type peer struct {
	uid    uint32
	groups []uint32
}

type peerKey struct{}

// withPeer notes who is at the other end of a connection: the kernel says so, the peer cannot lie.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	p, err := peerOf(conn)
	if err != nil {
		return ctx // no peer: nothing is allowed
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(conn net.Conn) (peer, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, errors.New("not a Unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var credErr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			p = peer{uid: cred.Uid, groups: append(peerGroups(fd), cred.Gid)}
		}
	})
	return p, errors.Join(err, credErr)
}

// peerGroups asks for the peer's supplementary groups (Linux 4.13 and later; none before).
func peerGroups(fd uintptr) []uint32 {
	groups := make([]uint32, 256)
	size := uint32(len(groups) * 4)
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	return groups[:size/4]
}

// allow says whether the peer of the request may do it: root and the supervisor's own user everything, members of the
// group only read.
func (s *Server) allow(req *http.Request) error {
	p, ok := req.Context().Value(peerKey{}).(peer)
	switch {
	case !ok:
		return errors.New("cannot tell who is asking")
	case p.uid == 0 || p.uid == uint32(os.Geteuid()):
		return nil
	case s.groupID >= 0 && slices.Contains(p.groups, uint32(s.groupID)):
		if req.Method == http.MethodGet {
			return nil
		}
		return fmt.Errorf("cannot allow this to a member of group %s: it may only read", Group)
	}
	return fmt.Errorf("cannot allow this to user %d", p.uid)
}

// groupID looks the reading group up; -1 when there is none.
func groupID() int {
	group, err := user.LookupGroup(Group)
	if err != nil {
		return -1
	}
	id, err := strconv.Atoi(group.Gid)
	if err != nil {
		return -1
	}
	return id
}
