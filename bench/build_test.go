package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const composeModule = "github.com/docker/compose/v5"

// buildProgram builds a program of ours as it is shipped.
func buildProgram(tb testing.TB, dir, name string) string {
	tb.Helper()
	out := filepath.Join(dir, name)
	goBuild(tb, repository(tb), out, "./cmd/"+name)
	return out
}

// buildCompose builds the Compose CLI of the very SDK that is linked in, outside of our module, and keeps it by version
// and toolchain.
func buildCompose(tb testing.TB, dir string) (binary, version string) {
	tb.Helper()
	version, source, _ := strings.Cut(golang(tb, repository(tb), "list", "-m", "-f", "{{.Version}} {{.Dir}}", composeModule), " ")
	binary = filepath.Join(dir, fmt.Sprintf("docker-compose-%s-%s", version, runtime.Version()))
	if _, err := os.Stat(binary); err == nil {
		return binary, version
	} else if !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	tb.Logf("building the Compose CLI %s, once: this takes a minute", version)
	work := filepath.Join(dir, "compose-"+version)
	if err := errors.Join(os.RemoveAll(work), os.CopyFS(work, os.DirFS(source))); err != nil {
		tb.Fatal(err)
	}
	makeWritable(tb, work) // the module cache is not
	goBuild(tb, work, binary+".new", "./cmd")
	if err := os.Rename(binary+".new", binary); err != nil { // only a whole build is kept
		tb.Fatal(err)
	}
	return binary, version
}

func makeWritable(tb testing.TB, dir string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()|0o200)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// findComposeV1 finds the Python docker-compose, "" when it is not installed.
func findComposeV1(ctx context.Context) string {
	path, err := exec.LookPath("docker-compose")
	if err != nil {
		return ""
	}
	version, err := exec.CommandContext(ctx, path, "version", "--short").Output()
	if err != nil || !strings.HasPrefix(string(version), "1.") {
		return ""
	}
	return path
}

// findPython finds a python3 that has PyYAML, "" when there is none. Debian's comes first: another in PATH may be a shell
// script that looks for the real one.
func findPython(ctx context.Context) string {
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(ctx, name, "-c", "import yaml").Run() == nil {
			return name
		}
	}
	return ""
}

// findYq finds the yq that Debian has, which is jq behind a parser of YAML; "" when it is not installed. Others of the
// name have another language.
func findYq(ctx context.Context) string {
	path, err := exec.LookPath("yq")
	if err != nil {
		return ""
	}
	help, err := exec.CommandContext(ctx, path, "--help").Output()
	if err != nil || !strings.Contains(string(help), "jq") {
		return ""
	}
	return path
}

func repository(tb testing.TB) string {
	tb.Helper()
	return golang(tb, "", "list", "-m", "-f", "{{.Dir}}")
}

func goBuild(tb testing.TB, dir, out, pkg string) {
	tb.Helper()
	golang(tb, dir, "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
}

func golang(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		tb.Fatalf("go %v: %v\n%s", args, err, exit.Stderr)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
