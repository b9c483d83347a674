package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"appliance/internal/remedy"
)

// Handover lists what the program that takes our place in this process needs: by name, the open sockets and the lines to
// the workers, which are its children then. Nothing may be told to the front any more.
func (f *Front) Handover() (map[string]*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	files := map[string]*os.File{}
	for i, s := range f.sockets {
		files[fmt.Sprintf("front-socket.%d.%s", i, s.Kind)] = s.file
	}
	for i, s := range f.lent {
		files[fmt.Sprintf("front-lent.%d.", i)] = s.file
	}
	for _, p := range f.all() {
		file, err := p.line.File()
		if errors.Is(err, net.ErrClosed) {
			continue // it has just ended
		}
		if err != nil {
			return nil, fmt.Errorf("cannot hand the front over: %w", err)
		}
		files["front-worker."+strconv.Itoa(p.pid)] = file
	}
	return files, nil
}

// Inherit takes over what Handover has listed, and takes it out of files. The workers go on with what they know until
// ours has the first state in force; then they take no new connections.
func (f *Front) Inherit(files map[string]*os.File) error {
	for _, list := range []string{"front-socket", "front-lent"} {
		for i := 0; ; i++ {
			s, err := take(files, fmt.Sprintf("%s.%d.", list, i))
			if err != nil {
				return err
			}
			if s == nil {
				break
			}
			f.Adopt([]*Socket{s})
		}
	}
	for name, file := range files {
		number, ok := strings.CutPrefix(name, "front-worker.")
		if !ok {
			continue
		}
		delete(files, name)
		pid, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("cannot take over worker %q: %w", number, err)
		}
		l, err := newLine(file)
		if err != nil {
			return remedy.With(err, "restart appliance.service")
		}
		p := f.attach(pid, l)
		f.alter(func() { f.before = append(f.before, p) })
	}
	return nil
}

func take(files map[string]*os.File, prefix string) (*Socket, error) {
	for _, kind := range []string{Plain, TLS, ""} {
		file := files[prefix+kind]
		if file == nil {
			continue
		}
		delete(files, prefix+kind)
		return NewSocket(kind, file)
	}
	return nil, nil
}
