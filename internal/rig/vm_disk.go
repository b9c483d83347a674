package rig

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// vmVersion is part of every base disk's key: raise it when the way they are built changes.
const vmVersion = "1"

// diskSize is what the root file system believes to have; the file behind it has holes.
const diskSize = "8G"

const kernelPackage = "linux-image-cloud-amd64"

// guestFiles are what a root file system needs to be a virtual machine's: the network, and the program that runs commands.
//
//go:embed vmroot testdata/guest/main.go
var guestFiles embed.FS

// baseDisk is a directory with what virtual machines boot from. Nobody writes to it once it is there.
type baseDisk string

func (d baseDisk) kernel() string { return filepath.Join(string(d), "vmlinuz") }
func (d baseDisk) initrd() string { return filepath.Join(string(d), "initrd.img") }
func (d baseDisk) image() string  { return filepath.Join(string(d), "disk.raw") }

// ensureDisk returns the base disk of s, and builds it if this host does not have it yet.
func ensureDisk(t testing.TB, base string, s Spec) (baseDisk, error) {
	s.Packages = append(slices.Clone(s.Packages), kernelPackage)
	image, err := ensureImage(t, base, s)
	if err != nil {
		return "", err
	}
	key, err := diskKey(image)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "vm", s.Suite+"-"+key)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(base, "vm.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return baseDisk(dir), err
	}
	begun := time.Now()
	unfinished := filepath.Join(base, "vm", "unfinished")
	if err := errors.Join(os.RemoveAll(unfinished), os.Mkdir(unfinished, 0o700)); err != nil {
		return "", err
	}
	if err := buildDisk(t.Context(), image, unfinished); err != nil {
		return "", err
	}
	t.Logf("disk of %s made in %s", image, since(begun))
	return baseDisk(dir), os.Rename(unfinished, dir)
}

// diskKey is made of everything that goes into a disk.
func diskKey(image string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, vmVersion, diskSize, image)
	err := fs.WalkDir(guestFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := guestFiles.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(data), data)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)[:6]), err
}

func buildDisk(ctx context.Context, image, dir string) error {
	root := filepath.Join(dir, "root")
	defer os.RemoveAll(root)
	if err := exportRoot(ctx, image, root); err != nil {
		return err
	}
	if err := addGuest(ctx, root); err != nil {
		return err
	}
	for _, file := range []string{"vmlinuz", "initrd.img"} {
		found, err := filepath.Glob(filepath.Join(root, "boot", file+"-*"))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("cannot tell which %s to boot: %q (%v)", file, found, err)
		}
		if err := os.Rename(found[0], filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return hostCommand(ctx, "mkfs.ext4", "-q", "-d", root, string(baseDisk(dir).image()), diskSize)
}

// exportRoot unpacks an image. Left out are the marks that an engine leaves, for they make systemd believe in a container,
// and the files that it mounts its own over, which are empty.
func exportRoot(ctx context.Context, image, root string) error {
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "docker", "create", image, "none").Output()
	if err != nil {
		return fmt.Errorf("cannot create a container of %s: %w", image, err)
	}
	container := strings.TrimSpace(string(out))
	defer exec.Command("docker", "rm", container).Run()
	_, err = pipe(exec.CommandContext(ctx, "docker", "export", container),
		exec.CommandContext(ctx, "tar", "--directory", root, "--extract", "--preserve-permissions", "--numeric-owner", "--exclude=.dockerenv",
			"--exclude=etc/hostname", "--exclude=etc/hosts", "--exclude=etc/resolv.conf"))
	return err
}

func addGuest(ctx context.Context, root string) error {
	files, err := fs.Sub(guestFiles, "vmroot")
	if err != nil {
		return err
	}
	if err := os.CopyFS(root, files); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(root, "usr/local/bin/rig-guest"), "appliance/internal/rig/testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the guest's program: %w: %s", err, out)
	}
	if err := hostCommand(ctx, "chroot", root, "systemctl", "enable", "rig-guest.service", "systemd-networkd.service"); err != nil {
		return err
	}
	// Its prompt would stand in the console's log, which is read after a failure.
	return hostCommand(ctx, "chroot", root, "systemctl", "mask", "serial-getty@ttyS0.service")
}
