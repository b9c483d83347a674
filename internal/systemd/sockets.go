package systemd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Listeners answers the listening sockets that the service manager handed to this process: those of socket units, and
// those that StoreFDs gave it to keep. Each has the name it goes by there; a socket unit has one name for all of its own.
// Anything else that was handed over is closed.
//
// They are handed over once, to this process and not to its children: a second call answers none, and so does one after
// the program was replaced in place. What the program before had open has to be handed on by it.
func Listeners() []*os.File {
	return slices.DeleteFunc(activation.Files(true), func(file *os.File) bool {
		if listens(file) {
			return false
		}
		file.Close()
		return true
	})
}

func listens(file *os.File) bool {
	accepts := 0
	err := withFD(file, func(fd int) (err error) {
		accepts, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		return err
	})
	return err == nil && accepts == 1
}

// withFD calls do with the descriptor of a file. File.Fd would make it a blocking one, for everybody who shares the socket.
func withFD(file *os.File, do func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}

// maxStored is how many files fit one message to the service manager (SCM_MAX_FD in the kernel).
const maxStored = 253

// StoreFDs gives copies of files to the service manager to keep under a name, beside those it has under that name already.
// Whatever ends this process, even a kill, the one that is started in its place gets them by Listeners; only when the unit
// is stopped they are closed. It does nothing where no service manager listens. One that keeps nothing for us
// (FileDescriptorStoreMax) does not say so.
func StoreFDs(name string, files ...*os.File) error {
	if err := storable(name); err != nil {
		return err
	}
	if len(files) == 0 || len(files) > maxStored {
		return fmt.Errorf("cannot store %d files of the name %q at once", len(files), name)
	}
	if err := store(name, files, nil); err != nil {
		return fmt.Errorf("cannot store the sockets %q: %w", name, err)
	}
	return nil
}

// store holds each file open while it collects the descriptors of the others, and sends them all.
func store(name string, files []*os.File, fds []int) error {
	if len(files) == 0 {
		return tell("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fds...))
	}
	return withFD(files[0], func(fd int) error { return store(name, files[1:], append(fds, fd)) })
}

// DropFDs takes back what StoreFDs gave away under a name.
func DropFDs(name string) error {
	if err := storable(name); err != nil {
		return err
	}
	if err := tell("FDSTOREREMOVE=1\nFDNAME="+name, nil); err != nil {
		return fmt.Errorf("cannot take back the sockets %q: %w", name, err)
	}
	return nil
}

// storable holds a name against what sd_notify(3) says of FDNAME: another one would be taken for "stored".
func storable(name string) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("cannot store files under the name %q", name)
	}
	return nil
}

// tellLimit bounds the wait for a service manager whose queue is full.
const tellLimit = 5 * time.Second

// tell sends a state with files to the service manager. A connected socket of package net refuses to carry files.
func tell(state string, rights []byte) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	limit := unix.NsecToTimeval(tellLimit.Nanoseconds())
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return err
	}
	for {
		// A name that begins with @ is an abstract one, here as there.
		err := unix.Sendmsg(socket, []byte(state), rights, &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
