package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"appliance/internal/sweeping"
	"appliance/internal/testbed"
	"appliance/storage"
)

// A sweep takes one walk, counts its effects on the host and the engine, and takes it again once for each of them, with
// SIGKILL just there. Each time the next start must bring the appliance to where it was going, without a person.
type sweep struct {
	name    string
	prepare func(t *testing.T, h *testbed.Host) // the host before the walk
	check   func(t *testing.T, h *testbed.Host) // the host after it
}

var sweeps = []sweep{
	{"first start", func(*testing.T, *testbed.Host) {}, func(t *testing.T, h *testbed.Host) { visit(t, h, 1) }},
	{"changed settings over data", func(t *testing.T, h *testbed.Host) {
		first := h.Start()
		first.AwaitWatching(time.Minute) // healthy and all of it on record, so that the walk has the same effects each time
		visit(t, h, 1)
		first.Kill()
		h.WriteCompose(strings.ReplaceAll(testbed.Compose, "restart: unless-stopped", "restart: always"))
		h.WriteEnv("  changed: true\n")
	}, func(t *testing.T, h *testbed.Host) {
		visit(t, h, 2)
		if policy := testbed.Docker(t, "inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", h.Project+"-web-1", h.Project+"-store-1"); policy != "always\nalways\n" {
			t.Errorf("old and new are mixed: restart policies are %q", policy)
		}
	}},
}

func TestKillSweep(t *testing.T) {
	for _, s := range sweeps {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			points, requests := s.count(t)
			first, stride := sweeping.Points(3)
			var done atomic.Int64
			left := 0
			t.Cleanup(func() {
				fmt.Printf("kill sweep %q: %d of %d points (effects of one walk, %d of them engine requests), each with SIGKILL and converged; every %d. from %d on, %d left to the sweeps of internal/cert\n",
					s.name, done.Load(), len(points), requests, stride, first, left)
			})
			for k := first; k <= len(points); k += stride {
				if strings.Contains(points[k-1], "/data/etc/cert/") && k%5 > 0 { // each of them is cut there
					left++
					continue
				}
				t.Run(fmt.Sprintf("%03d", k), func(t *testing.T) {
					t.Parallel()
					s.kill(t, k, requests)
					if !t.Failed() {
						done.Add(1)
					}
				})
			}
		})
	}
}

// count walks once without a kill.
func (s sweep) count(t *testing.T) (effects []string, requests int) {
	h := newHost(t)
	s.prepare(t, h)
	h.Env = append(h.Env, effectLog+"="+h.Root+"/effects.0")
	h.Start().AwaitWatching(time.Minute)
	s.check(t, h)
	log := h.Read("effects.0")
	return strings.Split(strings.TrimSpace(log), "\n"), len(engineEffects(log))
}

func (s sweep) kill(t *testing.T, k, requests int) {
	h := newHost(t)
	s.prepare(t, h)
	base := h.Env
	h.Env = append(base[:len(base):len(base)], effectLog+"="+h.Root+"/effects.1", fmt.Sprintf("%s=%d", killAt, k))
	first := h.Start()
	select {
	case <-first.Done():
	case <-time.After(3 * time.Minute): // far more than it takes
		t.Fatalf("point %d was never reached", k)
	}
	where := lastLine(h.Read("effects.1"))

	h.Env = append(base[:len(base):len(base)], effectLog+"="+h.Root+"/effects.2")
	h.Start().AwaitWatching(3 * time.Minute)
	s.check(t, h)
	together := append(engineEffects(h.Read("effects.1")), engineEffects(h.Read("effects.2"))...)
	if len(together) > requests+1 {
		t.Errorf("killed after %q: %d engine requests, %d without the kill:\n%s", where, len(together), requests, strings.Join(together, "\n"))
	}
	if litter := litter(t, h.Root); len(litter) > 0 {
		t.Errorf("killed after %q: left behind %v", where, litter)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// litter lists temporary files below what the program writes.
func litter(t *testing.T, root string) (found []string) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(entry.Name(), ".") && entry.Name() != filepath.Base(storage.IDPath) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// visit asks the page and expects that to be visit number n: no data is lost, and none is made up.
func visit(t *testing.T, h *testbed.Host, n int) {
	t.Helper()
	status, body := h.Get("/")
	if status != 200 || !strings.Contains(body, fmt.Sprintf("Visits: %d\n", n)) {
		t.Errorf("the page answers %d, not visit %d: %s", status, n, body)
	}
	if _, err := os.Stat(filepath.Join(h.Root, "data/demo")); err != nil {
		t.Error(err)
	}
}
