package main

import (
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"appliance/internal/testbed"
)

// relay stands between the program and the engine, so that a test can take the engine away.
type relay struct {
	path, engine string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	fatal    *regexp.Regexp // the request after which the engine goes away; nil: none
}

func newRelay(t *testing.T, h *testbed.Host) *relay {
	t.Helper()
	engine, local := "/var/run/docker.sock", true
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		engine, local = strings.CutPrefix(host, "unix://")
	}
	if !local {
		t.Skip("the engine is not at a Unix socket")
	}
	r := &relay{path: h.Root + "/engine.sock", engine: engine, conns: map[net.Conn]bool{}}
	h.Env = append(h.Env, "DOCKER_HOST=unix://"+r.path)
	t.Cleanup(r.cut)
	return r
}

// open lets the program reach the engine, until a request that matches fatal has gone through.
func (r *relay) open(t *testing.T, fatal string) {
	t.Helper()
	listener, err := net.Listen("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener, r.fatal = listener, nil
	if fatal != "" {
		r.fatal = regexp.MustCompile(fatal)
	}
	go r.accept(listener)
}

// cut ends every connection and takes no new ones.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener == nil {
		return
	}
	r.listener.Close()
	r.listener = nil
	for conn := range r.conns {
		conn.Close()
	}
	clear(r.conns)
}

func (r *relay) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		engine, err := net.Dial("unix", r.engine)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns[client], r.conns[engine] = true, true
		r.mu.Unlock()
		go r.pass(client, engine, false)
		go r.pass(engine, client, true)
	}
}

func (r *relay) pass(to, from net.Conn, requests bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		r.mu.Lock()
		last := requests && r.fatal != nil && r.fatal.Match(buf[:n])
		r.mu.Unlock()
		if last {
			r.cut()
			return
		}
	}
}
