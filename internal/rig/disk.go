package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Attach gives the machine a disk that begins as a copy of an image of the host, and returns its device. It stays over
// reboots and power cuts until Detach or the end of the test. Behind it is a loop device.
func (m *Machine) Attach(image string) (device string) {
	m.t.Helper()
	file, err := os.CreateTemp(filepath.Join(baseDir(), "machines", m.name), "disk-")
	if err != nil {
		m.t.Fatalf("cannot attach a disk: %v", err)
	}
	file.Close()
	disk := file.Name()
	if err := hostCommand(m.t.Context(), "cp", "--", image, disk); err != nil {
		m.t.Fatalf("cannot attach a disk: %v", err)
	}
	out, err := exec.CommandContext(m.t.Context(), "losetup", "--find", "--show", disk).Output()
	if err != nil {
		m.t.Fatalf("cannot attach %s: %v", disk, err)
	}
	device = strings.TrimSpace(string(out))
	number, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "dev"))
	if err != nil {
		m.t.Fatalf("cannot attach %s: %v", device, err)
	}
	// No udev makes the node, and /dev is new at every start.
	m.WriteFile(nodeConf(device), fmt.Appendf(nil, "b+ %s 0660 root disk - %s", device, number), 0o644)
	m.Run("systemd-tmpfiles", "--create", nodeConf(device))
	return device
}

// Detach takes a disk that Attach gave away again.
func (m *Machine) Detach(device string) {
	m.t.Helper()
	m.Run("rm", nodeConf(device), device)
	if err := hostCommand(m.t.Context(), "losetup", "--detach", device); err != nil {
		m.t.Fatalf("cannot detach a disk: %v", err)
	}
}

func nodeConf(device string) string { return "/etc/tmpfiles.d/" + filepath.Base(device) + ".conf" }

// detachAll detaches the disks of a machine.
func detachAll(dir string) error {
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, loop := range loops {
		file, err := os.ReadFile(loop) // gone when somebody else has detached theirs meanwhile
		if err != nil || !strings.HasPrefix(string(file), dir+"/") {
			continue
		}
		device := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(loop)))
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot detach %s: %w: %s", device, err, out)
		}
	}
	return nil
}
