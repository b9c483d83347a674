package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"appliance/internal/api"
	"appliance/internal/system"
)

// TestScripts runs the command line, without an engine, as the scripts say. Beside what testscript brings they have
//
//	await DIR   waits until the supervisor of that root has come to rest
//	json FILE   fails unless the file (or stdout) is one JSON document
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUpScript,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"await": await, "json": isJSON},
	})
}

// setUpScript puts the test binary in PATH as the program.
func setUpScript(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv(asProgram, "1")
	env.Setenv("DOCKER_HOST", "unix://"+env.WorkDir+"/no-engine.sock")
	return os.Symlink(self, filepath.Join(bin, "appliance"))
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await DIR")
	}
	client := api.NewClient(system.New(system.Config{Root: ts.MkAbs(args[0])}))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // a poll with a deadline
		if status, err := client.Status(context.Background()); err == nil && status.Resting {
			return
		}
	}
	ts.Fatalf("the supervisor of %s does not come to rest", args[0])
}

func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	if text := ts.ReadFile(args[0]); !json.Valid([]byte(text)) {
		ts.Fatalf("this is no JSON:\n%s", text)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if cmd.Short == "" || cmd.Example == "" {
				t.Errorf("short %q, example %q", cmd.Short, cmd.Example)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{}))
}
