package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Run runs a command as root and returns its standard output. It fails the test when the command fails.
func (v *VM) Run(argv ...string) string {
	v.t.Helper()
	return v.feed(nil, argv...)
}

// Try runs a command as root. The code is -1 when there was no answer: ctx ended first, which also ends the command, or
// the virtual machine is off.
func (v *VM) Try(ctx context.Context, argv ...string) (stdout, stderr string, code int) {
	return v.exec(ctx, nil, argv...)
}

// exec speaks to the program in testdata/guest.
func (v *VM) exec(ctx context.Context, in io.Reader, argv ...string) (stdout, stderr string, code int) {
	header, err := json.Marshal(argv)
	if err != nil {
		return "", err.Error(), -1
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/run", v.qemu.port), in)
	if err != nil {
		return "", err.Error(), -1
	}
	req.Header.Set("Argv", string(header))
	req.Close = true // a connection kept would not survive the next power cut
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err.Error(), -1
	}
	defer res.Body.Close()
	var result struct {
		Stdout, Stderr []byte
		Code           int
	}
	if err := json.NewDecoder(res.Body).Decode(&result); err != nil {
		return "", fmt.Sprintf("%s: %v", res.Status, err), -1
	}
	return string(result.Stdout), string(result.Stderr), result.Code
}

// feed runs a command that reads in.
func (v *VM) feed(in io.Reader, argv ...string) string {
	v.t.Helper()
	stdout, stderr, code := v.exec(v.t.Context(), in, argv...)
	if code != 0 {
		v.t.Fatalf("cannot %s in the virtual machine: exit code %d\n%s%s", strings.Join(argv, " "), code, stdout, stderr)
	}
	return stdout
}

// Copy copies a file from the host. It makes parent directories.
func (v *VM) Copy(hostPath, guestPath string) {
	v.t.Helper()
	f, err := os.Open(hostPath)
	if err != nil {
		v.t.Fatalf("cannot copy into the virtual machine: %v", err)
	}
	defer f.Close()
	v.feed(f, "install", "-D", "--mode", "0644", "/dev/stdin", guestPath)
}

// WriteFile writes a file, owned by root, and makes parent directories.
func (v *VM) WriteFile(path string, data []byte, mode fs.FileMode) {
	v.t.Helper()
	v.feed(bytes.NewReader(data), "install", "-D", "--mode", fmt.Sprintf("%#o", mode.Perm()), "/dev/stdin", path)
}

// ReadFile returns the contents of a file.
func (v *VM) ReadFile(path string) []byte {
	v.t.Helper()
	return []byte(v.Run("cat", path))
}

// LoadImage gives the guest's engine an image of the host's.
func (v *VM) LoadImage(name string) {
	v.t.Helper()
	var image, stderr bytes.Buffer
	save := exec.CommandContext(v.t.Context(), "docker", "save", name)
	save.Stdout, save.Stderr = &image, &stderr
	if err := save.Run(); err != nil {
		v.t.Fatalf("cannot save %s: %v: %s", name, err, stderr.Bytes())
	}
	v.feed(&image, "docker", "load")
}

// HTTP asks for a URL by curl inside the virtual machine. While nothing answers, the status is 0 and the body says why.
func (v *VM) HTTP(url string) (status int, body string) {
	v.t.Helper()
	stdout, stderr, code := v.Try(v.t.Context(), "curl", "--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}", url)
	if code != 0 {
		return 0, stderr
	}
	end := strings.LastIndexByte(stdout, '\n')
	status, err := strconv.Atoi(stdout[end+1:])
	if err != nil {
		v.t.Fatalf("cannot read curl's status: %v", err)
	}
	return status, stdout[:end]
}

// Eventually waits until cond is true and fails the test, saying what was awaited, if it is not so within d.
func (v *VM) Eventually(d time.Duration, what string, cond func() bool) {
	v.t.Helper()
	(&Machine{t: v.t}).Eventually(d, what, cond)
}

// dump logs the end of what helps to understand a failure and puts the whole into the test's artifact directory, which
// go test -artifacts keeps.
func (v *VM) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // the test's own context has ended
	defer cancel()
	for _, source := range []struct {
		name  string
		read  func() ([]byte, error)
		lines int
	}{
		{"qemu", func() ([]byte, error) { return os.ReadFile(filepath.Join(v.qemu.dir, "qemu.log")) }, 20},
		{"console", func() ([]byte, error) { return os.ReadFile(v.qemu.console()) }, 40},
		{"journal", func() ([]byte, error) { return v.output(ctx, "journalctl", "--boot", "--no-pager") }, 200},
		{"containers", func() ([]byte, error) { return v.output(ctx, "docker", "ps", "--all") }, 20},
	} {
		out, err := source.read()
		if err != nil {
			v.t.Logf("cannot get the %s: %v", source.name, err)
		}
		if err := os.WriteFile(filepath.Join(v.t.ArtifactDir(), source.name+".txt"), out, 0o600); err != nil {
			v.t.Logf("cannot keep the %s: %v", source.name, err)
		}
		v.t.Logf("%s:\n%s", source.name, tail(quiet(out), source.lines))
	}
}

func (v *VM) output(ctx context.Context, argv ...string) ([]byte, error) {
	stdout, stderr, code := v.Try(ctx, argv...)
	if code != 0 {
		return []byte(stdout), fmt.Errorf("exit code %d: %s", code, stderr)
	}
	return []byte(stdout), nil
}
