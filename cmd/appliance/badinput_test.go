package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/api"
	"appliance/internal/testbed"
)

// wrong is an input that must be refused: with one error that names the place, the cause and the way out.
type wrong struct {
	name  string
	spoil func(t *testing.T, h *testbed.Host)
	phase string   // refuses it
	late  bool     // only doing it shows that it is wrong; a plan does not
	says  []string // in the error
	todo  string   // in the remedy
}

var wrongs = []wrong{
	{"no environment", func(t *testing.T, h *testbed.Host) { remove(t, h, "app/env.yml") },
		"prepare-env", false, []string{"there is no /app/env.yml"}, "write it"},
	{"empty environment", writeEnv(""), "prepare-env", false, []string{"/app/env.yml: it is empty"}, "write the environment to it"},
	{"binary environment", writeEnv("#cloud-config\nappliance:\x00\x01\x02"),
		"prepare-env", false, []string{"/app/env.yml:2:11: is binary"}, "text of the file"},
	{"environment of 10 MB", writeEnv("#cloud-config\n" + strings.Repeat("# filler\n", 10<<20/9)),
		"prepare-env", false, []string{"/app/env.yml", "larger than the 4194304 bytes"}, "move large content out"},
	{"environment that is not UTF-8", writeEnv("#cloud-config\nappliance:\n  domain: b\xfcx.example.org\n"),
		"prepare-env", false, []string{"/app/env.yml:3:12: is not UTF-8: byte 0xfc"}, "save the file as UTF-8"},
	{"unknown key", writeEnv("#cloud-config\nappliance:\n  domain: box.example.org\n  standbye: true\n"),
		"prepare-env", false, []string{"/app/env.yml:4:3: appliance.standbye: unknown key"}, "standby"},
	{"value of a wrong type", writeEnv("#cloud-config\nappliance:\n  domain: box.example.org\n  standby: 17\n"),
		"prepare-env", false, []string{"/app/env.yml:4:12: appliance.standby: expected true or false, found number 17"}, "write true or false"},
	{"compose file with a syntax error", editCompose("command: [web]", "command: [web"),
		"prepare-ecs", false, []string{"/app/ecs/compose.yaml:11:14: ", "did not find expected ',' or ']'"}, "mend the compose file"},
	{"required variable that is not set", editCompose("DEMO_FAIL: \"${ECS_DEMO_WEB_FAIL:-}\"", "DEMO_FAIL: \"${ECS_NOT_SET:?no default}\""),
		"prepare-ecs", false, []string{"/app/ecs/compose.yaml:14:19: ", "services.web.environment.DEMO_FAIL", "ECS_NOT_SET"}, "set ECS_NOT_SET in env.yml"},
	{"image that cannot be had", editCompose("image: appliance-testbed:1\n    command: [web]", "image: 127.0.0.1:1/nobody/nothing:1\n    command: [web]"),
		"prepare-ecs", true, []string{"cannot pull 127.0.0.1:1/nobody/nothing:1: ", "connection refused"}, "check the image's name"},
	{"port in use", holdPort, "prepare-ecs", false, []string{"cannot publish 127.0.0.1:", "of service web", "/app/ecs/compose.yaml:13:13"}, "free the port"},
	{"build that fails", func(t *testing.T, h *testbed.Host) {
		h.Write("app/ecs/broken/Dockerfile", "FROM scratch\nCOPY nothing /\n")
		editCompose("image: appliance-testbed:1\n    command: [web]", "build: broken\n    command: [web]")(t, h)
	}, "prepare-ecs", true, []string{"cannot build [web]", "COPY failed", "nothing"}, "mend the Dockerfile"},
}

func writeEnv(text string) func(*testing.T, *testbed.Host) {
	return func(_ *testing.T, h *testbed.Host) { h.Write("app/env.yml", text) }
}

func editCompose(old, new string) func(*testing.T, *testbed.Host) {
	return func(t *testing.T, h *testbed.Host) {
		t.Helper()
		if !strings.Contains(testbed.Compose, old) {
			t.Fatalf("the compose file of the demo has no %q", old)
		}
		h.WriteCompose(strings.Replace(testbed.Compose, old, new, 1))
	}
}

func holdPort(t *testing.T, h *testbed.Host) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	editCompose("127.0.0.1:${ECS_DEMO_PORT}:8080", l.Addr().String()+":8080")(t, h)
}

