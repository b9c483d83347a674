package main

import (
	"strings"
	"testing"
	"time"

	"appliance/internal/testbed"
	"appliance/storage"
)

// A build is not begun where too little would be left, and the old application goes on.
func TestNoRoomForImages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if space, err := h.System().Space("/"); err != nil || storage.FreePercent(space) > 85 {
		t.Skipf("this machine has too much space left for the test: %s, %v", storage.Share(space), err)
	}
	h.Start()
	h.AwaitHealthy(time.Minute)
	before := h.Containers()
	h.Write("app/ecs/more/Dockerfile", "FROM appliance-testbed:1\nLABEL more=more\n")
	editCompose("image: appliance-testbed:1\n    command: [web]", "build: more\n    command: [web]")(t, h)
	env := h.Read("app/env.yml")
	h.Write("app/env.yml", strings.Replace(env, "appliance:\n", "appliance:\n  storage: {space: {warn: 90, hold: 90, protect: 1}}\n", 1))
	_, _, _ = h.Run("reload")
	f := h.AwaitFailed(time.Minute).Failure
	if f.Phase != "prepare-ecs" || f.Step != "images" || !strings.Contains(f.Cause, "cannot begin to fetch images: ") ||
		!strings.Contains(f.Cause, "free; 90 % have to stay free") || f.NextTry == nil {
		t.Errorf("failure is %+v", f)
	}
	if _, stderr, status := h.Run("storage", "status"); status != 3 {
		t.Errorf("the status of storage ends with %d: %s", status, stderr)
	}
	for name, id := range before {
		if h.Containers()[name] != id {
			t.Errorf("%s was %s and is %s", name, id, h.Containers()[name])
		}
	}
	h.Write("app/env.yml", env)
	t.Cleanup(func() { testbed.Docker(t, "rmi", "-f", strings.ToLower(h.Project)+"-web") })
	if out, stderr, status := h.Run("clear"); status != 0 {
		t.Errorf("with room it ends with %d: %s%s", status, out, stderr)
	}
}

// A walk that finds a volume full stops whoever writes, also where this process had brought them up.
func TestNoRoomForData(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if space, err := h.System().Space("/"); err != nil || storage.FreePercent(space) > 85 {
		t.Skipf("this machine has too much space left for the test: %s, %v", storage.Share(space), err)
	}
	h.Start()
	h.AwaitHealthy(time.Minute)
	env := h.Read("app/env.yml")
	h.Write("app/env.yml", strings.Replace(env, "appliance:\n", "appliance:\n  storage: {space: {warn: 90, hold: 90, protect: 90}}\n", 1))
	_, _, _ = h.Run("reload")
	if f := h.AwaitFailed(time.Minute).Failure; f.Phase != "prepare-appliance" || f.Step != "space" || f.NextTry == nil {
		t.Errorf("failure is %+v", f)
	}
	running := func() string {
		return strings.TrimSpace(testbed.Docker(t, "ps", "--filter", "label=com.docker.compose.project="+h.Project, "--format", `{{.Label "com.docker.compose.service"}}`))
	}
	for end := time.Now().Add(time.Minute); running() != "store"; {
		if time.Now().After(end) {
			t.Fatalf("of a store and who writes to it there run %q", running())
		}
	}
	h.Write("app/env.yml", env)
	if out, stderr, status := h.Run("clear"); status != 0 {
		t.Errorf("with room it ends with %d: %s%s", status, out, stderr)
	}
	h.AwaitHealthy(time.Minute)
}
