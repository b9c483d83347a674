package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env/create"
	"appliance/internal/system"
	"appliance/internal/testbed"
	"appliance/storage/vault"
)

// writeVaultEnv writes an environment with a new pair of keys.
func writeVaultEnv(t *testing.T, h *testbed.Host) {
	t.Helper()
	text := "  keys: " + filepath.Join(h.Root, "app/ecs-gpg") + "\n"
	for key, user := range map[string]string{"vault_encrypt": "ecs_mediaserver", "vault_sign": "ecs_authority"} {
		armored, err := create.NewOpenPGP(user, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text += "  " + key + ": |\n    " + strings.ReplaceAll(strings.TrimSpace(armored), "\n", "\n    ") + "\n"
	}
	h.WriteEnv(text)
}

// A container keeps the directory that it was started with. When another home takes its place, the services that have it mounted are
// made anew, and no others.
func TestServicesWithTheOldKeysAreMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.WriteCompose(testbed.Compose + extra + "    volumes: [\"${ECS_KEYS}:/keys\"]\n")
	writeVaultEnv(t, h)
	h.Start()
	h.AwaitHealthy(time.Minute)
	generation := func() string { return vault.Home{System: h.System()}.Generation() }
	seen := func() string {
		pid := strings.TrimSpace(testbed.Docker(t, "inspect", "--format", "{{.State.Pid}}", containerName(h, "extra")))
		data, err := os.ReadFile(filepath.Join("/proc", pid, "root/keys/.appliance-vault.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before, first := ids(h), generation()
	if first == "" || !strings.Contains(seen(), first) {
		t.Fatalf("the service does not see the keys %q but %s", first, seen())
	}

	t.Log("the same keys")
	done(t, h, "reload")
	h.AwaitHealthy(time.Minute)
	if diff := cmp.Diff(before, ids(h)); diff != "" {
		t.Errorf("with the same keys services were made anew:\n%s", diff)
	}

	t.Log("other keys")
	done(t, h, "vault", "rotate", "--yes")
	done(t, h, "reload")
	h.AwaitHealthy(time.Minute)
	if second := generation(); second == first || !strings.Contains(seen(), second) {
		t.Errorf("the service does not see the new keys %q, which were %q, but %s", second, first, seen())
	}
	for name, id := range ids(h) {
		if anew := id != before[name]; anew != strings.HasSuffix(name, containerName(h, "extra")) {
			t.Errorf("%s was made anew: %v", name, anew)
		}
	}
	if out := done(t, h, "vault", "status", "--json"); strings.Count(out, `"use": "retired"`) != 2 || !strings.Contains(out, `"state": "good"`) {
		t.Errorf("status: %s", out)
	}
}

// idle is an input on which nothing comes, as a terminal where nobody types.
type idle struct{ asked func() }

func (i idle) Read([]byte) (int, error) {
	i.asked()
	select {}
}

// A stop reaches a command that waits for its input, and leaves nothing of its output.
func TestSealingFromAnIdleInputCanBeStopped(t *testing.T) {
	root := t.TempDir()
	home := vault.Home{System: system.New(system.Config{Root: root}), Owner: os.Geteuid()}
	var texts []string
	for _, user := range []string{"ecs_mediaserver", "ecs_authority"} {
		text, err := create.NewOpenPGP(user, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(root, "data"), 0o755), home.Make(t.Context(), vault.Keys{Encrypt: texts[0], Sign: texts[1]})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{stdio: stdio{in: idle{cancel}, out: io.Discard, err: io.Discard}, root: root}
	out := filepath.Join(t.TempDir(), "out")
	if err := a.convert(ctx, []string{"-", out}, false, sealing()); !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); len(left) > 0 || err != nil {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
