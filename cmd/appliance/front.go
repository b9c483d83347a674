package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"appliance/internal/front/worker"
	"appliance/internal/systemd"
)

// frontUsers are who a worker of the front may run as, best first: what strangers send is parsed without rights.
var frontUsers = []string{"appliance-front", "nobody"}

// ownProgram is the file that this process runs, even where another one has taken its name.
const ownProgram = "/proc/self/exe"

// openFront prepares to receive visitors, at the sockets that the process before has left.
func (s *supervisor) openFront(stderr io.Writer) (*worker.Front, error) {
	file, ok := stderr.(*os.File)
	if !ok {
		file = os.Stderr
	}
	owner, group := frontOwner()
	f := worker.New(worker.Config{System: s.sys, Log: s.log, Program: []string{ownProgram, "appliance"}, Env: workerEnv(os.Environ()),
		Owner: owner, Group: group, Stderr: file, Bound: s.keepSockets})
	if err := f.Inherit(s.inherited); err != nil {
		return nil, err
	}
	return f, adoptSockets(f) // none after an exec
}

// Names of the sockets in the service manager's keeping.
var storedAs = map[string]string{worker.Plain: "front-http", worker.TLS: "front-https"}

// adoptSockets takes over what the service manager has for us: of a socket unit, or of a process that crashed.
func adoptSockets(f *worker.Front) error {
	var sockets []*worker.Socket
	for _, file := range systemd.Listeners() {
		kind := ""
		for k, name := range storedAs {
			if file.Name() == name {
				kind = k
			}
		}
		socket, err := worker.NewSocket(kind, file)
		if err != nil {
			return err
		}
		sockets = append(sockets, socket)
	}
	f.Adopt(sockets)
	return nil
}

// keepSockets has the service manager keep the sockets, so that visitors wait while a supervisor that crashed is started
// again. Without it they are refused meanwhile.
func (s *supervisor) keepSockets(sockets []*worker.Socket) {
	files := map[string][]*os.File{}
	for _, socket := range sockets {
		files[socket.Kind] = append(files[socket.Kind], socket.File())
	}
	var err error
	for kind, name := range storedAs {
		err = errors.Join(err, systemd.DropFDs(name))
		if len(files[kind]) > 0 {
			err = errors.Join(err, systemd.StoreFDs(name, files[kind]...))
		}
	}
	if err != nil {
		s.log.Warn("a crash would refuse visitors until the next start", "err", err)
	}
}

// frontOwner is the numeric user of a worker and its group; -1 where we cannot choose. The group is looked up too: under
// the user's number there may be a group with rights, such as that of the engine.
func frontOwner() (owner, group int) {
	if os.Geteuid() != 0 {
		return -1, -1
	}
	for _, name := range frontUsers {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		owner, err := strconv.Atoi(u.Uid)
		group, groupErr := strconv.Atoi(u.Gid)
		if err == nil && groupErr == nil {
			return owner, group
		}
	}
	const nobody = 65534 // on every Linux, whether it has a name or not
	return nobody, nobody
}

// workerEnv leaves of our environment what a worker needs: where the journal is, the time zone, and the settings of Go.
func workerEnv(all []string) []string {
	kept := []string{} // nil would be all of it
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == "JOURNAL_STREAM", name == "TZ", name == "GOMEMLIMIT", name == "GOGC", name == "GODEBUG", name == "GORACE", name == "APPLIANCE_TEST_PROGRAM":
			kept = append(kept, entry)
		}
	}
	return kept
}

// closeLimit is how long visitors that are being answered may take when the front ends without a successor.
const closeLimit = 5 * time.Second

func (s *supervisor) closeFront() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit+time.Second)
	defer cancel()
	s.front.Close(ctx)
}
