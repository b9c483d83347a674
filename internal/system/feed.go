package system

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// CommandInput runs argv as Command does; the program reads input. What is secret goes there: anybody can see argv.
func (s *System) CommandInput(ctx context.Context, input string, argv ...string) (string, error) {
	if err := s.Observe("exec", strings.Join(argv, " ")); err != nil {
		return "", err
	}
	return s.QueryInput(ctx, input, argv...)
}

// QueryInput runs argv as Query does; the program reads input.
func (s *System) QueryInput(ctx context.Context, input string, argv ...string) (string, error) {
	return s.run(ctx, strings.NewReader(input), argv)
}

// HasProgram says whether there is a program of that name in PATH.
func (s *System) HasProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// Status returns the exit status of the program that err, as Query and Command answer it, comes from; -1: it has none.
func Status(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return -1
	}
	return exit.ExitCode()
}
