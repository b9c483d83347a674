package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"appliance/internal/front"
)

// Command is the first argument of a worker; the kinds of its sockets follow in the order of their descriptors.
const Command = "front-worker"

// The kinds of sockets.
const (
	Plain = "http"
	TLS   = "https"
)

// firstSocket is the descriptor of a worker's first socket; the one before is the control line.
const firstSocket = 4

// How long connections may last that a worker has when it is to end: with a successor, and without a supervisor.
const (
	drainLimit  = time.Hour
	orphanLimit = 5 * time.Second
)

// Main is the worker. It ends when it is told to, or when its supervisor has gone.
func Main(kinds []string, log *slog.Logger) error {
	// The supervisor ends us through the line: a signal to the whole group is meant for it.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := confine(); err != nil {
		return err
	}
	control, err := newLine(os.NewFile(firstSocket-1, "control"))
	if err != nil {
		return err
	}
	defer control.Close()
	go front.TuneMemory(context.Background())
	w := &worker{server: front.NewServer(front.Config{Log: log, Access: os.Stdout}), control: control, log: log}
	for i, kind := range kinds {
		listener, err := openSocket(os.NewFile(uintptr(firstSocket+i), kind))
		if err != nil {
			return err
		}
		w.sockets = append(w.sockets, socket{kind, listener})
	}
	return w.run()
}

type worker struct {
	server  *front.Server
	control *line
	sockets []socket
	log     *slog.Logger
	serving bool
}

type socket struct {
	kind     string
	listener net.Listener
}

func openSocket(file *os.File) (net.Listener, error) {
	defer file.Close() // FileListener duplicates it
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("cannot take over the %s socket: %w", file.Name(), err)
	}
	return listener, nil
}

// run obeys orders. After the order to drain it goes on listening for the end of the line, which cuts the patience short.
func (w *worker) run() error {
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	drained := make(chan error, 1)
	draining := false
	drain := func() {
		if !draining {
			draining = true
			go func() {
				ctx, cancel := context.WithTimeout(ctx, drainLimit)
				defer cancel()
				drained <- w.server.Drain(ctx)
			}()
		}
	}
	orders, lost := w.listen()
	for {
		select {
		case o := <-orders:
			if o.State != nil {
				w.apply(o)
			}
			if o.Drain {
				drain()
			}
		case err := <-lost:
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				w.log.Warn("the front lost its supervisor", "err", err)
			}
			drain()
			lost = nil
			time.AfterFunc(orphanLimit, func() { giveUp(errors.New("there is no supervisor")) })
		case err := <-drained:
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				w.log.Info("the front cut off the last connections")
				return nil
			}
			return err
		}
	}
}

// listen reads orders until the line ends.
func (w *worker) listen() (<-chan order, <-chan error) {
	orders, lost := make(chan order), make(chan error, 1)
	go func() {
		for {
			var o order
			if err := w.control.in.Decode(&o); err != nil {
				lost <- err
				return
			}
			orders <- o
		}
	}()
	return orders, lost
}

func (w *worker) apply(o order) {
	r := report{Number: o.Number}
	if err := w.server.Apply(*o.State); err != nil {
		r.Error = err.Error()
	}
	if !w.serving {
		w.serving = true
		for _, s := range w.sockets {
			go w.serve(s)
		}
	}
	if err := w.control.out.Encode(r); err != nil {
		w.log.Debug("cannot report to the supervisor", "err", err) // the end of the line says so too
	}
}

func (w *worker) serve(s socket) {
	serve := w.server.ServeTLS
	if s.kind == Plain {
		serve = w.server.ServePlain
	}
	if err := serve(s.listener); err != nil {
		w.log.Error("cannot serve visitors", "address", s.listener.Addr().String(), "err", err)
	}
}
