package rig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// version is part of every image's key: raise it when the way images are built changes.
const version = "1"

const fallbackMirror = "http://deb.debian.org/debian"

var (
	packages = []string{
		"ca-certificates", "curl", "dbus", "docker.io", "iproute2", "iptables", "kmod", "libpam-systemd", "procps",
		"systemd", "systemd-sysv", "udev",
	}
	// In bookworm the client is still part of docker.io. trixie has GnuPG 2.4, and hosts of tests may have an older one.
	suitePackages = map[string][]string{"trixie": {"docker-cli", "gnupg"}, "bookworm": nil}

	// unneeded are paths that a machine under test does not need and that would only make its image larger.
	unneeded = []string{"./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*"}
)

// packageList is sorted, so that the order in a Spec does not make another image.
func (s Spec) packageList() []string {
	list := slices.Concat(packages, suitePackages[s.Suite], s.Packages)
	slices.Sort(list)
	return slices.Compact(list)
}

func (s Spec) image() string {
	key := sha256.Sum256([]byte(strings.Join(append([]string{version, s.Suite}, s.packageList()...), "\n")))
	return fmt.Sprintf("appliance-rig:%s-%x", s.Suite, key[:6])
}

// ensureImage returns the name of the image of s, and builds it if the host's engine does not have it.
func ensureImage(t testing.TB, base string, s Spec) (string, error) {
	if _, known := suitePackages[s.Suite]; !known {
		return "", fmt.Errorf("cannot tell the packages of suite %q", s.Suite)
	}
	image := s.image()
	if hasImage(image) {
		return image, nil
	}
	cache := filepath.Join(base, "debs", s.Suite)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(base, "images.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if hasImage(image) { // another process has built it meanwhile
		return image, nil
	}
	root := filepath.Join(base, "root")
	if err := os.RemoveAll(root); err != nil { // left by a build that was killed
		return "", err
	}
	defer os.RemoveAll(root)
	return image, build(t, s, root, cache)
}

func hasImage(image string) bool {
	return exec.Command("docker", "image", "inspect", image).Run() == nil
}

func build(t testing.TB, s Spec, root, cache string) error {
	begun := time.Now()
	if err := installDebootstrap(t); err != nil {
		return err
	}
	mirror := debianMirror(os.DirFS("/etc/apt"))
	t.Logf("building %s from %s", s.image(), mirror)
	if err := hostCommand(t.Context(), "debootstrap", "--variant=minbase", "--cache-dir="+cache,
		"--include="+strings.Join(s.packageList(), ","), s.Suite, root, mirror); err != nil {
		return err
	}
	// Every machine is to make an id of its own at its first boot; empty means this, a missing file would mean more.
	if err := os.Truncate(filepath.Join(root, "etc/machine-id"), 0); err != nil {
		return err
	}
	t.Logf("root file system made in %s", since(begun))
	if err := importRoot(t.Context(), root, s.image()); err != nil {
		return err
	}
	t.Logf("image built in %s", since(begun))
	return nil
}

func installDebootstrap(t testing.TB) error {
	if _, err := exec.LookPath("debootstrap"); err == nil {
		return nil
	}
	t.Log("installing debootstrap on this host")
	return hostCommand(t.Context(), "apt-get", "install", "--yes", "debootstrap")
}

// importRoot makes an image of one layer from a directory. It gets its name last, for half an image must not be found.
func importRoot(ctx context.Context, root, image string) error {
	args := []string{"--directory", root, "--create", "--one-file-system"}
	for _, path := range unneeded {
		args = append(args, "--exclude", path)
	}
	id, err := pipe(exec.CommandContext(ctx, "tar", append(args, ".")...), exec.CommandContext(ctx, "docker", "import", "-"))
	if err != nil {
		return err
	}
	return hostCommand(ctx, "docker", "tag", strings.TrimSpace(id), image)
}

// pipe runs two commands, the second of which reads what the first writes, and returns what the second writes.
func pipe(from, to *exec.Cmd) (string, error) {
	var fromErr, toOut, toErr bytes.Buffer
	from.Stderr, to.Stdout, to.Stderr = &fromErr, &toOut, &toErr
	out, err := from.StdoutPipe()
	if err != nil {
		return "", err
	}
	to.Stdin = out
	if err := from.Start(); err != nil {
		return "", err
	}
	toEnd := to.Run()
	out.Close() // else from would wait for ever for a reader that has given up
	fromEnd := from.Wait()
	if toEnd != nil { // first, because from then fails only for want of a reader
		return "", fmt.Errorf("cannot run %s: %w: %s", to, toEnd, tail(toErr.Bytes(), 20))
	}
	if fromEnd != nil {
		return "", fmt.Errorf("cannot run %s: %w: %s", from, fromEnd, tail(fromErr.Bytes(), 20))
	}
	return toOut.String(), nil
}

// hostCommand ends its program by SIGTERM, so that debootstrap can unmount what it has mounted.
func hostCommand(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run %s: %w:\n%s", strings.Join(argv, " "), err, tail(out, 20))
	}
	return nil
}

func tail(out []byte, lines int) string {
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// debianMirror finds the mirror that the host uses in its apt configuration, /etc/apt.
func debianMirror(apt fs.FS) string {
	lists, _ := fs.Glob(apt, "sources.list.d/*.list")
	stanzas, _ := fs.Glob(apt, "sources.list.d/*.sources")
	var entries []string
	for _, name := range append([]string{"sources.list"}, lists...) {
		entries = append(entries, strings.Split(readSources(apt, name), "\n")...)
	}
	for _, name := range stanzas {
		entries = append(entries, strings.Split(readSources(apt, name), "\n\n")...)
	}
	for _, entry := range entries {
		if mirror := archiveOf(entry); mirror != "" {
			return mirror
		}
	}
	return fallbackMirror
}

// readSources leaves the comments out. A file that cannot be read names no mirror.
func readSources(apt fs.FS, name string) string {
	data, _ := fs.ReadFile(apt, name)
	lines := strings.Split(string(data), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "#") }), "\n")
}

// archiveOf returns the address in an entry if it is Debian's main archive. Others end in /debian as well, but have no
// component main; Debian's security archive ends otherwise.
func archiveOf(entry string) string {
	words := strings.Fields(entry)
	if !slices.Contains(words, "main") {
		return ""
	}
	for _, word := range words {
		u, err := url.Parse(strings.TrimRight(word, "/"))
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.HasSuffix(u.Path, "/debian") {
			return u.String()
		}
	}
	return ""
}