func remove(t *testing.T, h *testbed.Host, path string) {
	t.Helper()
	if err := os.Remove(filepath.Join(h.Root, path)); err != nil {
		t.Fatal(err)
	}
}

// mend puts a good environment and a good compose file in place.
func mend(h *testbed.Host) {
	h.WriteCompose(testbed.Compose)
	h.WriteEnv("")
}

// refused runs the program, which must end with one error that says all that w says.
func (w wrong) refused(t *testing.T, h *testbed.Host, args ...string) {
	t.Helper()
	out, stderr, status := h.Run(args...)
	if status == 0 {
		t.Fatalf("%v ends with status 0: %s%s", args, out, stderr)
	}
	head, todo, _ := strings.Cut(stderr, "\nTo do: ")
	if n := strings.Count("\n"+head, "\nappliance: "); n != 1 || strings.Contains(todo, "To do: ") {
		t.Errorf("%v says %d errors:\n%s", args, n, stderr)
	}
	w.said(t, head, todo)
}

func (w wrong) said(t *testing.T, cause, todo string) {
	t.Helper()
	for _, want := range w.says {
		if !strings.Contains(cause, want) {
			t.Errorf("the cause does not say %q:\n%s", want, cause)
		}
	}
	if !strings.Contains(todo, w.todo) {
		t.Errorf("the remedy does not say %q:\n%s", w.todo, todo)
	}
}

// failed holds the state, the flag and the log since logged against what w says.
func (w wrong) failed(t *testing.T, h *testbed.Host, s *testbed.Supervisor, logged int) {
	t.Helper()
	var flag api.Failure
	if err := json.Unmarshal([]byte(h.Read("run/appliance-failed")), &flag); err != nil {
		t.Fatalf("cannot read the failed flag: %v", err)
	}
	if flag.Version != api.Version || flag.Phase != w.phase || flag.First.IsZero() || flag.Tries < 1 {
		t.Errorf("the flag is %+v", flag)
	}
	w.said(t, flag.Cause, flag.ToDo)
	if n := strings.Count(s.Log()[logged:], " ERROR "); n != 1 {
		t.Errorf("the log tells %d errors:\n%s", n, s.Log()[logged:])
	}
	if _, _, status := h.Run("status"); status != int(troubled) {
		t.Errorf("status ends with %d", status)
	}
}

// clears takes the flag down, which must end in run.
func clears(t *testing.T, h *testbed.Host) {
	t.Helper()
	if out, stderr, status := h.Run("clear"); status != 0 || !strings.HasPrefix(out, "run: healthy") {
		t.Fatalf("clear ends with %d: %s%s", status, out, stderr)
	}
}

// in makes h report to a subtest.
func in(t *testing.T, h *testbed.Host) {
	parent := h.TB
	h.TB = t
	t.Cleanup(func() { h.TB = parent })
}

func TestBadInputOnAFreshHost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, w := range wrongs {
		t.Run(w.name+" by hand", func(t *testing.T) {
			in(t, h)
			active := ""
			if w.phase != "prepare-env" {
				mend(h)
				if out, stderr, status := h.Run("phase", "prepare-env"); status != 0 {
					t.Fatalf("prepare-env ends with %d: %s%s", status, out, stderr)
				}
				active = h.Read("run/active-env.yml")
			}
			w.spoil(t, h)
			w.refused(t, h, "phase", w.phase)
			if !w.late {
				w.refused(t, h, "plan")
			}
			if now := h.Read("run/active-env.yml"); now != active {
				t.Errorf("the active environment is now %q", now)
			}
		})
		mend(h)
	}
	var s *testbed.Supervisor
	for _, w := range wrongs {
		t.Run(w.name, func(t *testing.T) {
			w.spoil(t, h)
			logged := 0
			if s == nil {
				s = h.Start() // ends with the test around this one
				h.AwaitFailed(10 * time.Second)
			} else {
				in(t, h)
				logged = len(s.Log())
				if _, stderr, status := h.Run("clear"); status != int(troubled) {
					t.Fatalf("clear ends with %d: %s", status, stderr)
				}
			}
			w.failed(t, h, s, logged)
		})
		mend(h)
	}
	if found := h.Containers(); len(found) > 0 {
		t.Errorf("bad input made containers: %v", found)
	}
	clears(t, h)
}

func TestBadInputLeavesAGoodStackAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.Start()
	s.AwaitWatching(time.Minute)
	active, containers := h.Read("run/active-env.yml"), h.Containers()
	untouched := func(t *testing.T) {
		t.Helper()
		if now := h.Read("run/active-env.yml"); now != active {
			t.Errorf("the active environment is now %q", now)
		}
		sameContainers(t, h, containers)
		if status, body := h.Get("/"); status != 200 {
			t.Errorf("the page answers %d: %s", status, body)
		}
	}
	for _, w := range wrongs {
		t.Run(w.name, func(t *testing.T) {
			in(t, h)
			w.spoil(t, h)
			logged := len(s.Log())
			if out, stderr, status := h.Run("reload"); status != int(troubled) {
				t.Fatalf("reload ends with %d: %s%s", status, out, stderr)
			}
			w.failed(t, h, s, logged)
			untouched(t)
			mend(h)
			clears(t, h)
			untouched(t)
		})
	}
	t.Run("second supervisor", func(t *testing.T) {
		in(t, h)
		second := wrong{says: []string{fmt.Sprintf("(PID %d)", s.Cmd.Process.Pid)}, todo: "a supervisor runs already"}
		second.refused(t, h, "run")
		second.refused(t, h, "phase", "run")
		s.AwaitWatching(time.Second)
		untouched(t)
	})
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	r := newRelay(t, h)
	w := wrong{phase: "prepare-ecs", says: []string{"cannot reach the container engine at unix://" + r.path}, todo: "start the engine"}

	if _, stderr, status := h.Run("phase", "prepare-env"); status != 0 {
		t.Fatalf("prepare-env asks for an engine: %s", stderr)
	}
	w.refused(t, h, "phase", "prepare-ecs", "--engine-wait", "200ms")
	w.refused(t, h, "plan")
	s := h.Start("--engine-wait=200ms")
	h.AwaitFailed(10 * time.Second)
	w.failed(t, h, s, 0)

	r.open(t, "")
	clears(t, h)
	before := h.Containers()

	t.Log("the engine goes away and comes back")
	r.cut()
	h.Await(10*time.Second, "out of health", func(s api.Status) bool { return !s.Healthy && strings.Contains(s.Summary, "cannot reach") })
	r.open(t, "")
	h.AwaitHealthy(30 * time.Second)
	sameContainers(t, h, before)

	t.Log("the engine stays away")
	logged := len(s.Log())
	r.cut()
	h.AwaitFailed(40 * time.Second)
	w.phase = "run"
	w.failed(t, h, s, logged)
	sameContainers(t, h, before)
	if status, body := h.Get("/"); status != 200 {
		t.Errorf("the page answers %d: %s", status, body)
	}
	if _, _, status := h.Run("clear"); status != int(troubled) {
		t.Errorf("clear without an engine ends with %d", status)
	}
	r.open(t, "")
	clears(t, h)
	sameContainers(t, h, before)
}

func TestEngineDiesInTheMiddleOfUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	r := newRelay(t, h)
	w := wrong{phase: "run", says: []string{"cannot start the services: "}, todo: "start the engine"}

	t.Log("on a fresh host, once the first container has been told to start")
	r.open(t, `^POST \S+/containers/\w+/start`)
	s := h.Start("--engine-wait=200ms")
	h.AwaitFailed(time.Minute)
	w.failed(t, h, s, 0)
	r.open(t, "")
	clears(t, h)

	t.Log("over a good stack, once the new container has been made and the old one still runs")
	h.Get("/")
	active := h.Read("run/active-env.yml")
	r.cut()
	r.open(t, `^POST \S+/containers/create`)
	h.AwaitHealthy(30 * time.Second)
	editCompose("command: [web]", "command: [web]\n    stop_signal: SIGTERM")(t, h)
	logged := len(s.Log())
	if _, stderr, status := h.Run("reload"); status != int(troubled) {
		t.Fatalf("reload ends with %d: %s", status, stderr)
	}
	w.failed(t, h, s, logged)
	if now := h.Read("run/active-env.yml"); now != active {
		t.Errorf("the active environment is now %q", now)
	}
	if status, body := h.Get("/"); status != 200 {
		t.Errorf("the page answers %d: %s", status, body)
	}
	r.open(t, "")
	clears(t, h)
	if status, body := h.Get("/"); status != 200 || !strings.Contains(body, "Visits: 3") {
		t.Errorf("the page answers %d and should have counted 3 visits: %s", status, body)
	}
}

