package bench

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/bench/internal/steady"
	"appliance/internal/api"
	"appliance/internal/testbed"
)

// originImage is the origin as an image of the engine.
const originImage = "appliance-bench-origin:latest"

// originCompose is an application of nothing but the origin, with no port published.
const originCompose = `x-appliance:
  routes: [{service: origin, port: 8080}]
  start_timeout: 60s
services:
  origin: {image: "` + originImage + `", restart: unless-stopped}
`

// originSite has our front before it, and asks no authority.
const originSite = `appliance:
  listen: {http: ["%s"], https: ["%s"]}
  ssl: {letsencrypt: {enabled: false}}
`

// replacements has a real supervisor replace itself in place, and a certificate imported, under load.
func (s *suite) replacements(times, enough int) {
	importOrigin(s.tb)
	h := &host{Host: testbed.New(s.tb, s.programs.appliance)}
	address := testbed.FreeAddress(s.tb)
	h.WriteCompose(originCompose)
	h.Write("/app/env.d/10-site.yml", fmt.Sprintf(originSite, testbed.FreeAddress(s.tb), address))
	first, second := newIdentity(s.tb, s.tb.TempDir()), newIdentity(s.tb, s.tb.TempDir())
	h.Start()
	h.AwaitHealthy(patience)
	h.show(first)
	contender{who: "appliance", address: address}.await(s.tb, first)
	s.undisturbed(fmt.Sprintf("supervisor replaced in place and certificate imported %d times", times),
		steady.Config{Address: address, TLS: trust(first, second), Size: answerSize, Crowds: visitors}, enough,
		disturbance{"reload --exec", times, func(int) { h.replace() }},
		disturbance{"cert import", times, func(n int) { h.show([]identity{second, first}[n%2]) }})
}

// show has visitors see another certificate.
func (h *host) show(id identity) {
	h.must("cert", "import", "--key", id.keyFile, "--cert", id.chainFile)
}

// replace runs the supervisor's program anew in its process, and waits until another worker serves.
func (h *host) replace() {
	h.TB.Helper()
	worker := func(s api.Status) int {
		if s.Front == nil || !s.Resting {
			return 0
		}
		return s.Front.PID
	}
	before := h.Await(patience, "served", func(s api.Status) bool { return worker(s) != 0 })
	h.must("reload", "--exec")
	h.Await(patience, "served by another worker", func(s api.Status) bool { return worker(s) != 0 && worker(s) != before.Front.PID })
}

func (h *host) must(args ...string) {
	h.TB.Helper()
	if _, stderr, status := h.Run(args...); status != 0 {
		h.TB.Fatalf("appliance %s: status %d\n%s", strings.Join(args, " "), status, stderr)
	}
}

// importOrigin makes the image of a file system that has nothing but the program.
func importOrigin(tb testing.TB) {
	tb.Helper()
	dir := tb.TempDir()
	program := filepath.Join(dir, "origin")
	goBuild(tb, repository(tb), program, "./bench/internal/origin")
	data, err := os.ReadFile(program)
	if err != nil {
		tb.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "origin.tar"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	if err := archive.WriteHeader(&tar.Header{Name: "origin", Mode: 0o755, Size: int64(len(data))}); err != nil {
		tb.Fatal(err)
	}
	if _, err := archive.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		tb.Fatal(err)
	}
	testbed.Docker(tb, "import", "-c", `ENTRYPOINT ["/origin", ":8080"]`, file.Name(), originImage)
}
