package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// lock waits for the lock on a file and returns what lets go of it. The kernel lets go of it too when the process dies.
func lock(path string) (release func(), err error) {
	return flock(path, syscall.LOCK_EX)
}

func flock(path string, how int) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// claimDir makes the host directory of a new machine, whose name is the machine's, and holds its lock. Before that it
// discards the machines of test processes that died before they could clean up.
func claimDir(base string) (dir string, release func(), err error) {
	machines := filepath.Join(base, "machines")
	if err := os.MkdirAll(machines, 0o700); err != nil {
		return "", nil, err
	}
	unlock, err := lock(filepath.Join(base, "machines.lock"))
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	if err := sweep(machines); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(machines, "appliance-rig-"); err != nil {
		return "", nil, err
	}
	release, err = lock(filepath.Join(dir, "lock"))
	return dir, release, err
}

func sweep(machines string) error {
	dirs, err := filepath.Glob(filepath.Join(machines, "appliance-rig-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		release, err := flock(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // at work, or just now discarded by its owner
		}
		if err != nil {
			return err
		}
		err = discard(dir)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// discard removes a machine: its container, then its disks.
func discard(dir string) error {
	name := filepath.Base(dir)
	out, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", "name=^/"+name+"$").Output()
	if err != nil {
		return fmt.Errorf("cannot look for container %s: %w", name, err)
	}
	if len(out) > 0 {
		if out, err := exec.Command("docker", "rm", "--force", "--volumes", name).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot remove container %s: %w: %s", name, err, out)
		}
	}
	if err := detachAll(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