// mount puts a small file system of its own at a path below the root.
func mount(t *testing.T, h *testbed.Host, path string) (remount func(flags uintptr)) {
	t.Helper()
	dir := filepath.Join(h.Root, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatalf("cannot remount %s: %v", dir, err)
		}
	}
}

// fill leaves no room in the file system of a directory below the root until the returned function is called.
func fill(t *testing.T, h *testbed.Host, path string) (free func()) {
	t.Helper()
	name := filepath.Join(h.Root, path, "filler")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatalf("%s has room for a megabyte", path)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func TestDiskThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	remount := mount(t, h, "var/lib/appliance")
	mount(t, h, "run")

	full := wrong{phase: "prepare-env", says: []string{"cannot save state prepare-env", "/var/lib/appliance/record.", "no space left on device"},
		todo: "make the file system of /var/lib/appliance writable and free space on it"}
	free := fill(t, h, "var/lib/appliance")
	s := h.Start()
	h.AwaitFailed(10 * time.Second)
	full.flagged(t, h)
	if h.Read("run/active-env.yml") != "" {
		t.Error("an environment was put in force without a record")
	}
	free()
	clears(t, h)
	before, active := h.Containers(), h.Read("run/active-env.yml")

	readOnly := full
	readOnly.says = []string{"cannot save state prepare-env", "/var/lib/appliance/record.", "read-only file system"}
	noEnv := wrong{phase: "prepare-env", says: []string{"cannot activate the environment", "/run/appliance/env.json", "no space left on device"},
		todo: "make /run writable and free space on it"}
	for _, disk := range []struct {
		wrong
		name  string
		spoil func() (mend func())
	}{
		{full, "record on a full disk", func() func() { return fill(t, h, "var/lib/appliance") }},
		{readOnly, "record on a read-only disk", func() func() { remount(unix.MS_RDONLY); return func() { remount(0) } }},
		{noEnv, "environment on a full disk", func() func() { return fill(t, h, "run") }},
	} {
		t.Log(disk.name)
		h.WriteEnv("  changed: true\n")
		mended := disk.spoil()
		if out, stderr, status := h.Run("reload"); status != int(troubled) {
			t.Fatalf("reload ends with %d: %s%s", status, out, stderr)
		}
		disk.flagged(t, h)
		if now := h.Read("run/active-env.yml"); now != active {
			t.Errorf("the active environment is now %q", now)
		}
		sameContainers(t, h, before)
		if status, body := h.Get("/"); status != 200 {
			t.Errorf("the page answers %d: %s", status, body)
		}
		mended()
		h.WriteEnv("")
		clears(t, h)
		sameContainers(t, h, before)
	}
	if litter, _ := filepath.Glob(h.Root + "/run/.active-env*"); len(litter) > 0 {
		t.Errorf("left behind: %v", litter)
	}

	t.Log("removing the flag is an order even though the record of it could not be saved")
	free = fill(t, h, "var/lib/appliance")
	h.Run("reload")
	h.AwaitFailed(10 * time.Second)
	free()
	remove(t, h, "run/appliance-failed")
	s.AwaitWatching(20 * time.Second)
}

// flagged holds what the supervisor answers against what w says: the flag itself may not have found room.
func (w wrong) flagged(t *testing.T, h *testbed.Host) {
	t.Helper()
	status := h.AwaitFailed(time.Second)
	if status.Failure == nil || status.Failure.Phase != w.phase {
		t.Fatalf("the failure is %+v", status.Failure)
	}
	w.said(t, status.Failure.Cause, status.Failure.ToDo)
}

func TestHostThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	remount := mount(t, h, "run")
	w := wrong{says: []string{"/run/appliance", "read-only file system"}, todo: "make the file system of /run writable"}
	remount(unix.MS_RDONLY)
	w.refused(t, h, "run")
	w.refused(t, h, "phase", "prepare-env")
	remount(0)
	w.says[1] = "no space left on device"
	free := fill(t, h, "run")
	w.refused(t, h, "run")
	free()
	h.Start().AwaitWatching(time.Minute)
}
