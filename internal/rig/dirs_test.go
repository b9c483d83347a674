package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClaimDirDiscardsTheMachinesOfTheDead(t *testing.T) {
	base := t.TempDir()
	calls := fakeDocker(t)
	alive, release, err := claimDir(base)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	dead, leave, err := claimDir(base)
	if err != nil {
		t.Fatal(err)
	}
	leave() // as the kernel does at the end of a process

	_, release, err = claimDir(base)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("directory of a live machine: %v", err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("directory of a dead machine: %v, want it gone", err)
	}
	got, want := calls(), "rm --force --volumes "+filepath.Base(dead)+"\n"
	if !strings.HasSuffix(got, want) || strings.Contains(got, filepath.Base(alive)) {
		t.Errorf("docker was called so:\n%s", got)
	}
}

// fakeDocker knows every container it is asked for, and records its arguments.
func fakeDocker(t *testing.T) (calls func() string) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + dir + "/calls\necho 0123456789ab\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		data, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func TestBootSkipsWithoutAnEngine(t *testing.T) {
	t.Setenv("APPLIANCE_RIG", "")
	t.Setenv("PATH", t.TempDir())
	skipped := false
	t.Run("machine", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Boot(t, Trixie())
	})
	if !skipped {
		t.Error("Boot did not skip the test")
	}
}
